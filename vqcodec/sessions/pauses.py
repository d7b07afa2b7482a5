"""Which frames are a pause, in which nobody speaks: found with the frame itself, for streams that must not wait.

The floor of the noise is the minimum of smoothed powers of the last seconds, band by band (Martin, 2001: Noise Power
Spectral Density Estimation Based on Optimal Smoothing and Minimum Statistics, IEEE Trans. SAP 9(5), section III).
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import Wave

_EDGES_HZ = (80, 500, 1000, 2000, 3000, 4000, 6000, 8000)
_LEAST_BINS = 4
_SMOOTHING_SECONDS = 0.12
_FLOOR_SECONDS = 2.0
_LEARNING_SECONDS = 0.4
"""At the beginning, in which nothing is known of the noise, and nothing is a pause."""
_ABOVE_FLOOR = 10**0.65
"""Power above the floor, which lies 1 to 2 dB below the noise, at which something else than noise is in a band."""
_LEAST_POWER = 1e-9
"""The least power of a band, -90 dB of full scale: nobody hears what lies below, such as dither."""
_LOUDEST_POWER = 1e-4
"""The most power of a pause, -40 dB of full scale: what is louder is none, however steady it is; music may be."""
_HANGOVER_SECONDS = 0.2
"""Seconds behind speech that are no pause, as its ends fall below the noise; behind a click they are fewer."""
_SHORT_HANGOVER_SECONDS = 0.04


class PauseDetector:
    """Samples of one channel in, frame by frame; out whether each is of a pause."""

    def __init__(self, sample_rate_hz: int, hop_length: int) -> None:
        frame_rate = sample_rate_hz / hop_length
        # Flat, but for 2 ms at each end: what begins late in a frame counts.
        ramp = np.sin(np.linspace(0, np.pi / 2, max(2, hop_length // 10), endpoint=False)) ** 2
        self._window = np.ones(hop_length)
        self._window[: len(ramp)] = ramp
        self._window[-len(ramp) :] = ramp[::-1]
        bins_hz = np.fft.rfftfreq(hop_length, 1 / sample_rate_hz)
        # Below the first edge, where rooms hum, nothing is looked at, nor in bands of which the rate has hardly a bin.
        bands = np.digitize(bins_hz, _EDGES_HZ)
        self._bands = np.where(np.bincount(bands)[bands] < _LEAST_BINS, 0, bands)
        self._keep = float(np.exp(-1 / (_SMOOTHING_SECONDS * frame_rate)))
        self._smoothed: NDArray[np.float64] = np.zeros(len(_EDGES_HZ) - 1)
        self._recent = np.full((round(_FLOOR_SECONDS * frame_rate), len(_EDGES_HZ) - 1), np.inf)
        self._unknown = round(_LEARNING_SECONDS * frame_rate)
        self._longest, self._shortest = (
            max(1, round(seconds * frame_rate)) for seconds in (_HANGOVER_SECONDS, _SHORT_HANGOVER_SECONDS)
        )
        self._frame = self._loud_frames = self._hangover = 0

    def are_pauses(self, frames: Iterable[Wave]) -> list[bool]:
        """Take the next frames, [hop_length] each, and tell of each."""
        return [self._is_pause(frame) for frame in frames]

    def _is_pause(self, frame: Wave) -> bool:
        spectrum = np.fft.rfft(self._window * frame)
        scale = 2 / np.square(self._window).sum() / len(self._window)
        powers = np.bincount(self._bands, scale * np.square(np.abs(spectrum)), len(_EDGES_HZ) + 1)[1:-1]
        powers = np.maximum(powers, _LEAST_POWER)
        self._frame += 1
        # A mean of all at first: one weak frame would stand for the floor.
        keep = min(self._keep, 1 - 1 / self._frame)
        self._smoothed = keep * self._smoothed + (1 - keep) * powers
        if self._frame > self._unknown // 2:
            self._recent[self._frame % len(self._recent)] = self._smoothed
        is_loud = bool(
            self._frame <= self._unknown
            or powers.sum() > _LOUDEST_POWER
            or (powers > _ABOVE_FLOOR * self._recent.min(axis=0)).any()
        )
        if is_loud:
            self._loud_frames += 1
            self._hangover = max(self._hangover, min(self._longest, self._loud_frames * self._shortest))
            return False
        self._loud_frames = 0
        self._hangover -= 1
        return self._hangover < 0
