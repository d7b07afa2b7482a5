"""What the folder of an evaluation holds: settings.json, results.jsonl, audio/ of the clips to listen to, codes/."""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import soundfile
from numpy.typing import NDArray

from vqcodec.arrays import Wave
from vqcodec.errors import ConfigError
from vqcodec.evaluation.conditions import PLAIN, Condition
from vqcodec.evaluation.results import check_text_mapping, check_texts
from vqcodec.metrics import METRICS
from vqcodec.output import atomic_output, output_errors
from vqcodec.system.signals import signals_held
from vqcodec.texts import read_json_object, read_limited

_SETTINGS = "settings.json"


@dataclass(frozen=True)
class Settings:
    """What an evaluation was asked.

    codecs:  names of those that ran, in the order of tables and players
    skipped: those left out, and why
    metrics: names
    listen:  names of the clips to listen to
    notes:   what a reader should know, such as rates that a codec does not have

    Raises TypeError for values of other types.
    """

    codecs: list[str]
    skipped: Mapping[str, str]
    metrics: list[str]
    listen: list[str]
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for names in (self.codecs, self.metrics, self.listen, self.notes):
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise TypeError(f"{names!r:.60} is no list of texts")
        check_text_mapping(self.skipped)


def write_settings(out: Path, settings: Settings) -> None:
    """Write or replace them. Raises OutputError."""
    with atomic_output(out / _SETTINGS, force=True) as path:
        path.write_text(json.dumps(asdict(settings), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_settings(out: Path) -> Settings:
    """Read what the evaluation in `out` was asked. Raises ConfigError for a folder without one."""
    try:
        values = read_json_object(out / _SETTINGS)
        check_texts(values)
        settings = Settings(**values)
    except (OSError, ValueError, TypeError):
        raise ConfigError(f"{out}: holds no evaluation ({_SETTINGS}); vqcodec evaluate makes one") from None
    unknown = next((name for name in settings.metrics if name not in METRICS), None)
    if unknown is not None:
        raise ConfigError(f"{out}: {_SETTINGS} names the metric {unknown!r:.60}; there are {', '.join(METRICS)}")
    return settings


def audio_folder(out: Path) -> Path:
    """Tell where all audio is kept."""
    return out / "audio"


def original_path(out: Path, clip: str, condition: Condition = PLAIN) -> Path:
    """Tell where a clip to listen to is kept as it was before coding, FLAC."""
    return audio_folder(out) / _point_name("original", None, condition.of_clip) / f"{_file_name(clip)}.flac"


def take_path(out: Path, codec: str, kbps: float | None, clip: str, condition: Condition = PLAIN) -> Path:
    """Tell where a rendering of a clip to listen to is kept, FLAC, aligned with the original."""
    return audio_folder(out) / _point_name(codec, kbps, condition) / f"{_file_name(clip)}.flac"


def rates_path(take: Path) -> Path:
    """Tell where the rate over time of a rendering is kept, npy, beside its audio."""
    return take.with_suffix(".rates.npy")


def codes_path(out: Path, codec: str, kbps: float | None, clip: str, condition: Condition = PLAIN) -> Path:
    """Tell where the codes [K, F] of a neural codec are kept, npy: those of the last coding."""
    return out / "codes" / _point_name(codec, kbps, condition) / f"{_file_name(clip)}.npy"


def write_audio(path: Path, wave: Wave, rate_hz: int) -> None:
    """Write `wave` [T], clipped to [-1, 1], NaN as silence, with its folder. Raises OutputError."""
    file = io.BytesIO()  # libsndfile does not tell why a file cannot be written
    with signals_held():
        soundfile.write(file, np.clip(np.nan_to_num(wave), -1, 1), rate_hz, format="FLAC")
    _write(path, file.getvalue())


def read_audio(path: Path) -> tuple[Wave, int]:
    """Read what `write_audio` wrote: float32 [T], and the rate. Raises ConfigError for anything else."""
    try:
        wave, rate_hz = soundfile.read(path, dtype="float32")
    except (OSError, soundfile.LibsndfileError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); --resume makes it again once it is removed") from None
    if wave.ndim != 1:
        raise ConfigError(f"{path}: has {wave.shape[1]} channels, not 1; --resume makes it again once it is removed")
    return wave, int(rate_hz)


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write codes or rates with their folder. Raises OutputError."""
    file = io.BytesIO()
    np.save(file, array)
    _write(path, file.getvalue())


def read_codes(path: Path) -> NDArray[np.uint16]:
    """Read what `write_array` wrote of codes [K, F]. Raises ConfigError for anything else."""
    return _read_array(path, 2, np.uint16, "codes")


def read_rates(path: Path) -> NDArray[np.float32]:
    """Read what `write_array` wrote of rates over time [n]. Raises ConfigError for anything else."""
    rates = _read_array(path, 1, np.float32, "rates")
    if not (np.isfinite(rates).all() and (rates >= 0).all()):
        raise ConfigError(f"{path}: no array of rates; --resume makes it again once it is removed")
    return rates


def _read_array(path: Path, dimensions: int, dtype: type[np.generic], what: str) -> NDArray[Any]:
    try:
        array = np.load(io.BytesIO(read_limited(path)), allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise ConfigError(f"{path}: no array of {what} ({error}); --resume makes it again once it is removed") from None
    if getattr(array, "ndim", 0) != dimensions or array.dtype != dtype:
        raise ConfigError(f"{path}: no array of {what}; --resume makes it again once it is removed")
    return np.asarray(array)


def _write(path: Path, data: bytes) -> None:
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_output(path, force=True) as temporary:
            temporary.write_bytes(data)


def _point_name(codec: str, kbps: float | None, condition: Condition) -> str:
    name = codec if kbps is None else f"{codec}@{kbps:g}"
    return _file_name(name if condition == PLAIN else f"{name} ({condition.label})")


def _file_name(name: str) -> str:
    """One safe component of a path for any name; different names stay different."""
    return quote(name, safe=" @+=,()").replace(".", "%2E")
