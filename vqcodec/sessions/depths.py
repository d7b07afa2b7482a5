"""How many codebooks each frame gets, where the encoder may choose: more where they bring more to the sound."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import NO_CODE, Codes, Wave
from vqcodec.errors import ConfigError
from vqcodec.models.engine import Engine
from vqcodec.sessions.stream import EncodeSession

MAX_QUALITY = 10.0
_QUIET_EXPONENTS = (0.25, 0.5)
"""Powers of a frame's power against the loudest near it that its error weighs, down to `_PAUSE_DB` and below."""
_PAUSE_DB = -20.0
_LOUD_DB = -35.0
"""Below full scale, that something counts as loud."""
_DECAY_DB_PER_SECOND = 2.5
"""By which the loudest that was, or will be, counts less."""
_LEAST_POWER = 1e-9
_BLOCK_FRAMES = 256
"""Frames whose depths are chosen together: 30 MB of vectors in the bundled model's."""


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
        self._hop = engine.hop_length
        self._decay = _DECAY_DB_PER_SECOND * engine.hop_length / engine.sample_rate_hz
        self._waiting: Wave = np.zeros((batch, 0), np.float32)
        self._loudest = np.full(batch, -np.inf)

    def push(self, wave: Wave) -> Codes:
        """Take the next samples [C, n]; return codes [C, K, m], -1 above the depths of the frames that are complete."""
        self._waiting = np.concatenate((self._waiting, wave), axis=1)
        return self._chosen(self._session.push(wave))

    def flush(self) -> Codes:
        """Return the codes of the rest."""
        missing = -self._waiting.shape[1] % self._hop
        self._waiting = np.pad(self._waiting, ((0, 0), (0, missing)))
        return self._chosen(self._session.flush())

    def _chosen(self, codes: Codes) -> Codes:
        channels, _, frames = codes.shape
        samples = frames * self._hop
        blocks = self._waiting[:, :samples].astype(np.float64).reshape(channels, frames, self._hop)
        self._waiting = self._waiting[:, samples:]
        levels_db = 10 * np.log10(np.square(blocks).mean(axis=2) + _LEAST_POWER)
        for channel, rows in enumerate(codes):
            weights, self._loudest[channel] = _weights(levels_db[channel], self._loudest[channel], self._decay)
            for start in range(0, frames, _BLOCK_FRAMES):
                part = rows[:, start : start + _BLOCK_FRAMES]
                depths = choose_depths(part, self._vectors, weights[start : start + _BLOCK_FRAMES], self._price)
                part[np.arange(len(part))[:, None] >= depths] = NO_CODE
        return codes


def choose_depths(
    codes: NDArray[Any], vectors: NDArray[np.float32], weights: NDArray[np.float64], price: float
) -> NDArray[np.int64]:
    """Choose how many of the codes [K, n] of each frame are kept, 1 to K: int64 [n].

    Leaving a code out moves the latent, of which `vectors` [K, size, dim] says what each code adds. A frame keeps as
    many as make the squared distance to the latent of all, times its entry of `weights` [n], and `price` for each code
    least. A depth that no neighbour shares gives way to theirs, since what changes often costs bits and is heard.
    """
    count, frames = codes.shape
    if not frames:
        return np.zeros(0, np.int64)
    latents = np.stack([vectors[index][row] for index, row in enumerate(codes)]).cumsum(axis=0)
    costs = weights * np.square(latents - latents[-1]).sum(axis=2) + price * np.arange(1, count + 1)[:, None]
    depths = costs.argmin(axis=0) + 1
    around = np.pad(depths, 1, mode="edge")
    middle: NDArray[np.int64] = np.median(np.stack((around[:-2], depths, around[2:])), axis=0).astype(np.int64)
    return middle


def check_quality(quality: float) -> None:
    """Raise ConfigError unless `quality` is in 0 to 10."""
    if not 0 <= quality <= MAX_QUALITY:
        raise ConfigError(f"vbr {quality:g} is not in 0..{MAX_QUALITY:g}")


def price_of(quality: float, vectors: NDArray[np.float32]) -> float:
    """Return the price of a code for `choose_depths`: for each step of `quality`, 0 to 10, 0.6 of an octave less.

    It is measured by the vectors of a codebook a third of the way up, so that it suits other models. Raises ConfigError
    as `check_quality`.
    """
    check_quality(quality)
    energy = float(np.square(vectors[len(vectors) // 3]).sum(axis=1).mean())
    return 2 ** (1 - 0.6 * quality) * energy


def _weights(levels_db: NDArray[np.float64], loudest_db: float, decay_db: float) -> tuple[NDArray[np.float64], float]:
    """What the error of each frame weighs, [n], and the loudest level to go on with.

    A frame is as loud as its loudest neighbour, so that beginnings are coded well, and weighs less the further it is
    below the loudest that was, or will be among these.
    """
    frames = len(levels_db)
    if not frames:
        return np.zeros(0), loudest_db
    fall = decay_db * np.arange(frames)
    before = np.maximum.accumulate(levels_db + fall)
    before = np.maximum(before, loudest_db - decay_db) - fall
    behind = np.maximum.accumulate(levels_db[::-1] + fall)[::-1] - fall[::-1]
    around = np.pad(levels_db, 1, mode="edge")
    near = np.maximum(np.maximum(around[:-2], around[2:]), levels_db)
    below = np.minimum(near - np.maximum(np.maximum(before, behind), _LOUD_DB), 0)
    quiet, pause = _QUIET_EXPONENTS
    weight_db = quiet * np.maximum(below, _PAUSE_DB) + pause * np.minimum(below - _PAUSE_DB, 0)
    return 10 ** (weight_db / 10), float(before[-1])
