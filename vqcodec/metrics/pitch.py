"""Pitch: where speech is voiced, and its fundamental frequency."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import Wave
from vqcodec.metrics.metric import Metric, UndefinedError, missing, resampled

if TYPE_CHECKING:
    from swift_f0 import SwiftF0

_LOWEST_HZ, _HIGHEST_HZ = 65.0, 500.0
_ANALYSIS_HZ = 16000
_SHORTEST = 1024
_VOICED = 0.5
"""The confidence from which SwiftF0 means a frame to be voiced."""

_FEWEST_FRAMES = 10
"""Frames, 160 ms, from which a correlation is told."""


@dataclass(frozen=True, eq=False)
class Pitch:
    """Frames, the middle of frame n at 16 n ms: voiced or not, and f0 in Hz (where not, a guess)."""

    voiced: NDArray[np.bool_]
    f0_hz: NDArray[np.float64]


def _f0_rmse(wave: Wave, wave_hat: Wave, rate_hz: int) -> float:
    true, guess = pitch_of(wave, rate_hz), pitch_of(wave_hat, rate_hz)
    both = true.voiced & guess.voiced
    if not both.any():
        raise UndefinedError("no frame is voiced in both")
    cents = 1200 * np.log2(guess.f0_hz[both] / true.f0_hz[both])
    return float(np.sqrt(np.square(cents).mean()))


def _f0_correlation(wave: Wave, wave_hat: Wave, rate_hz: int) -> float:
    true, guess = pitch_of(wave, rate_hz), pitch_of(wave_hat, rate_hz)
    both = true.voiced & guess.voiced
    if both.sum() < _FEWEST_FRAMES:
        raise UndefinedError(f"fewer than {_FEWEST_FRAMES} frames are voiced in both")
    true_hz, guess_hz = true.f0_hz[both], guess.f0_hz[both]
    if min(np.ptp(true_hz), np.ptp(guess_hz)) == 0:
        raise UndefinedError("a pitch that does not move correlates with none")
    return float(np.corrcoef(true_hz, guess_hz)[0, 1])


def _voicing_error(wave: Wave, wave_hat: Wave, rate_hz: int) -> float:
    return float((pitch_of(wave, rate_hz).voiced != pitch_of(wave_hat, rate_hz).voiced).mean())


def pitch_of(wave: Wave, rate_hz: int) -> Pitch:
    """Find the pitch of `wave` float32 [T]. Raises UndefinedError for less than 64 ms, ConfigError without swift-f0."""
    return _cached_pitch(wave.tobytes(), rate_hz)


@lru_cache(maxsize=4)
def _cached_pitch(samples: bytes, rate_hz: int) -> Pitch:
    """Track an original once for both metrics and many codecs."""
    wave = resampled(np.frombuffer(samples, np.float32), rate_hz, _ANALYSIS_HZ)
    if len(wave) < _SHORTEST:
        raise UndefinedError("pitch needs 64 ms")
    found = _tracker().detect(wave, _ANALYSIS_HZ, fmin=_LOWEST_HZ, fmax=_HIGHEST_HZ)
    return Pitch(found.confidence >= _VOICED, found.pitch_hz)


@lru_cache(maxsize=1)
def _tracker() -> "SwiftF0":
    try:
        from swift_f0 import SwiftF0
    except ImportError:
        raise missing("swift-f0") from None
    return SwiftF0(threads=1)  # a clip is too short for more, and workers share the cores already


f0_rmse = Metric(
    name="f0_rmse",
    title="F0 RMSE",
    unit="cents",
    low=0.0,
    high=None,
    higher_is_better=False,
    rate="16 kHz",
    source="root mean square over frames that are voiced in both; SwiftF0, Nieradzik 2025, package swift-f0",
    compute=_f0_rmse,
)
f0_correlation = Metric(
    name="f0_correlation",
    title="F0 correlation",
    unit="",
    low=-1.0,
    high=1.0,
    higher_is_better=True,
    rate="16 kHz",
    source="Pearson correlation of F0 over frames that are voiced in both; SwiftF0, Nieradzik 2025, package swift-f0",
    compute=_f0_correlation,
)
voicing_error = Metric(
    name="voicing_error",
    title="voicing error",
    unit="share of frames",
    low=0.0,
    high=1.0,
    higher_is_better=False,
    rate="16 kHz",
    source="frames voiced in one of the two only; SwiftF0, Nieradzik 2025, package swift-f0",
    compute=_voicing_error,
)
