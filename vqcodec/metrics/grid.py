"""Grid lines: a buzz at the frame rate of a codec, which the envelope of the highest band shows as lines.

A decoder that does a little the same in every frame modulates the sound at the frame rate and its multiples. The clock
of the frames is exact and the pitch of a voice is not: in the spectrum of the envelope one is a line, the other a hill.
"""

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, hilbert, sosfiltfilt, welch

from vqcodec.arrays import Wave
from vqcodec.errors import ConfigError
from vqcodec.metrics.metric import Metric, UndefinedError, check_band, resampled

_ANALYSIS_HZ = 16000
_BAND_HZ = (4000, 7600)
_NEAREST_HZ, _FURTHEST_HZ = 5, 12
"""Modulation rates on both sides of a line that it is compared with: beyond the main lobe of the window."""

_SLOWEST_HZ, _FASTEST_HZ = 20, 400
_SYLLABLE_SAMPLES = 960
"""60 ms, the mean over which divides the envelope: without it, that of syllables hides all lines in short clips."""

_SILENT = 1e-5
"""Mean of an envelope below which there is nothing to hear a buzz in: -100 dB."""


def grid_lines(line_hz: float) -> Metric:
    """Make the metric of lines at `line_hz`, to 1 Hz, and its multiples up to 400 Hz, for codecs of that frame rate.

    Raises ConfigError for a rate that is not in 20 to 400 Hz.
    """
    if not _SLOWEST_HZ <= line_hz <= _FASTEST_HZ:
        raise ConfigError(f"grid lines of {line_hz} Hz cannot be measured; {_SLOWEST_HZ} to {_FASTEST_HZ} Hz can")
    line = round(line_hz)

    def compute(wave: Wave, wave_hat: Wave, rate_hz: int) -> float:
        return _height_db(wave_hat, rate_hz, line, "wave_hat") - _height_db(wave, rate_hz, line, "the original")

    return Metric(
        name=f"grid_{line}hz",
        title=f"grid {line} Hz",
        unit="dB",
        low=None,
        high=None,
        higher_is_better=None,
        rate="16 kHz",
        source=f"lines at multiples of {line} Hz up to 400 Hz in the envelope of 4 to 7.6 kHz over what lies 5 to 12 "
        "Hz beside them (median, Welch 1967, windows of 1 s), against the original's",
        compute=compute,
    )


def _height_db(wave: Wave, rate_hz: int, line: int, whose: str) -> float:
    """By how much the lines stand out of their surroundings: the mean of their ratios."""
    check_band(_BAND_HZ[1], rate_hz)
    wave = resampled(wave, rate_hz, _ANALYSIS_HZ)
    if len(wave) < _ANALYSIS_HZ:
        raise UndefinedError("grid lines need a second")
    inside = sosfiltfilt(butter(4, _BAND_HZ, "bandpass", fs=_ANALYSIS_HZ, output="sos"), wave.astype(np.float64))
    envelope = np.abs(hilbert(inside))
    if envelope.mean() < _SILENT:
        raise UndefinedError(f"{whose} has nothing from 4 to 7.6 kHz")
    level = envelope / (uniform_filter1d(envelope, _SYLLABLE_SAMPLES) + _SILENT)
    _, power = welch(level, _ANALYSIS_HZ, nperseg=_ANALYSIS_HZ, scaling="spectrum")  # a bin is 1 Hz
    beside = np.arange(_NEAREST_HZ, _FURTHEST_HZ + 1)
    lines = np.arange(line, _FASTEST_HZ + 1, line)
    surroundings = np.median(power[lines[:, None] + np.concatenate([-beside, beside])], axis=1)
    return float(10 * np.log10(np.mean(power[lines] / surroundings)))


grid_50hz = grid_lines(50)
"""For codecs with frames of 20 ms: ours, Opus, most of telephony."""

grid_100hz = grid_lines(100)
"""For codecs with frames of 10 ms, and for what happens twice in one of 20."""
