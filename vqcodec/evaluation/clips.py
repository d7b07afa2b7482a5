"""The clips of an evaluation: found, named, and read as mono."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from vqcodec.audio.discover import find_audio
from vqcodec.errors import AudioError
from vqcodec.evaluation.coded import Samples


@dataclass(frozen=True)
class EvaluationClip:
    """A clip by its name, the file it is in, and the other columns of its manifest, to group by."""

    name: str
    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)


def find_clips(sources: Sequence[str | Path]) -> list[EvaluationClip]:
    """Clips of files, folders, globs and manifests, named by column id, else by path below the folder.

    Raises AudioError for a source without audio and for two clips of one name.
    """
    clips: dict[str, EvaluationClip] = {}
    for source in sources:
        for found in find_audio([source]):
            name = found.columns.get("id") or _name(found.path, Path(source).expanduser())
            clip = EvaluationClip(name, found.path, {k: v for k, v in found.columns.items() if k != "id"})
            if clips.setdefault(name, clip) != clip:
                raise AudioError(f"{clips[name].path} and {clip.path} are both named {name}; give a manifest with ids")
    return list(clips.values())


def read_clip(path: Path) -> tuple[Samples, int]:
    """Samples float32 [T], channels averaged, and their rate in Hz.

    Raises AudioError for what cannot be read, holds no samples or holds NaN.
    """
    try:
        channels, rate_hz = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise AudioError(f"{path}: cannot read ({str(error).rstrip('.')}); give an audio file") from None
    wave = np.ascontiguousarray(channels.mean(axis=1, dtype=np.float32))
    if not len(wave):
        raise AudioError(f"{path}: holds no samples; leave it out")
    if not np.isfinite(wave).all():
        raise AudioError(f"{path}: holds samples that are NaN or infinite; repair the file")
    return wave, int(rate_hz)


def _name(path: Path, source: Path) -> str:
    relative = path.relative_to(source) if source.is_dir() else Path(path.name)
    return relative.with_suffix("").as_posix()
