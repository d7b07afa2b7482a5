"""The clips of an evaluation: found, named, and read as mono."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from vqcodec.arrays import Wave
from vqcodec.audio.discover import find_audio
from vqcodec.audio.downmix import Downmix
from vqcodec.audio.reader import AudioReader
from vqcodec.errors import AudioError
from vqcodec.texts import printable

_BLOCK_SAMPLES = 1 << 20


@dataclass(frozen=True)
class EvaluationClip:
    """A clip by its name, the file it is in, and the other columns of its manifest, to group by."""

    name: str
    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)


def find_clips(sources: Sequence[str | Path]) -> list[EvaluationClip]:
    """Return the clips of files, folders, globs and manifests, named by column id, else by path below the folder.

    Raises AudioError for a source without audio and for two clips of one name.
    """
    clips: dict[str, EvaluationClip] = {}
    for source in sources:
        if not str(source):
            raise AudioError("a source is empty; give a file, a folder, a glob or a manifest")
        for found in find_audio([source]):
            name = printable(found.columns.get("id") or _name(found.path, Path(source).expanduser()))
            columns = {printable(k): printable(v) for k, v in found.columns.items() if k != "id"}
            clip = EvaluationClip(name, found.path, columns)
            if clips.setdefault(name, clip) != clip:
                both = f"{clips[name].path} and {clip.path}"
                raise AudioError(f"{both} are both named {name}; give a manifest with a column id, each once")
    return list(clips.values())


@lru_cache(maxsize=100_000)
def clip_hash(path: Path) -> str | None:
    """Return the first digits of the SHA-256 of a file; None if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError:
        return None


def read_clip(path: Path) -> tuple[Wave, int]:
    """Return the samples float32 [T], channels averaged, and their rate in Hz.

    Raises AudioError for what cannot be read, holds no samples or holds NaN.
    """
    downmix = Downmix(str(path))
    with AudioReader(path) as audio:
        blocks = [downmix.push(block)[0] for block in audio.blocks(_BLOCK_SAMPLES)]
    downmix.check()
    if not blocks:
        raise AudioError(f"{path}: holds no samples; leave it out")
    return np.concatenate(blocks), audio.rate_hz


def _name(path: Path, source: Path) -> str:
    relative = path.relative_to(source) if source.is_dir() else Path(path.name)
    return relative.with_suffix("").as_posix()
