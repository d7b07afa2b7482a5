"""Codes of every depth at once: for each number of codebooks the best sum of so many vectors that a search finds.

The codes of a lower depth need not be the first of a higher one's: see `vqcodec.nn.quantizers.search`, which finds
those of one depth on torch. Here frames have depths of their own, so all are kept; numpy, whatever engine gave the
latents.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from vqcodec.arrays import NO_CODE, Codes, State, Wave
from vqcodec.models.effort import BEAMS
from vqcodec.models.engine import Engine
from vqcodec.sessions.stream import EncodeSession, streaming

SEARCHED_FRAMES = 64
"""Searched at once, always: a matrix product may round otherwise for another number of rows."""

Paths = NDArray[np.int32]


class LatentSession(EncodeSession):
    """An `EncodeSession` that gives latents, float32 [B, dim, n], where that gives codes."""

    @override
    def _nothing(self, frames: int) -> NDArray[Any]:
        return np.zeros((self.batch, self.engine.latent_dim, frames), np.float32)

    @override
    def _code(self, wave: Wave, state: State) -> tuple[NDArray[Any], State]:
        latents, state = self.engine.latent_block(wave, state)
        return latents.transpose(0, 2, 1), state


class CodedDepths(NamedTuple):
    """Frames with the codes of every depth.

    paths:  [C, K, K, n], the codes of a frame at depth 1, 2, .. K, with `NO_CODE` above
    errors: [C, K, n], the squared distance of their sums from what it should be
    """

    paths: Paths
    errors: NDArray[np.float64]

    @property
    def frames(self) -> int:
        """How many."""
        return len(self.errors.T)

    def split(self, frames: int) -> tuple["CodedDepths", "CodedDepths"]:
        """Return copies of the first `frames` and of the others."""
        first = CodedDepths(self.paths[..., :frames].copy(), self.errors[..., :frames].copy())
        return first, CodedDepths(self.paths[..., frames:].copy(), self.errors[..., frames:].copy())


def joined(first: CodedDepths, then: CodedDepths) -> CodedDepths:
    """Return the frames of both."""
    paths = np.concatenate((first.paths, then.paths), axis=3)
    return CodedDepths(paths, np.concatenate((first.errors, then.errors), axis=2))


def no_frames(channels: int, num_codebooks: int) -> CodedDepths:
    """Return what there is before the first frame."""
    shape = channels, num_codebooks, num_codebooks, 0
    return CodedDepths(np.zeros(shape, np.int32), np.zeros((channels, num_codebooks, 0)))


class DepthCoder(Protocol):
    """What gives the codes of every depth of one wave of some channels, piece by piece."""

    def push(self, wave: Wave) -> CodedDepths:
        """Take the next samples [C, n]; return the frames that are ready. Any split gives the same."""

    def flush(self) -> CodedDepths:
        """Return the rest. The next push starts anew."""


def new_depth_coder(
    engine: Engine, vectors: NDArray[np.float32], *, num_codebooks: int, batch: int, block_frames: int | None = None
) -> DepthCoder:
    """Make the one that fits an engine, of which `vectors` are the `code_vectors`.

    Frames may wait for others, up to `block_frames` of them, of which no one waits for those of the next block.
    """
    if not streaming(engine).is_searched:
        return _CutCoder(EncodeSession(engine, num_codebooks=num_codebooks, batch=batch), vectors)
    session = LatentSession(engine, num_codebooks=num_codebooks, batch=batch)
    return _SearchingCoder(session, vectors[:num_codebooks], block_frames or SEARCHED_FRAMES)


class _CutCoder:
    """Codes of each depth as the first of those of all, where the engine alone knows how codes are chosen."""

    def __init__(self, session: EncodeSession, vectors: NDArray[np.float32]) -> None:
        self._session, self._vectors = session, vectors

    def push(self, wave: Wave) -> CodedDepths:
        return self._cut(self._session.push(wave))

    def flush(self) -> CodedDepths:
        return self._cut(self._session.flush())

    def _cut(self, codes: Codes) -> CodedDepths:
        layers = np.arange(codes.shape[1])
        is_kept = layers <= layers[:, None]
        paths = np.where(is_kept[:, :, None], codes[:, None], NO_CODE).astype(np.int32)
        errors = np.stack([cut_errors(each, self._vectors) for each in codes]) if len(codes) else np.zeros(codes.shape)
        return CodedDepths(paths, errors)


class _SearchingCoder:
    def __init__(self, session: LatentSession, vectors: NDArray[np.float32], block_frames: int) -> None:
        self._session, self._vectors, self._block_frames = session, vectors, block_frames
        self._beams = BEAMS[session.engine.effort]
        self._waiting = session.push(np.zeros((session.batch, 0), np.float32))

    def push(self, wave: Wave) -> CodedDepths:
        return self._found(self._session.push(wave), is_end=False)

    def flush(self) -> CodedDepths:
        return self._found(self._session.flush(), is_end=True)

    def _found(self, latents: NDArray[Any], *, is_end: bool) -> CodedDepths:
        """Search whole blocks, at the end all."""
        waiting = np.concatenate((self._waiting, latents), axis=2)
        known = waiting.shape[2]
        ready = known if is_end else known // self._block_frames * self._block_frames
        self._waiting = waiting[:, :, ready:].copy()
        channels, layers = len(waiting), len(self._vectors)
        coded = CodedDepths(np.zeros((channels, layers, layers, ready), np.int32), np.zeros((channels, layers, ready)))
        for channel in range(channels):
            for part in self._parts(ready):
                paths, errors = search_depths(waiting[channel, :, part].T, self._vectors, self._beams)
                coded.paths[channel, :, :, part], coded.errors[channel, :, part] = paths, errors
        return coded

    def _parts(self, frames: int) -> Iterator[slice]:
        """Blocks, in parts of `SEARCHED_FRAMES`."""
        for block in range(0, frames, self._block_frames):
            end = min(frames, block + self._block_frames)
            for start in range(block, end, SEARCHED_FRAMES):
                yield slice(start, min(end, start + SEARCHED_FRAMES))


def cut_errors(codes: NDArray[Any], vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the squared distances to the latent of all `codes` [K, n] where 1, 2, .. K of them are kept: [K, n]."""
    latents = np.stack([vectors[index][row] for index, row in enumerate(codes)]).cumsum(axis=0)
    errors: NDArray[np.float64] = np.square(latents - latents[-1], dtype=np.float64).sum(axis=2)
    return errors


def search_depths(
    latents: NDArray[np.float32], vectors: NDArray[np.float32], width: int
) -> tuple[Paths, NDArray[np.float64]]:
    """Search for the codes of up to `SEARCHED_FRAMES` latents [n, dim], `width` partial sums of which go on.

    `vectors` [K, size, dim] is what the codes add. Returns paths int32 [K, K, n], the codes at depth 1, 2, .. K with
    `NO_CODE` above, and the squared distances of their sums, [K, n].
    """
    num_codebooks, size, dim = vectors.shape
    count, rows = len(latents), np.arange(SEARCHED_FRAMES)[:, None]
    residual = np.zeros((SEARCHED_FRAMES, 1, dim), np.float32)
    residual[:count, 0] = latents
    gain = np.zeros((SEARCHED_FRAMES, 1), np.float32)  # half of what the squared distances fell by
    errors = np.zeros((num_codebooks, SEARCHED_FRAMES))
    parents, codes = [], []
    for index, table in enumerate(vectors):
        scores = residual.reshape(-1, dim) @ table.T - np.square(table).sum(axis=1) / 2
        scores = (scores.reshape(*gain.shape, size) + gain[:, :, None]).reshape(SEARCHED_FRAMES, -1)
        best = _highest(scores, min(width, scores.shape[1]))
        gain = np.take_along_axis(scores, best, axis=1)
        parent, code = np.divmod(best, size)
        residual = residual[rows, parent] - table[code]
        errors[index] = np.square(residual[:, 0], dtype=np.float64).sum(axis=1)
        parents.append(parent)
        codes.append(code)
    paths = np.full((num_codebooks, num_codebooks, SEARCHED_FRAMES), NO_CODE, np.int32)
    at = np.zeros((num_codebooks, SEARCHED_FRAMES), np.int64)  # the best sum of each depth is the first
    for index in reversed(range(num_codebooks)):
        paths[index:, index] = codes[index][rows[:, 0], at[index:]]
        at[index:] = parents[index][rows[:, 0], at[index:]]
    return paths[:, :, :count], errors[:, :count]


def _highest(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Indices [n, count] of the highest of each row of `scores`, descending; the first of equals."""
    rows, found = np.arange(len(scores)), np.empty((len(scores), count), np.int64)
    left = scores.copy()
    for rank in range(count):
        found[:, rank] = left.argmax(axis=1)
        left[rows, found[:, rank]] = -np.inf
    return found
