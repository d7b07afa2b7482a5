"""Files whose rate is met on average: depths of frames are chosen so that the bytes of each minute or so meet a budget.

One price of a code holds for a window of frames (`vqcodec.sessions.depths`), as rate control by Lagrangian cost has it
(Shoham and Gersho, 1988). It is found by bisection on an estimate of the bytes. Behind each chunk that has been written
it is found anew for the rest of the window, by what that chunk really took.
"""

from collections.abc import Iterable, Mapping
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import Wave
from vqcodec.audio.resample import Resampler
from vqcodec.bitstream import Header, VqcWriter
from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.bitstream.spec import DEFAULT_FRAMES_PER_CHUNK
from vqcodec.bitstream.writer import max_frames_per_chunk
from vqcodec.frames import bits_per_code, ceil_div
from vqcodec.models.engine import Engine
from vqcodec.sessions.depths import WeighingEncoder, codes_at, depths_at, price_of
from vqcodec.sessions.search import CodedDepths, joined, no_frames

_WINDOW_SECONDS = 60
_LOWEST_QUALITY, _HIGHEST_QUALITY = -20.0, 14.0
"""At the price of the one every frame has one codebook, of the other speech has all, and the noise of a room two."""
_STEPS = 14
"""Bisections between this quality and the best: to 0.002, a thousandth of the bytes."""
_CHUNK_BYTES = 11
_LAYER_BYTES = 3
"""Taken by a chunk beside its codes and depths: head and checksum; by each layer: its size and the coder's end."""
_FORGETTING = 0.8
"""How much what earlier chunks took beside their estimate counts, from chunk to chunk."""


def encode_average(
    blocks: Iterable[Wave],
    engine: Engine,
    header: Header,
    file: BinaryIO,
    *,
    tags: Mapping[str, str] | None = None,
    kbps: float,
) -> int:
    """Write the .vqc of `blocks` [C, n] to `file`, of varied depth, so that all channels take `kbps` together.

    The sum is met for each window of about a minute, and what one is short of or over goes to the next. Less comes out
    where all codebooks of what is no pause take less, and more where one codebook takes more. Returns the samples
    per channel that came. Memory: two windows. Raises ConfigError for an engine without depths.
    """
    encoder = WeighingEncoder(engine, num_codebooks=header.num_codebooks, batch=header.channels)
    resampler = Resampler(header.original_rate_hz, engine.sample_rate_hz, header.channels)
    step = min(DEFAULT_FRAMES_PER_CHUNK, max_frames_per_chunk(header))
    writer = VqcWriter(file, header, frames_per_chunk=step, entropy=engine.entropy, tags=tags, varied=True)
    windows = _Windows(writer, header, engine.entropy, encoder.vectors, kbps * 1000 / 8 / engine.frame_rate, step)
    most = ceil_div(round(_WINDOW_SECONDS * engine.frame_rate), step) * step
    samples = 0
    for block in blocks:
        samples += block.shape[1]
        windows.add(encoder.push(resampler.push(block)))
        while windows.waiting_frames >= 2 * most:
            windows.write(most)
    windows.add(encoder.push(resampler.flush()))
    windows.add(encoder.flush())
    windows.write(windows.waiting_frames)  # up to two of them: none is of a few frames
    writer.close(samples)
    return samples


class _Windows:
    """Frames that wait to be written, and what those before took."""

    def __init__(
        self,
        writer: VqcWriter,
        header: Header,
        entropy: EntropyModel | None,
        vectors: NDArray[np.float32],
        frame_bytes: float,
        chunk_frames: int,
    ) -> None:
        self._writer, self._entropy, self._vectors = writer, entropy, vectors
        self._frame_bytes, self._chunk_frames = frame_bytes, chunk_frames
        self._bits = bits_per_code(header.codebook_size)
        self._waiting = no_frames(header.channels, header.num_codebooks)
        # Tags are what the user adds, no part of the rate.
        self._first_byte = writer.written_bytes - len(header.to_bytes())
        self._estimate = 0.0  # of the chunk that the writer holds back
        self._taken = self._estimated = 1.0

    @property
    def waiting_frames(self) -> int:
        """Frames that wait."""
        return self._waiting.frames

    def add(self, weighed: CodedDepths) -> None:
        """Let frames wait."""
        self._waiting = joined(self._waiting, weighed)

    def write(self, frames: int) -> None:
        """Write the first `frames` that wait, which are whole chunks unless they are the last."""
        (paths, errors), self._waiting = self._waiting.split(frames)
        budget = (self._writer.frames + frames) * self._frame_bytes
        needs = self._bytes_of(paths[:, -1])
        for start in range(0, frames, self._chunk_frames):
            spent = self._writer.written_bytes - self._first_byte + self._estimate * self._taken / self._estimated
            depths = self._depths(errors[:, :, start:], needs[:, :, start:], budget - spent)[:, : self._chunk_frames]
            chunk = slice(start, start + depths.shape[1])
            self._send(codes_at(paths[..., chunk], depths), self._estimated_bytes(depths, needs[:, :, chunk]))

    def _send(self, codes: NDArray[np.int32], estimate: float) -> None:
        """Give the writer a chunk, and learn from the one before, which then has left."""
        before = self._writer.written_bytes
        self._writer.write(codes)
        taken = self._writer.written_bytes - before
        if taken:
            self._taken = _FORGETTING * self._taken + taken
            self._estimated = _FORGETTING * self._estimated + self._estimate
        self._estimate = estimate

    def _depths(self, errors: NDArray[np.float64], needs: NDArray[np.float32], budget: float) -> NDArray[np.int64]:
        """The depths [C, n] of the best quality whose bytes are within `budget`, as far as can be told."""
        worst, best = _LOWEST_QUALITY, _HIGHEST_QUALITY
        found = self._at(errors, worst)
        for quality in (best, *[None] * _STEPS):
            tried = (worst + best) / 2 if quality is None else quality
            depths = self._at(errors, tried)
            if self._estimated_bytes(depths, needs) * self._taken / self._estimated <= budget:
                worst, found = tried, depths
            else:
                best = tried
            if worst == best:
                break
        return found

    def _at(self, errors: NDArray[np.float64], quality: float) -> NDArray[np.int64]:
        return depths_at(errors, price_of(quality, self._vectors))

    def _bytes_of(self, codes: NDArray[np.int32]) -> NDArray[np.float32]:
        """About how many bytes the first 0, 1, .. K codes of each frame take together: [C, K + 1, n]."""
        channels, num_codebooks, frames = codes.shape
        bits = np.full((channels, num_codebooks + 1, frames), self._bits, np.float32)
        bits[:, 0] = 0
        if self._entropy is not None:
            layers = min(num_codebooks, self._entropy.num_layers)
            for channel, its in zip(codes, bits, strict=True):
                for start in range(0, frames, self._chunk_frames):
                    chunk = slice(start, start + self._chunk_frames)
                    its[1 : layers + 1, chunk] = self._entropy.code_bits(channel[:layers, chunk])
        return (bits.cumsum(axis=1) / 8).astype(np.float32)

    def _estimated_bytes(self, depths: NDArray[np.int64], needs: NDArray[np.float32]) -> float:
        """About how many bytes chunks of these `depths` [C, n] have, where codes need `needs` [C, K + 1, n]."""
        num_codebooks = needs.shape[1] - 1
        chunks = ceil_div(depths.shape[1], self._chunk_frames)
        codes = float(np.take_along_axis(needs, depths[:, None], axis=1).sum(dtype=np.float64))
        around: int = chunks * (_CHUNK_BYTES + num_codebooks * _LAYER_BYTES)
        return codes + _flag_bytes(depths, num_codebooks) + around


def _flag_bytes(depths: NDArray[np.int64], num_codebooks: int) -> float:
    """About how many bytes say where `depths` [C, n] end: the entropy of the flags in their contexts (see `spec`)."""
    layer = np.arange(num_codebooks)[:, None, None]
    earlier = np.pad(depths[:, :-1], ((0, 0), (1, 0)), constant_values=-1)
    later = np.pad(depths[:, 1:], ((0, 0), (0, 1)), constant_values=-1)
    before = (earlier >= layer).astype(np.int8) + (earlier > layer)
    places = ((layer * 3 + before) * 2 + (later >= layer)) * 2 + (depths > layer)
    counts = np.bincount(places[depths >= layer], minlength=num_codebooks * 12).reshape(-1, 2)
    totals = np.broadcast_to(counts.sum(axis=1, keepdims=True), counts.shape)
    some = counts > 0
    bits: np.float64 = (counts[some] * np.log2(totals[some] / counts[some])).sum()
    return float(bits) / 8
