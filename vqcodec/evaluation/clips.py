"""The clips of an evaluation: found, named, and read as mono."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from vqcodec.arrays import Wave
from vqcodec.audio.discover import find_audio
from vqcodec.audio.downmix import Downmix
from vqcodec.audio.excerpt import WHOLE, Excerpt
from vqcodec.audio.reader import AudioReader
from vqcodec.errors import AudioError
from vqcodec.texts import printable

_BLOCK_SAMPLES = 1 << 20
_GUESSED_BYTES_PER_SECOND = 32000
"""What a file of 16 bits at 16 kHz has. Whatever it is, a file of twice the bytes is about twice as long."""


@dataclass(frozen=True)
class EvaluationClip:
    """A clip by its name, its file and part of that, and the other columns of its manifest, to group by."""

    name: str
    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)
    excerpt: Excerpt = WHOLE


def find_clips(sources: Sequence[str | Path]) -> list[EvaluationClip]:
    """Return the clips of files, folders, globs and manifests, named by column id, else by path below the folder.

    Raises AudioError for a source without audio, for two clips of one name, and for columns as `excerpt_of`.
    """
    clips: dict[str, EvaluationClip] = {}
    for source in sources:
        if not str(source):
            raise AudioError("a source is empty; give a file, a folder, a glob or a manifest")
        for found in find_audio([source]):
            name = printable(found.columns.get("id") or _name(found.path, Path(source).expanduser()))
            columns = {printable(k): printable(v) for k, v in found.columns.items() if k != "id"}
            clip = EvaluationClip(name, found.path, columns, found.excerpt())
            if clips.setdefault(name, clip) != clip:
                both = f"{clips[name].path} and {clip.path}"
                raise AudioError(f"{both} are both named {name}; give a manifest with a column id, each once")
    return list(clips.values())


def longest_first(clips: Iterable[EvaluationClip]) -> list[EvaluationClip]:
    """Sort clips by about how long they are, so that no core waits for another one's long clip at the end of a run.

    Nothing is opened: of a whole file its bytes tell, and what is missing comes last.
    """
    return sorted(clips, key=_guessed_seconds, reverse=True)


def _guessed_seconds(clip: EvaluationClip) -> float:
    if clip.excerpt.duration_seconds is not None:
        return clip.excerpt.duration_seconds
    try:
        return clip.path.stat().st_size / _GUESSED_BYTES_PER_SECOND
    except OSError:
        return 0.0


@lru_cache(maxsize=100_000)
def clip_hash(path: Path, excerpt: Excerpt = WHOLE) -> str | None:
    """Return the first digits of the SHA-256 of a file, and of what names an excerpt; None if it cannot be read."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    except OSError:
        return None
    if excerpt != WHOLE:
        named = (excerpt.start_seconds, excerpt.duration_seconds)
        digest.update(repr(named if excerpt.channel is None else (*named, excerpt.channel)).encode())
    return digest.hexdigest()[:16]


def read_clip(path: Path, excerpt: Excerpt = WHOLE) -> tuple[Wave, int]:
    """Return the samples float32 [T] of a file or its part, and their rate in Hz; of all channels unless it names one.

    Raises AudioError for what cannot be read, holds no samples or not that channel, ends before the excerpt does or
    holds NaN.
    """
    downmix = Downmix(str(path))
    with AudioReader(path) as audio:
        blocks = [downmix.push(block)[0] for block in excerpt.read(audio, _BLOCK_SAMPLES, str(path))]
    downmix.check()
    return np.concatenate(blocks), audio.rate_hz


def random_of(clip: str, *seeds: int) -> np.random.Generator:
    """Make the generator of what is drawn for the clip of that name: the same for all codecs and rates."""
    named = hashlib.sha256(clip.encode()).digest()
    return np.random.default_rng([*seeds, int.from_bytes(named[:8])])


def _name(path: Path, source: Path) -> str:
    relative = path.relative_to(source) if source.is_dir() else Path(path.name)
    return relative.with_suffix("").as_posix()
