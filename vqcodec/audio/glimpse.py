"""What kind of sound some seconds are, at a glance: energy above a band, and whether it can be speech. numpy only.

Speech pauses between syllables and words, and no sound of it lasts; music and steady noise do neither. The two
measures below, the share of quiet frames and the likeness of spectra a tenth of a second apart, are after Scheirer and
Slaney, "Construction and evaluation of a robust multifeature speech/music discriminator", 1997. Where in doubt it is
speech: a needless warning costs more trust than a missing one.
"""

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import Wave
from vqcodec.frames import ceil_div

_FRAMES_PER_SECOND = 50
_LEAST_SECONDS = 3.0
"""A shorter clip can be one long vowel."""
_LEAST_RMS = 1e-4
_QUIET = 0.5
"""Share of the mean level: below it a frame is a pause."""
_FEWEST_QUIET_FRAMES = 0.2
"""Clean speech has more but for one clip in 100; noise and reverberation fill pauses."""
_MOST_LIKENESS = 0.84
"""None of 300 clips of speech had a larger mean: clean, with noises as loud as it, or in a hall. Chords have 0.9."""
_LIKENESS_SECONDS = 0.1
_LOWEST_HZ, _HIGHEST_HZ = 60, 8000


def share_above(wave: Wave, rate_hz: int, above_hz: float) -> float:
    """Return the share, 0 to 1, of the power of `wave` [C, T] that lies above a frequency; 0 for silence."""
    if wave.shape[1] == 0 or above_hz >= rate_hz / 2:
        return 0.0
    power = (np.abs(np.fft.rfft(wave, axis=1)) ** 2).sum(axis=0)
    frequencies = np.fft.rfftfreq(wave.shape[1], 1 / rate_hz)
    total = float(power.sum())
    return float(power[frequencies > above_hz].sum()) / total if total else 0.0


def is_unlike_speech(wave: Wave, rate_hz: int) -> bool:
    """Tell whether `wave` [C, T] cannot well be speech: no pauses, and sounds that last."""
    if wave.shape[1] < _LEAST_SECONDS * rate_hz:
        return False
    loudest = wave[int(np.argmax(np.square(wave).sum(axis=1)))].astype(np.float64)
    hop = rate_hz // _FRAMES_PER_SECOND
    frames = np.lib.stride_tricks.sliding_window_view(loudest, 2 * hop)[::hop]
    levels = np.sqrt(np.square(frames).mean(axis=1))
    if levels.mean() < _LEAST_RMS:
        return False
    quiet = float((levels < _QUIET * levels.mean()).mean())
    return quiet < _FEWEST_QUIET_FRAMES and _likeness(frames, rate_hz) > _MOST_LIKENESS


def _likeness(frames: NDArray[np.float64], rate_hz: int) -> float:
    """Return the mean cosine, 0 to 1, between the spectra of frames [F, n] a tenth of a second apart."""
    spectra = np.abs(np.fft.rfft(frames * np.hanning(frames.shape[1]), axis=1))
    frequencies = np.fft.rfftfreq(frames.shape[1], 1 / rate_hz)
    spectra = spectra[:, (frequencies > _LOWEST_HZ) & (frequencies < _HIGHEST_HZ)]
    spectra /= np.maximum(np.linalg.norm(spectra, axis=1, keepdims=True), 1e-12)
    apart = ceil_div(round(_LIKENESS_SECONDS * 1000) * _FRAMES_PER_SECOND, 1000)
    return float((spectra[apart:] * spectra[:-apart]).sum(axis=1).mean())
