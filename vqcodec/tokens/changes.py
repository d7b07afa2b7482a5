"""Changes of a recording that a listener hardly takes for another: under which codes should stay what they are."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vqcodec.arrays import Wave
from vqcodec.audio.resample import resample

_WINDOW_SECONDS, _SEARCH_SECONDS = 0.03, 0.01
"""Pieces that a stretch in time puts together, and how far one is moved to fit the one before."""


@dataclass(frozen=True)
class Recording:
    """A wave [T] at `rate_hz`, for a codec with frames of `hop_length` samples; `random` draws what is drawn."""

    wave: Wave
    rate_hz: int
    hop_length: int
    random: np.random.Generator


@dataclass(frozen=True)
class Change:
    """A change by name; frame n of what it makes is at the place of frame n - `later_frames` of the recording."""

    name: str
    make: Callable[[Recording], Wave]
    later_frames: int = 0


def _earlier(recording: Recording) -> Wave:
    return recording.wave[recording.hop_length // 2 :]


def _later(recording: Recording) -> Wave:
    return np.concatenate((np.zeros(recording.hop_length, np.float32), recording.wave))


def _level(gain_db: float) -> Change:
    def scaled(recording: Recording) -> Wave:
        wave: Wave = recording.wave * np.float32(10 ** (gain_db / 20))
        return wave

    return Change(f"level {gain_db:+g} dB", scaled)


def _noise(snr_db: float) -> Change:
    def noisy(recording: Recording) -> Wave:
        wave = recording.wave
        deviation = np.sqrt(np.mean(np.square(wave, dtype=np.float64))) * 10 ** (-snr_db / 20)
        noisy_wave: Wave = (wave + deviation * recording.random.standard_normal(len(wave))).astype(np.float32)
        return noisy_wave

    return Change(f"noise {snr_db:g} dB", noisy)


def _pitch(semitones: float) -> Change:
    def moved(recording: Recording) -> Wave:
        """Move it by playing it faster, and stretch that to its length again."""
        wave, rate_hz = recording.wave, recording.rate_hz
        faster = resample(wave[None], rate_hz, round(rate_hz / 2 ** (semitones / 12)))[0]
        return stretched(faster, len(wave), rate_hz)

    return Change(f"pitch {semitones:+g}", moved)


CHANGES = (
    Change("a frame later", _later, later_frames=1),
    Change("half a frame", _earlier),
    *(_level(gain_db) for gain_db in (-6, -20)),
    *(_noise(snr_db) for snr_db in (40, 20)),
    *(_pitch(semitones) for semitones in (-1, 1)),
)
"""A whole frame later, which a causal codec cannot tell but for its beginning; half a frame; levels in dB; white noise,
its power so many dB below the recording's; pitch in semitones at the same speed."""


def stretched(wave: Wave, samples: int, rate_hz: int) -> Wave:
    """Return `wave` [T] as `samples` samples, faster or slower at the same pitch: WSOLA, Verhelst and Roelands 1993.

    Each window is taken near where it should be, from where it goes on best from the one before.
    """
    hop, reach = max(1, round(_WINDOW_SECONDS * rate_hz / 2)), round(_SEARCH_SECONDS * rate_hz)
    window = 2 * hop
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)  # two, half a window apart, add up to 1
    ahead = window + reach
    padded = np.concatenate((np.zeros(ahead), wave.astype(np.float64), np.zeros(ahead + window)))
    out = np.zeros(samples + 2 * window)
    chosen = ahead - hop
    for start in range(0, samples + hop, hop):
        if start:
            goes_on = padded[chosen + hop : chosen + hop + window]
            first = ahead + round((start - hop) * len(wave) / samples) - reach
            near = padded[first : first + window + 2 * reach]
            chosen = first + int(np.argmax(np.correlate(near, goes_on, "valid")))
        out[start : start + window] += hann * padded[chosen : chosen + window]
    result: Wave = out[hop : hop + samples].astype(np.float32)
    return result
