"""The delay of a codec, found and taken out: metrics compare what was said, not when. Levels are not touched.

First the loudness of bands over time is correlated, which a vocoder keeps though it makes a wave of its own; then the
waves, near that delay.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from vqcodec.arrays import Wave
from vqcodec.frames import ceil_div

_HOP_SECONDS, _WINDOW_HOPS = 0.005, 4
_FINE_SECONDS = 0.01
_BANDS, _LOWEST_HZ, _HIGHEST_HZ = 12, 100, 4000


@dataclass(frozen=True)
class Aligned:
    """`wave_hat` [T] with the length of the original, `delay_samples` earlier than it came (later if negative)."""

    wave_hat: Wave
    delay_samples: int


def align(wave: Wave, wave_hat: Wave, rate_hz: int, *, max_seconds: float = 0.5) -> Aligned:
    """Move `wave_hat` [T'] by up to `max_seconds` to where it fits `wave` [T]; cut or fill with zeros to length T.

    The delay is 0 where there is nothing to go by: silence, NaN, no samples.
    """
    delay = 0
    if all(len(x) and np.isfinite(x).all() and np.ptp(x) > 0 for x in (wave, wave_hat)):
        delay = _delay(wave.astype(np.float64), wave_hat.astype(np.float64), rate_hz, round(max_seconds * rate_hz))
    moved = np.zeros(len(wave), np.float32)
    start, stop = max(0, -delay), min(len(wave), len(wave_hat) - delay)
    if stop > start:
        moved[start:stop] = wave_hat[start + delay : stop + delay]
    return Aligned(moved, delay)


def _delay(wave: NDArray[np.float64], wave_hat: NDArray[np.float64], rate_hz: int, most: int) -> int:
    """Samples in -most..most by which `wave_hat` comes later."""
    hop = round(_HOP_SECONDS * rate_hz)
    coarse, reach = 0, most
    if min(len(wave), len(wave_hat)) > 2 * _WINDOW_HOPS * hop:
        true, guess = (_envelopes(x, rate_hz, hop) for x in (wave, wave_hat))
        coarse = hop * _peak(_correlation(true, guess, ceil_div(most, hop)), 0)
        reach = round(_FINE_SECONDS * rate_hz)
    similarity = np.abs(_correlation(wave[:, None], wave_hat[:, None], most))  # a codec may turn the wave over
    low, high = max(-most, coarse - reach), min(most, coarse + reach)
    if low > high:
        low, high = (most, most) if coarse > 0 else (-most, -most)
    return _peak(similarity[low + most : high + most + 1], (low + high) / 2)


def _peak(values: NDArray[np.float64], middle: float) -> int:
    """The lag of the greatest of `values`, whose middle has the lag `middle`."""
    return int(np.argmax(values) - (len(values) - 1) / 2 + middle)


def _correlation(true: NDArray[np.float64], guess: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Sum over columns of the correlations of [T, C] with [T', C], lags -most..most."""
    size = next_fast_len(max(len(true), len(guess)) + most + 1, real=True)
    spectrum = rfft(guess, size, axis=0) * np.conj(rfft(true, size, axis=0))
    lags = irfft(spectrum.sum(axis=1), size)
    return np.concatenate([lags[-most:], lags[: most + 1]]) if most else lags[:1]


def _envelopes(wave: NDArray[np.float64], rate_hz: int, hop: int) -> NDArray[np.float64]:
    """Log energy of bands over time [S, bands], each around its mean."""
    window = _WINDOW_HOPS * hop
    frames = np.lib.stride_tricks.sliding_window_view(wave, window)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(window), axis=1)) ** 2
    edges = np.geomspace(_LOWEST_HZ, min(_HIGHEST_HZ, rate_hz / 2), _BANDS + 1) * window / rate_hz
    edges = np.unique(np.round(edges).astype(int))
    bands = np.stack([power[:, low:high].sum(axis=1) for low, high in pairwise(edges)], axis=1)
    logs = np.log(bands + 1e-4 * bands.mean(axis=0) + 1e-12)
    centred: NDArray[np.float64] = logs - logs.mean(axis=0)
    return centred
