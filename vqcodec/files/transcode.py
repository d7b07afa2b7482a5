"""Blocks of samples <-> chunks of codes: resampling, sessions and container joined, in bounded memory."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import Wave
from vqcodec.audio.resample import Resampler
from vqcodec.bitstream import Chunk, Header, VqcReader, VqcWriter
from vqcodec.bitstream.reader import OnDamage
from vqcodec.errors import BitstreamError, ConfigError
from vqcodec.files.average import encode_average
from vqcodec.frames import ceil_div, clock, resampled_length
from vqcodec.models.engine import Engine
from vqcodec.sessions.clip_session import SCALES_TAG
from vqcodec.sessions.comfort import PausingEncoder, Run
from vqcodec.sessions.new import Decoder, context_of, new_decoder, new_encoder, tags_of
from vqcodec.sessions.stream import DecodeSession

_BLOCK_FRAMES = 256
_MIN_BLOCK_FRAMES = 8
_MIN_ENTROPY_FRAMES = 8
"""Entropy coding shortens no chunk of fewer frames (measured, 1 to 12 codebooks), and takes 1 to 3 ms to find out."""
_LONG_LOSS_FRAMES = 64
_RESAMPLER_FRAMES = 8
"""Frames on either side of an excerpt that cover the resampler's filter."""


def block_frames(channels: int) -> int:
    """Count the frames per block: as many as a chunk of one channel has by default, fewer with more channels."""
    return max(_MIN_BLOCK_FRAMES, _BLOCK_FRAMES // channels)


def encode_blocks(
    blocks: Iterable[Wave],
    engine: Engine,
    header: Header,
    file: BinaryIO,
    *,
    tags: Mapping[str, str] | None = None,
    live_frames: int | None = None,
    vbr: float | None = None,
    average_kbps: float | None = None,
) -> int:
    """Write the .vqc of `blocks` [C, n] to `file`; returns the samples per channel that came.

    `live_frames`: frames per chunk of a live stream, whose chunks leave as soon as they are full. `vbr`: the quality,
    0 to 10, where each frame has as many codebooks as it needs. `average_kbps`: what all channels take together.
    """
    if average_kbps is not None:
        return encode_average(blocks, engine, header, file, tags=tags, kbps=average_kbps)
    if engine.is_scaled and live_frames is None and vbr is None:
        return _encode_scaled(blocks, engine, header, file, tags or {})
    is_short = live_frames is not None and live_frames < _MIN_ENTROPY_FRAMES
    entropy = None if is_short else engine.entropy
    writer = VqcWriter(
        file,
        header,
        frames_per_chunk=live_frames,
        entropy=entropy,
        tags=tags,
        live=live_frames is not None,
        varied=vbr is not None,
    )
    resampler = Resampler(header.original_rate_hz, engine.sample_rate_hz, header.channels)
    live, channels = live_frames is not None, header.channels
    session = new_encoder(engine, header.num_codebooks, batch=channels, live=live, vbr=vbr, block_frames=live_frames)
    samples = 0
    for block in blocks:
        samples += block.shape[1]
        writer.write(session.push(resampler.push(block)))
    rest = session.push(resampler.flush())
    writer.close(samples, tail=np.concatenate((rest, session.flush()), axis=2))
    return samples


def encode_pausing(
    blocks: Iterable[Wave],
    engine: Engine,
    header: Header,
    file: BinaryIO,
    *,
    tags: Mapping[str, str] | None = None,
    live_frames: int,
) -> int:
    """Do as `encode_blocks` for a live stream whose pauses, where nobody speaks, are chunks of noise, of 0.8 s each.

    What follows a pause ends its chunk, and waits no longer than elsewhere.
    """
    entropy = None if live_frames < _MIN_ENTROPY_FRAMES else engine.entropy
    writer = VqcWriter(file, header, frames_per_chunk=live_frames, entropy=entropy, tags=tags, live=True, varied=True)
    encoder = PausingEncoder(engine, num_codebooks=header.num_codebooks, batch=header.channels)
    resampler = Resampler(header.original_rate_hz, engine.sample_rate_hz, header.channels)
    samples, is_pause = 0, False

    def follow(run: Run) -> None:
        nonlocal is_pause
        if run.is_pause != is_pause:
            is_pause = run.is_pause
            writer.change(*((encoder.pause_frames, engine.entropy) if is_pause else (live_frames, entropy)))

    for block in blocks:
        samples += block.shape[1]
        for run in encoder.push(resampler.push(block)):
            follow(run)
            writer.write(run.codes)
    last = [*encoder.push(resampler.flush()), *encoder.flush()]
    for run in last[:-1]:
        follow(run)
        writer.write(run.codes)
    for run in last[-1:]:
        follow(run)
    writer.close(samples, tail=last[-1].codes if last else None)
    return samples


def _encode_scaled(
    blocks: Iterable[Wave],
    engine: Engine,
    header: Header,
    file: BinaryIO,
    tags: Mapping[str, str],
) -> int:
    """Do as `encode_blocks`; the file is written at the end, since its tags hold levels that only then are known."""
    if SCALES_TAG in tags:
        raise ConfigError(f"the tag {SCALES_TAG!r} is taken by the levels of this model; choose another name")
    resampler = Resampler(header.original_rate_hz, engine.sample_rate_hz, header.channels)
    encoder = new_encoder(engine, header.num_codebooks, batch=header.channels)
    samples, codes = 0, []
    for block in blocks:
        samples += block.shape[1]
        codes.append(encoder.push(resampler.push(block)))
    codes += [encoder.push(resampler.flush()), encoder.flush()]
    try:
        writer = VqcWriter(file, header, tags={**tags, **tags_of(encoder)})
    except BitstreamError as error:  # a tag is too long
        raise ConfigError(f"{clock(samples / header.original_rate_hz)} is too long for this model ({error})") from None
    writer.write(np.concatenate(codes, axis=2))
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
    """Yield the waves [C, n] of `span`; with `on_damage`, lost frames are concealed and a cut file ends early.

    Decoding begins early enough that the decoder's past and the resampler's filter are complete, at a frame whose
    first sample falls on a sample of the output rate.
    """
    header, hop = reader.header, engine.hop_length
    if span.start == span.end:
        return
    whole = engine.sample_rate_hz // math.gcd(hop * span.rate_hz, engine.sample_rate_hz)
    wanted = span.start * engine.sample_rate_hz // (span.rate_hz * hop)
    context = context_of(engine, header.frames)
    whole = math.lcm(whole, context.step)
    first = max(0, wanted - context.before - _RESAMPLER_FRAMES) // whole * whole
    last = ceil_div(span.end * engine.sample_rate_hz, span.rate_hz * hop) + _RESAMPLER_FRAMES + context.after
    resampler = Resampler(engine.sample_rate_hz, span.rate_hz, header.channels)
    position = first * hop * span.rate_hz // engine.sample_rate_hz
    chunks = reader.chunks(
        first, last, num_codebooks=num_codebooks, entropy=engine.entropy, fill=True, on_damage=on_damage
    )
    session = new_decoder(
        engine,
        batch=header.channels,
        tags=reader.tags,
        frames=header.frames,
        first_frame=first,
        conceal=on_damage is not None,
    )
    joined = _joined(_decodable(chunks, engine), lambda: True, block_frames(header.channels))
    for wave in _resampled(_synthesized(joined, session, header.channels), resampler):
        begin, end = max(0, span.start - position), min(wave.shape[1], span.end - position)
        position += wave.shape[1]
        if begin < end:
            yield wave[:, begin:end]


def decode_stream(
    reader: VqcReader,
    engine: Engine,
    rate_hz: int,
    num_codebooks: int,
    on_damage: OnDamage | None,
    *,
    is_more_at_hand: Callable[[], bool],
) -> Iterator[Wave]:
    """Yield the waves [C, n] of a stream from its beginning, as its chunks come; the length may show only at the end.

    While `is_more_at_hand` says that the next chunk need not be waited for, it is decoded together with those before.
    Damage as in `decode_span`; without `on_damage` its error is raised after all that was whole before it.
    """
    header = reader.header
    failures: list[BitstreamError] = []
    resampler = Resampler(engine.sample_rate_hz, rate_hz, header.channels)
    read = reader.chunks(num_codebooks=num_codebooks, entropy=engine.entropy, fill=True, on_damage=on_damage)
    chunks = _joined(_before(_decodable(read, engine), failures), is_more_at_hand, block_frames(header.channels))
    position = 0
    session = DecodeSession(engine, batch=header.channels)
    for wave in _resampled(_synthesized(chunks, session, header.channels), resampler):
        left = wave.shape[1]
        if reader.samples is not None:
            left = resampled_length(reader.samples, header.original_rate_hz, rate_hz) - position
        position += wave.shape[1]
        if wave[:, : max(0, left)].shape[1]:
            yield wave[:, :left]
    if failures:
        raise failures[0]


def _before(chunks: Iterable[Chunk], failures: list[BitstreamError]) -> Iterator[Chunk]:
    """`chunks` up to the error that ends them, which goes to `failures`."""
    try:
        yield from chunks
    except BitstreamError as error:
        failures.append(error)


def _decodable(chunks: Iterable[Chunk], engine: Engine) -> Iterator[Chunk]:
    """`chunks`, with an error where their frames have depths, and the model has none; frames of no code are lost."""
    for chunk in chunks:
        if chunk.codes.min(initial=0) >= 0:
            yield chunk
            continue
        if not engine.has_depths:
            raise BitstreamError(f"the .vqc has frames of fewer codebooks, which {engine.model_name} does not decode")
        are_lost: NDArray[np.bool_] = np.any(chunk.codes[:, 0] < 0, axis=0)
        places = np.flatnonzero(np.diff(are_lost)) + 1
        for start, codes in zip([0, *places], np.split(chunk.codes, places, axis=2), strict=True):
            yield Chunk(chunk.start_frame + start, codes[:, :0] if are_lost[start] else codes)


@dataclass(frozen=True, eq=False)
class _Run:
    """Codes [C, K, F], and which of the frames are lost [F]. K is 0 where all are."""

    codes: NDArray[Any]
    lost: NDArray[np.bool_]


def _joined(chunks: Iterable[Chunk], is_more_at_hand: Callable[[], bool], most_frames: int) -> Iterator[_Run]:
    """`chunks`, those at hand joined up to some `most_frames`; long losses alone, which must take no memory.

    Many frames at once take a model little longer than one: whoever lags behind catches up.
    """
    waiting, frames = list[Chunk](), 0
    for chunk in chunks:
        _, layers, size = chunk.codes.shape
        is_long_loss = not layers and size > _LONG_LOSS_FRAMES
        if waiting and is_long_loss:
            yield _run_of(waiting)
            waiting, frames = [], 0
        waiting.append(chunk)
        frames += size
        if is_long_loss or frames >= most_frames or not is_more_at_hand():
            yield _run_of(waiting)
            waiting, frames = [], 0
    if waiting:
        yield _run_of(waiting)


def _run_of(chunks: list[Chunk]) -> _Run:
    layers = max(chunk.codes.shape[1] for chunk in chunks)
    codes = [
        chunk.codes
        if chunk.codes.shape[1] == layers
        else np.zeros((len(chunk.codes), layers, chunk.codes.shape[2]), int)
        for chunk in chunks
    ]
    lost = [np.full(chunk.codes.shape[2], chunk.codes.shape[1] == 0) for chunk in chunks]
    return _Run(np.concatenate(codes, axis=2), np.concatenate(lost))


def _synthesized(runs: Iterable[_Run], session: Decoder, channels: int) -> Iterator[Wave]:
    """Waves at the model's rate, F * hop_length samples for F frames in all; lost frames are concealed."""
    step = block_frames(channels)
    for run in runs:
        _, layers, frames = run.codes.shape
        for start in range(0, frames, step):
            part, lost = run.codes[:, :, start : start + step], run.lost[start : start + step]
            yield session.push(part, lost) if layers else session.conceal(part.shape[2])
    yield session.flush()


def _resampled(waves: Iterable[Wave], resampler: Resampler) -> Iterator[Wave]:
    for wave in waves:
        yield resampler.push(wave)
    yield resampler.flush()
