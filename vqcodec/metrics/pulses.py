"""Pitch pulses: whether bands of voiced speech still swell and fade with every pulse of the glottis.

A codec that puts noise of the right level and spectrum in the place of harmonics keeps most other scores and is hoarse
all the same. The envelopes of bands tell: in voiced speech they are deep and repeat at the pitch period, which is how
MELP decides on the voicing of a band (McCree and Barnwell 1995).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, hilbert, sosfiltfilt

from vqcodec.arrays import Wave
from vqcodec.metrics.metric import Metric, UndefinedError, check_band, resampled
from vqcodec.metrics.pitch import pitch_of

_ANALYSIS_HZ = 16000
_WINDOW_SAMPLES = 800
_PITCH_HOP_SAMPLES = 256
_VOICED_AROUND = 2
"""Frames of pitch on both sides that are voiced as well: they hold the window and the one a period later."""

_QUIETEST = 0.05
"""Share of the energy of the loudest twentieth from which a voiced frame counts."""

_MODULATION_HZ = 600
_SHALLOWEST = 1e-3
"""Below which depths count as equal: an envelope that stands still."""

_Band = tuple[int, int]
"""Lowest and highest frequency, Hz."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Pulses:
    """Means over voiced frames: depth in dB (geometric), periodicity."""

    depth_db: float
    periodicity: float


def _measured(wave: Wave, wave_hat: Wave, rate_hz: int, band: _Band) -> tuple[_Pulses, _Pulses]:
    """What the original has and what the rendering has, in the frames and at the periods of the original."""
    check_band(band[1], rate_hz)
    original = wave.tobytes()
    return _cached_pulses(original, original, rate_hz, band), _cached_pulses(
        original, wave_hat.tobytes(), rate_hz, band
    )


@lru_cache(maxsize=16)
def _cached_pulses(original: bytes, samples: bytes, rate_hz: int, band: _Band) -> _Pulses:
    """Filter once for depth and periodicity, and an original once for many codecs."""
    starts, periods = _voiced_windows(np.frombuffer(original, np.float32), rate_hz)
    envelope = _envelope(resampled(np.frombuffer(samples, np.float32), rate_hz, _ANALYSIS_HZ), band)
    at = starts[:, None] + np.arange(_WINDOW_SAMPLES)
    now, later = envelope[at], envelope[at + periods[:, None]]
    depth = now.std(axis=1) / np.maximum(now.mean(axis=1), 1e-9)
    return _Pulses(
        depth_db=float(20 * np.log10(np.maximum(depth, _SHALLOWEST)).mean()),
        periodicity=float(_correlations(now, later).mean()),
    )


def _voiced_windows(wave: Wave, rate_hz: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where windows begin that lie in loud voiced speech with the one a period later, and the periods, samples."""
    pitch = pitch_of(wave, rate_hz)
    wave = resampled(wave, rate_hz, _ANALYSIS_HZ)
    around = np.pad(pitch.voiced, _VOICED_AROUND)
    steady = np.lib.stride_tricks.sliding_window_view(around, 2 * _VOICED_AROUND + 1)
    frames = np.flatnonzero(steady.all(axis=1))
    periods = np.round(_ANALYSIS_HZ / pitch.f0_hz[frames]).astype(np.intp)
    starts = frames * _PITCH_HOP_SAMPLES - (_WINDOW_SAMPLES + periods) // 2
    inside = (starts >= 0) & (starts + periods + _WINDOW_SAMPLES <= len(wave))
    starts, periods = starts[inside], periods[inside]
    if not len(starts):
        raise UndefinedError("no 80 ms of voiced speech")
    energy = np.square(wave[starts[:, None] + np.arange(_WINDOW_SAMPLES)].astype(np.float64)).sum(axis=1)
    loud = energy >= _QUIETEST * np.percentile(energy, 95)
    return starts[loud], periods[loud]


def _envelope(wave: Wave, band: _Band) -> _Floats:
    """Magnitude of the analytic signal of the band, up to 600 Hz, which holds the fundamental and what is over it."""
    inside = sosfiltfilt(butter(4, band, "bandpass", fs=_ANALYSIS_HZ, output="sos"), wave.astype(np.float64))
    slow = butter(4, _MODULATION_HZ, fs=_ANALYSIS_HZ, output="sos")
    envelope: _Floats = sosfiltfilt(slow, np.abs(hilbert(inside)))
    return envelope


def _correlations(now: _Floats, later: _Floats) -> _Floats:
    """Pearson correlation of rows; 0 where one of them stands still."""
    now, later = (rows - rows.mean(axis=1, keepdims=True) for rows in (now, later))
    norms = np.linalg.norm(now, axis=1) * np.linalg.norm(later, axis=1)
    products = (now * later).sum(axis=1)
    values: _Floats = np.divide(products, norms, out=np.zeros_like(norms), where=norms > 1e-12)
    return values


def _depth_metric(band: _Band) -> Metric:
    def compute(wave: Wave, wave_hat: Wave, rate_hz: int) -> float:
        true, guess = _measured(wave, wave_hat, rate_hz, band)
        return guess.depth_db - true.depth_db

    low, high = band[0] // 1000, band[1] // 1000
    return Metric(
        name=f"pulse_depth_{low}_{high}khz",
        title=f"pulse depth {low}-{high} kHz",
        unit="dB",
        low=None,
        high=None,
        higher_is_better=None,
        rate="16 kHz",
        source="deviation over mean of the band's envelope in windows of 50 ms of voiced speech, geometric mean, "
        "against the original's; pitch by swift-f0",
        compute=compute,
    )


def _periodicity_metric(band: _Band) -> Metric:
    def compute(wave: Wave, wave_hat: Wave, rate_hz: int) -> float:
        true, guess = _measured(wave, wave_hat, rate_hz, band)
        return guess.periodicity - true.periodicity

    low, high = band[0] // 1000, band[1] // 1000
    return Metric(
        name=f"pulse_periodicity_{low}_{high}khz",
        title=f"pulse periodicity {low}-{high} kHz",
        unit="",
        low=-2.0,
        high=2.0,
        higher_is_better=None,
        rate="16 kHz",
        source="autocorrelation of the band's envelope at the original's pitch period in windows of 50 ms of voiced "
        "speech, after McCree and Barnwell 1995, minus the original's; pitch by swift-f0",
        compute=compute,
    )


_BANDS: tuple[_Band, ...] = ((1000, 2000), (2000, 4000), (4000, 7000))

PULSE_METRICS = tuple(make(band) for make in (_depth_metric, _periodicity_metric) for band in _BANDS)
"""Depth, then periodicity, of 1-2, 2-4 and 4-7 kHz. 0 is what the original has; less is pulses that are smeared."""
