"""How many codebooks each frame gets, where the encoder may choose: more where they bring more to the sound."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import NO_CODE, Codes, Wave
from vqcodec.errors import ConfigError
from vqcodec.models.engine import Engine
from vqcodec.sessions.stream import EncodeSession

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
_BLOCK_FRAMES = 256
"""Frames that are computed at a time."""


class VariedEncoder:
    """Codes of one wave of some channels, piece by piece, where each frame has only as many as `quality` asks for.

    `quality` 0 to 10. Give the other arguments as of `EncodeSession`. Raises ConfigError for an engine without depths.
    """

    def __init__(self, engine: Engine, quality: float, *, num_codebooks: int, batch: int) -> None:
        if not engine.has_depths:
            raise ConfigError(f"{engine.model_name} has as many codebooks in all frames; leave vbr out")
        self._session = EncodeSession(engine, num_codebooks=num_codebooks, batch=batch)
        self._vectors = self._session.engine.code_vectors()
        self._price = price_of(quality, self._vectors)
        self._decay_db = _DECAY_DB_PER_SECOND * engine.hop_length / engine.sample_rate_hz
        self._waiting: Wave = np.zeros((batch, 0), np.float32)
        self._channels = [_Channel(num_codebooks) for _ in range(batch)]

    def push(self, wave: Wave) -> Codes:
        """Take the next samples [C, n]; return codes [C, K, m] of frames that lie far enough back.

        They are -1 above the depth of a frame. Any split of the wave gives the same.
        """
        return self._chosen(self._session.push(wave), wave, is_end=False)

    def flush(self) -> Codes:
        """Return the codes of the rest. The next push starts anew."""
        missing = -self._waiting.shape[1] % self._session.engine.hop_length
        rest = np.zeros((len(self._waiting), missing), np.float32)
        codes = self._chosen(self._session.flush(), rest, is_end=True)
        self._channels = [_Channel(codes.shape[1]) for _ in codes]
        return codes

    def _chosen(self, codes: Codes, wave: Wave, *, is_end: bool) -> Codes:
        channels, _, frames = codes.shape
        hop = self._session.engine.hop_length
        waiting = np.concatenate((self._waiting, wave), axis=1)
        blocks = waiting[:, : frames * hop].astype(np.float64).reshape(channels, frames, hop)
        self._waiting = waiting[:, frames * hop :]
        levels_db = 10 * np.log10(np.square(blocks).mean(axis=2) + _LEAST_POWER)
        each = zip(self._channels, codes, levels_db, strict=True)
        return np.stack([self._of_channel(*one_channel, is_end=is_end) for one_channel in each])

    def _of_channel(self, channel: "_Channel", codes: Codes, levels_db: NDArray[np.float64], *, is_end: bool) -> Codes:
        channel.codes = np.concatenate((channel.codes, codes), axis=1)
        channel.levels_db = np.concatenate((channel.levels_db, levels_db))
        known = channel.codes.shape[1]
        ready = known if is_end else max(0, known - _AHEAD_FRAMES - 1)
        if not ready:
            return channel.codes[:, :0]
        seen = min(known, ready + 1)  # the next one's depth is looked at, so that none stands alone
        weights, loudest = _weights(channel, self._decay_db, seen)
        blocks = [slice(start, min(seen, start + _BLOCK_FRAMES)) for start in range(0, seen, _BLOCK_FRAMES)]
        joined = np.concatenate(
            [choose_depths(channel.codes[:, block], self._vectors, weights[block], self._price) for block in blocks]
        )
        smooth = _without_single(joined, channel.last_depth)[:ready]
        rows = channel.codes[:, :ready].copy()
        rows[np.arange(len(rows))[:, None] >= smooth] = NO_CODE
        channel.last_depth, channel.last_db = int(joined[ready - 1]), float(channel.levels_db[ready - 1])
        channel.loudest_db = float(loudest[ready - 1])
        channel.codes, channel.levels_db = channel.codes[:, ready:], channel.levels_db[ready:]
        return rows


class _Channel:
    """The frames of a channel whose depths are not chosen yet, and what is known of those before them."""

    def __init__(self, num_codebooks: int) -> None:
        self.codes: Codes = np.zeros((num_codebooks, 0), np.int64)
        self.levels_db = np.zeros(0)
        self.loudest_db = self.last_db = -np.inf
        self.last_depth: int | None = None


def choose_depths(
    codes: NDArray[Any], vectors: NDArray[np.float32], weights: NDArray[np.float64], price: float
) -> NDArray[np.int64]:
    """Choose how many of the codes [K, n] of each frame are kept, 1 to K: int64 [n].

    Leaving a code out moves the latent, of which `vectors` [K, size, dim] says what each code adds. A frame keeps as
    many as make the squared distance to the latent of all, times its entry of `weights` [n], and `price` for each code
    least.
    """
    count = len(codes)
    latents = np.stack([vectors[index][row] for index, row in enumerate(codes)]).cumsum(axis=0)
    costs = weights * np.square(latents - latents[-1]).sum(axis=2) + price * np.arange(1, count + 1)[:, None]
    depths: NDArray[np.int64] = costs.argmin(axis=0) + 1
    return depths


def _without_single(depths: NDArray[np.int64], before: int | None) -> NDArray[np.int64]:
    """`depths` [n] as the medians of three: a change for one frame costs bits, and is heard."""
    around = np.pad(depths, 1, mode="edge")
    if before is not None:
        around[0] = before
    middle: NDArray[np.int64] = np.median(np.stack((around[:-2], depths, around[2:])), axis=0).astype(np.int64)
    return middle


def check_quality(quality: float) -> None:
    """Raise ConfigError unless `quality` is in 0 to 10."""
    if type(quality) not in (int, float) or not 0 <= quality <= MAX_QUALITY:
        raise ConfigError(f"vbr {quality!r:.40} is not in 0..{MAX_QUALITY:g}")


def price_of(quality: float, vectors: NDArray[np.float32]) -> float:
    """Return the price of a code for `choose_depths`: for each step of `quality`, 0 to 10, 0.6 of an octave less.

    It is measured by the vectors of a codebook a third of the way up, so that it suits other models. Raises ConfigError
    as `check_quality`.
    """
    check_quality(quality)
    energy = float(np.square(vectors[len(vectors) // 3]).sum(axis=1).mean())
    return 2 ** (1.8 - 0.6 * quality) * energy


def _weights(channel: _Channel, decay_db: float, frames: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the error of each of the first `frames` waiting frames weighs, and the loudest that was up to each, in dB.

    A frame is as loud as its loudest neighbour, so that beginnings are coded well. It weighs a little less the further
    it is below the loudest that was, or that comes within `_AHEAD_FRAMES`, and much less where it is as soft as a room.
    """
    levels = channel.levels_db
    fall = decay_db * np.arange(len(levels))
    before = np.maximum(np.maximum.accumulate(levels + fall), channel.loudest_db - decay_db) - fall
    ahead = np.concatenate((levels, np.full(_AHEAD_FRAMES, -np.inf)))
    later = decay_db * np.arange(_AHEAD_FRAMES + 1)
    coming = np.lib.stride_tricks.sliding_window_view(ahead, _AHEAD_FRAMES + 1) - later
    around = np.concatenate(([channel.last_db], levels, [-np.inf]))
    near = np.maximum(np.maximum(around[:-2], around[2:]), levels)
    loudest = np.maximum(np.maximum(before, coming.max(axis=1)), _LOUD_DB)
    weight_db = _QUIET_EXPONENT * np.minimum(near - loudest, 0) + _ROOM_EXPONENT * np.minimum(near - _ROOM_DB, 0)
    return 10 ** (weight_db[:frames] / 10), before
