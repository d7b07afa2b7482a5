"""Another pitch, and with it other formants, at the same speed: WSOLA and resampling.

WSOLA (Verhelst and Roelands 1993): windows of the input are overlapped at another distance, each taken from where the
input goes on most like the window before, so that periods of a voice meet. What is then as much longer as the pitch
shall rise is played as much faster.
"""

import numpy as np
import soxr

from vqcodec.arrays import Wave

_WINDOW_SECONDS = 0.04
_SEARCH_SECONDS = 0.01
"""A window may come from so much earlier or later: in all more than a period of the lowest voice."""


def shift_pitch(wave: Wave, factor: float, rate_hz: int) -> Wave:
    """Return `wave` float32 [T] at `rate_hz` with all its frequencies times `factor`, as long as before: [T]."""
    if factor == 1.0 or not len(wave):
        return wave
    shifted = soxr.resample(_stretch(wave, factor, rate_hz), factor, 1.0)[: len(wave)]
    return np.pad(shifted, (0, len(wave) - len(shifted))).astype(np.float32)


def _stretch(wave: Wave, factor: float, rate_hz: int) -> Wave:
    """`wave` [T] `factor` times as long at the same pitch: T * factor samples and a few more."""
    hop, reach = round(_WINDOW_SECONDS * rate_hz / 2), round(_SEARCH_SECONDS * rate_hz)
    count = int(len(wave) * factor / hop) + 2
    window = np.hanning(2 * hop + 1)[:-1].astype(np.float32)
    # So much silence on both sides that every window, and what would follow on it, lies inside.
    padded = np.pad(wave, (hop + reach, 3 * hop + 2 * reach + round(hop / factor)))
    stretched = np.zeros((count + 1) * hop, np.float32)
    start = reach
    for index in range(count):
        if index:
            nominal = round(index * hop / factor)
            wanted = padded[start + hop : start + 3 * hop]
            start = nominal + _most_alike(padded[nominal : nominal + 2 * (reach + hop)], wanted)
        stretched[index * hop : (index + 2) * hop] += window * padded[start : start + 2 * hop]
    return stretched[hop:]


def _most_alike(region: Wave, wanted: Wave) -> int:
    """Where in `region` that many samples are most like `wanted`, by their normalized correlation."""
    products = np.correlate(region, wanted, mode="valid")
    energies = np.convolve(np.square(region, dtype=np.float64), np.ones(len(wanted)), mode="valid")
    return int(np.argmax(products / np.sqrt(np.maximum(energies, 1e-9))))
