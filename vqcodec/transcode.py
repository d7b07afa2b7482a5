"""Blocks of samples <-> chunks of codes: resampling, sessions and container joined, in bounded memory."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from vqcodec.audio.resample import Resampler
from vqcodec.bitstream import Chunk, Header, VqcReader, VqcWriter
from vqcodec.bitstream.reader import OnDamage
from vqcodec.engine import Engine, Wave
from vqcodec.frames import ceil_div
from vqcodec.stream import DecodeSession, EncodeSession

_BLOCK_FRAMES = 256
_MIN_BLOCK_FRAMES = 8
_RESAMPLER_FRAMES = 8
"""Frames on either side of an excerpt that cover the resampler's filter."""


def block_frames(channels: int) -> int:
    """Frames per block: as many as a chunk of one channel has by default, fewer of each with more channels."""
    return max(_MIN_BLOCK_FRAMES, _BLOCK_FRAMES // channels)


def encode_blocks(
    blocks: Iterable[Wave], engine: Engine, header: Header, file: BinaryIO, *, tags: Mapping[str, str] | None = None
) -> int:
    """Write the .vqc of `blocks` [C, n] to `file`; returns the samples per channel that came."""
    writer = VqcWriter(file, header, entropy=engine.entropy, tags=tags)
    resampler = Resampler(header.original_rate_hz, engine.sample_rate_hz, header.channels)
    session = EncodeSession(engine, num_codebooks=header.num_codebooks, batch=header.channels)
    samples = 0
    for block in blocks:
        samples += block.shape[1]
        writer.write(session.push(resampler.push(block)))
    writer.write(session.push(resampler.flush()))
    writer.write(session.flush())
    writer.close(samples)
    return samples


@dataclass(frozen=True)
class Span:
    """The samples wanted, at the output rate, from `start` to before `end`."""

    rate_hz: int
    start: int
    end: int

    @property
    def length_samples(self) -> int:
        """Samples per channel."""
        return self.end - self.start


def decode_span(
    reader: VqcReader, engine: Engine, span: Span, num_codebooks: int, on_damage: OnDamage | None
) -> Iterator[Wave]:
    """The waves [C, n] of `span`; with `on_damage`, lost frames are concealed and a cut file ends early.

    Decoding begins early enough that the decoder's past and the resampler's filter are complete, at a frame whose
    first sample falls on a sample of the output rate.
    """
    header, hop = reader.header, engine.hop_length
    if span.start == span.end:
        return
    whole = engine.sample_rate_hz // math.gcd(hop * span.rate_hz, engine.sample_rate_hz)
    wanted = span.start * engine.sample_rate_hz // (span.rate_hz * hop)
    first = max(0, wanted - engine.decoder_context_frames - _RESAMPLER_FRAMES) // whole * whole
    last = ceil_div(span.end * engine.sample_rate_hz, span.rate_hz * hop) + _RESAMPLER_FRAMES
    resampler = Resampler(engine.sample_rate_hz, span.rate_hz, header.channels)
    position = first * hop * span.rate_hz // engine.sample_rate_hz
    chunks = reader.chunks(first, last, num_codebooks=num_codebooks, entropy=engine.entropy, on_damage=on_damage)
    for wave in _resampled(_synthesized(chunks, engine, header.channels), resampler):
        begin, end = max(0, span.start - position), min(wave.shape[1], span.end - position)
        position += wave.shape[1]
        if begin < end:
            yield wave[:, begin:end]


def _synthesized(chunks: Iterable[Chunk], engine: Engine, channels: int) -> Iterator[Wave]:
    """Waves at the model's rate, F * hop_length samples for F frames in all; lost frames are concealed."""
    step = block_frames(channels)
    session = DecodeSession(engine, batch=channels)
    for chunk in chunks:
        _, layers, frames = chunk.codes.shape
        for start in range(0, frames, step):
            part = chunk.codes[:, :, start : start + step]
            yield session.push(part) if layers else session.conceal(part.shape[2])
    yield session.flush()


def _resampled(waves: Iterable[Wave], resampler: Resampler) -> Iterator[Wave]:
    for wave in waves:
        yield resampler.push(wave)
    yield resampler.flush()
