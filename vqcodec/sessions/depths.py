"""How many codebooks each frame gets, where the encoder may choose: more where they bring more to the sound."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import NO_CODE, Codes, Wave
from vqcodec.errors import ConfigError
from vqcodec.models.engine import Engine
from vqcodec.sessions.search import SEARCHED_FRAMES, CodedDepths, Paths, joined, new_depth_coder, no_frames
from vqcodec.sessions.stream import streaming

MAX_QUALITY = 10.0
_QUIET_EXPONENT = 0.1
"""Power of a frame's power against the loudest near it that its error weighs (measured: PESQ at equal bytes)."""
_ROOM_DB = -50.0
_ROOM_EXPONENT = 2.0
"""Below `_ROOM_DB`, of full scale, errors count less by this power of the power: only a room's noise is left there."""
_LOUD_DB = -35.0
"""Below full scale, that something counts as loud."""
_DECAY_DB_PER_SECOND = 2.5
"""By which the loudest that was, or will be, counts less."""
_LEAST_POWER = 1e-9
_AHEAD_FRAMES = 64
"""Frames that come are looked at, 1.3 s at 50 Hz: a pause before speech is one."""
_RUN_FRAMES = SEARCHED_FRAMES
"""Frames whose depths are chosen together. They begin at multiples of as many, or with a block."""
_CHANGE = 0.2
"""What each codebook costs that begins or ends, as a part of the price of a code."""


class WeighingEncoder:
    """Codes of every depth of one wave of some channels, piece by piece, with how wrong each depth sounds there.

    A frame waits for those of more than a second behind it, which are looked at; with `block_frames` those of the same
    block are. Give the other arguments as of `EncodeSession`. Raises ConfigError for an engine without depths.
    """

    def __init__(self, engine: Engine, *, num_codebooks: int, batch: int, block_frames: int | None = None) -> None:
        if not engine.has_depths:
            raise ConfigError(f"{engine.model_name} has as many codebooks in all frames; leave vbr and abr out")
        self.vectors = streaming(engine).code_vectors()
        self._coder = new_depth_coder(
            engine, self.vectors, num_codebooks=num_codebooks, batch=batch, block_frames=block_frames
        )
        self._hop = engine.hop_length
        self._decay_db = _DECAY_DB_PER_SECOND * engine.hop_length / engine.sample_rate_hz
        self._ahead_frames = _AHEAD_FRAMES if block_frames is None else 0
        self._waiting: Wave = np.zeros((batch, 0), np.float32)
        self._known = no_frames(batch, num_codebooks)
        self._levels = [_Levels() for _ in range(batch)]

    def push(self, wave: Wave) -> CodedDepths:
        """Take the next samples [C, n]; return the frames that lie far enough back. Any split gives the same."""
        return self._weighed(self._coder.push(wave), wave, is_end=False)

    def flush(self) -> CodedDepths:
        """Return the rest of the frames. The next push starts anew."""
        missing = -self._waiting.shape[1] % self._hop
        rest = np.zeros((len(self._waiting), missing), np.float32)
        weighed = self._weighed(self._coder.flush(), rest, is_end=True)
        self._levels = [_Levels() for _ in self._levels]
        return weighed

    def _weighed(self, coded: CodedDepths, wave: Wave, *, is_end: bool) -> CodedDepths:
        """Frames [C, K, K, n] with their weighed errors."""
        channels, _, frames = coded.errors.shape
        waiting = np.concatenate((self._waiting, wave), axis=1)
        blocks = waiting[:, : frames * self._hop].astype(np.float64).reshape(channels, frames, self._hop)
        self._waiting = waiting[:, frames * self._hop :]
        levels_db = 10 * np.log10(np.square(blocks).mean(axis=2) + _LEAST_POWER)
        known = joined(self._known, coded)
        ready = known.frames if is_end else max(0, known.frames - self._ahead_frames)
        if self._ahead_frames and not is_end:
            ready -= ready % _RUN_FRAMES
        now, self._known = known.split(ready)
        for index, (its, more_db) in enumerate(zip(self._levels, levels_db, strict=True)):
            now.errors[index] *= its.weights(more_db, ready, self._decay_db)
        return now


class VariedEncoder:
    """Codes of one wave of some channels, piece by piece, where each frame has only as many as `quality` asks for.

    `quality` 0 to 10. Of `block_frames`, where they are given, all are decided by what is known at their end: a stream
    whose chunks have as many waits for nothing else. Give the other arguments as of `EncodeSession`. Raises ConfigError
    for an engine without depths.
    """

    def __init__(
        self, engine: Engine, quality: float, *, num_codebooks: int, batch: int, block_frames: int | None = None
    ) -> None:
        self._block_samples = block_frames and block_frames * engine.hop_length
        check_quality(quality)
        self._encoder = WeighingEncoder(engine, num_codebooks=num_codebooks, batch=batch, block_frames=block_frames)
        self._block: Wave = np.zeros((batch, 0), np.float32)
        self._price = price_of(quality, self._encoder.vectors)
        self._none = no_frames(batch, num_codebooks)

    def push(self, wave: Wave) -> Codes:
        """Take the next samples [C, n]; return codes [C, K, m] of frames that lie far enough back.

        They are -1 above the depth of a frame. Any split of the wave gives the same.
        """
        if self._block_samples is None:
            return self._chosen(self._encoder.push(wave))
        self._block = np.concatenate((self._block, wave), axis=1)
        codes = [self._chosen(self._none)]
        while self._block.shape[1] >= self._block_samples:
            block, self._block = np.split(self._block, [self._block_samples], axis=1)
            codes.append(self._chosen(self._encoder.push(block)))
        return np.concatenate(codes, axis=2)

    def flush(self) -> Codes:
        """Return the codes of the rest. The next push starts anew."""
        rest = joined(self._encoder.push(self._block), self._encoder.flush())
        self._block = self._block[:, :0]
        return self._chosen(rest)

    def _chosen(self, weighed: CodedDepths) -> Codes:
        return codes_at(weighed.paths, depths_at(weighed.errors, self._price)).astype(np.int64)


class _Levels:
    """The levels in dB of frames of a channel that are not weighed yet, and what is known of those before them."""

    def __init__(self) -> None:
        self._waiting_db = np.zeros(0)
        self._loudest_db = self._last_db = -np.inf

    def weights(self, levels_db: NDArray[np.float64], ready: int, decay_db: float) -> NDArray[np.float64]:
        """Take the next `levels_db`; return what errors of the first `ready` frames that wait weigh, which then go.

        A frame is as loud as its loudest neighbour, so that beginnings are coded well. It weighs a little less the
        further it is below the loudest that was, or that comes within `_AHEAD_FRAMES`, and much less where it is as
        soft as a room.
        """
        levels = np.concatenate((self._waiting_db, levels_db))
        if not ready:
            self._waiting_db = levels
            return np.zeros(0)
        fall = decay_db * np.arange(len(levels))
        before = np.maximum(np.maximum.accumulate(levels + fall), self._loudest_db - decay_db) - fall
        ahead = np.concatenate((levels, np.full(_AHEAD_FRAMES, -np.inf)))
        later = decay_db * np.arange(_AHEAD_FRAMES + 1)
        coming = np.lib.stride_tricks.sliding_window_view(ahead, _AHEAD_FRAMES + 1)[:ready] - later
        around = np.concatenate(([self._last_db], levels, [-np.inf]))
        near = np.maximum(np.maximum(around[:-2], around[2:]), levels)[:ready]
        loudest = np.maximum(np.maximum(before[:ready], coming.max(axis=1)), _LOUD_DB)
        weight_db = _QUIET_EXPONENT * np.minimum(near - loudest, 0) + _ROOM_EXPONENT * np.minimum(near - _ROOM_DB, 0)
        self._waiting_db = levels[ready:]
        self._last_db, self._loudest_db = float(levels[ready - 1]), float(before[ready - 1])
        weights: NDArray[np.float64] = 10 ** (weight_db / 10)
        return weights


def depths_at(errors: NDArray[Any], price: float) -> NDArray[np.int64]:
    """Choose how many codes of each frame are kept, 1 to K: int64 [C, n].

    Those at which `errors` [C, K, n], `price` for each code, and a part of it for each codebook that begins or ends
    from frame to frame are least together: a change costs bits, and is heard. Of each `_RUN_FRAMES` from the first on
    they are the best path through a trellis (Viterbi, 1967: Error Bounds for Convolutional Codes).
    """
    channels, layers, frames = errors.shape
    padded = -frames % _RUN_FRAMES
    costs = np.pad(errors + price * np.arange(1, layers + 1)[:, None], ((0, 0), (0, 0), (0, padded)))
    runs = costs.reshape(channels, layers, -1, _RUN_FRAMES).transpose(3, 0, 2, 1).reshape(_RUN_FRAMES, -1, layers)
    changes = _CHANGE * price * np.abs(np.arange(layers)[:, None] - np.arange(layers))
    best, come_from = runs[0], []
    for cost in runs[1:]:
        ways = best[:, None] + changes  # [runs, depth, depth before]
        come_from.append(ways.argmin(axis=2))
        best = np.take_along_axis(ways, come_from[-1][:, :, None], axis=2)[:, :, 0] + cost
    path = [best.argmin(axis=1)]
    for before in reversed(come_from):
        path.append(np.take_along_axis(before, path[-1][:, None], axis=1)[:, 0])
    depths: NDArray[np.int64] = np.stack(path[::-1], axis=1).reshape(channels, -1)[:, :frames] + 1
    return depths


def codes_at(paths: Paths, depths: NDArray[np.int64]) -> Paths:
    """Select from `paths` [C, K, K, n], the codes of every depth, those at the `depths` [C, n] of frames: [C, K, n]."""
    chosen: Paths = np.take_along_axis(paths, depths[:, None, None] - 1, axis=1)[:, 0]
    return chosen


def cut(codes: NDArray[Any], depths: NDArray[np.int64]) -> NDArray[Any]:
    """Return `codes` [C, K, n] with `NO_CODE` from the depth [C, n] of each frame on."""
    return np.where(np.arange(codes.shape[1])[:, None] < depths[:, None], codes, NO_CODE)


def check_quality(quality: float) -> None:
    """Raise ConfigError unless `quality` is in 0 to 10."""
    if type(quality) not in (int, float) or not 0 <= quality <= MAX_QUALITY:
        raise ConfigError(f"vbr {quality!r:.40} is not in 0..{MAX_QUALITY:g}")


def price_of(quality: float, vectors: NDArray[np.float32]) -> float:
    """Return the price of a code for `depths_at`: for each step of `quality`, 0 to 10, 0.6 of an octave less.

    It is measured by the vectors of a codebook a third of the way up, so that it suits other models.
    """
    energy = float(np.square(vectors[len(vectors) // 3]).sum(axis=1).mean())
    return 2 ** (1.95 - 0.6 * quality) * energy
