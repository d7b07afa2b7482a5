"""Waves of a clip on their way into codecs and back: one channel, [T], checked and resampled."""

from collections.abc import Sequence

import numpy as np

from vqcodec.arrays import Wave
from vqcodec.audio.resample import resample
from vqcodec.errors import AudioError


def check_wave(wave: Wave) -> None:
    """Raise AudioError unless `wave` is floats [T], T > 0, without NaN: what any codec may be asked to code."""
    if wave.ndim != 1 or wave.dtype.kind != "f":
        raise AudioError(f"wave is {wave.dtype} {list(wave.shape)}; give floats [T] in [-1, 1]")
    if not len(wave):
        raise AudioError("the clip has no samples; leave it out")
    if not np.isfinite(wave).all():
        raise AudioError("the clip has samples that are NaN or infinite; repair it")


def fitting_hz(rate_hz: int, choices: Sequence[int]) -> int:
    """Choose the rate that keeps most of a wave at `rate_hz`: the lowest not below it, or else the highest."""
    return min((choice for choice in choices if choice >= rate_hz), default=max(choices))


def resampled(wave: Wave, from_hz: int, to_hz: int) -> Wave:
    """Return `wave` [T] at another rate: float32 [ceil(T * to_hz / from_hz)]."""
    wave_hat: Wave = resample(np.asarray(wave, np.float32)[None], from_hz, to_hz)[0]
    return wave_hat
