"""Resampling with soxr, whole or as a stream, to an exact number of samples."""

import numpy as np
import soxr

from vqcodec.arrays import Wave
from vqcodec.frames import resampled_length


class Resampler:
    """Streaming resampler of waves [C, n]: the same output for any split of the input.

    After `flush` the total is ceil(T * to_hz / from_hz) samples per channel, or what `flush` is asked for.
    """

    def __init__(self, from_hz: int, to_hz: int, channels: int) -> None:
        self.from_hz, self.to_hz, self.channels = from_hz, to_hz, channels
        self._taken = 0
        self._given = 0
        self._stream = None
        if from_hz != to_hz:
            self._stream = soxr.ResampleStream(from_hz, to_hz, channels, dtype="float32", quality="HQ")

    def push(self, wave: Wave) -> Wave:
        """Resample the next samples [C, n]; returns those that are ready, [C, m]."""
        self._taken += wave.shape[1]
        ready = wave if self._stream is None else self._run(wave, last=False)
        self._given += ready.shape[1]
        return ready

    def flush(self, length_samples: int | None = None) -> Wave:
        """Return the rest [C, m], cut or padded with silence so that the total is `length_samples`."""
        total = resampled_length(self._taken, self.from_hz, self.to_hz) if length_samples is None else length_samples
        rest = np.zeros((self.channels, 0), dtype=np.float32)
        if self._stream is not None and self._taken:
            rest = self._run(rest, last=True)
        wanted = max(0, total - self._given)
        self._given += wanted
        return np.pad(rest[:, :wanted], ((0, 0), (0, max(0, wanted - rest.shape[1]))))

    def _run(self, wave: Wave, *, last: bool) -> Wave:
        assert self._stream is not None
        block = np.ascontiguousarray(wave.T)  # soxr wants [n, C], and exactly [n] for none
        out = self._stream.resample_chunk(block if self.channels > 1 else block[:, 0], last=last)
        return np.ascontiguousarray(out.reshape(-1, self.channels).T)


def resample(wave: Wave, from_hz: int, to_hz: int, *, length_samples: int | None = None) -> Wave:
    """Resample `wave` [C, T] to [C, length_samples], by default ceil(T * to_hz / from_hz) samples."""
    resampler = Resampler(from_hz, to_hz, wave.shape[0])
    ready = resampler.push(wave)
    total = resampled_length(wave.shape[1], from_hz, to_hz) if length_samples is None else length_samples
    return np.concatenate((ready, resampler.flush(total)), axis=1)[:, :total]
