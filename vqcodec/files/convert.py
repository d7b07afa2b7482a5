"""The one door where codec, container and audio meet: files and waves <-> .vqc, in blocks of a few seconds."""

import io
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np

from vqcodec.arrays import Wave, flushed
from vqcodec.audio.downmix import to_mono
from vqcodec.audio.reader import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ, AudioReader, check_peak
from vqcodec.audio.writer import AudioWriter, check_format, fitting_rate
from vqcodec.bitstream import VqcReader
from vqcodec.bitstream.open_vqc import open_vqc
from vqcodec.bitstream.reader import OnDamage
from vqcodec.errors import AudioError, ConfigError
from vqcodec.files.glance import remarks
from vqcodec.files.request import (
    DecodeOptions,
    DecodeRequest,
    EncodeOptions,
    EncodeRequest,
    Model,
    Source,
    VariedOptions,
    check_target,
    equal_channels,
    new_header,
    repeated,
    usable_tags,
)
from vqcodec.files.transcode import Span, block_frames, decode_span, encode_blocks
from vqcodec.frames import ceil_div, clock, resampled_length
from vqcodec.models import zoo
from vqcodec.models.effort import Effort
from vqcodec.output import Target, atomic_output

OnProgress = Callable[[float, float], None]
"""Called with the seconds done and the seconds in all."""
OnRemark = Callable[[str, str], None]
"""Called with the kind of a remark about an input, and its text."""


@dataclass(frozen=True)
class Summary:
    """What was written: length and channels of the audio, and the bytes of the .vqc (encoding) or the audio file."""

    duration_seconds: float
    file_bytes: int
    channels: int = 1

    @property
    def kbps(self) -> float:
        """Bits of the file per second of audio / 1000; NaN for no audio."""
        return 8 * self.file_bytes / self.duration_seconds / 1000 if self.duration_seconds else math.nan


def encode_file(
    source: Source,
    target: Target,
    *,
    on_progress: OnProgress | None = None,
    on_remark: OnRemark | None = None,
    **options: Unpack[EncodeOptions],
) -> Summary:
    """Encode an audio file (WAV, FLAC, Ogg, MP3; 4 to 192 kHz, 1 to 255 channels) to a .vqc.

    The input is looked at before the model is loaded; `on_remark` then hears of what the model is not made for, such
    as music, and of channels that each cost its rate. Channels that are all the same are coded once. `options` as in
    `EncodeOptions`; the title, artist and so on of the input are kept beside the tags given. Raises AudioError,
    OutputError, ModelError and ConfigError; a failing call leaves no file.
    """
    request = EncodeRequest(**options)
    check_target(source, target, force=request.force, is_coded=True)
    with AudioReader(source, on_truncated=request.on_truncated) as audio:
        is_once = request.codes_once(audio)
        channels = audio.channels if request.mono is None and not is_once else 1
        if on_remark is not None:
            for kind, text in remarks(audio, request, channels):
                on_remark(kind, text)
        codec = request.codec()
        block_samples = ceil_div(block_frames(audio.channels) * codec.hop_length * audio.rate_hz, codec.sample_rate_hz)
        header = new_header(
            codec,
            rate_hz=audio.rate_hz,
            channels=channels,
            samples=audio.length_samples if audio.is_length_exact else None,
            num_codebooks=request.codebooks_of(codec, channels),
        )
        kept = usable_tags({**audio.tags, **(request.tags or {})})
        if is_once:
            kept |= equal_channels(audio.channels)
        read = audio.blocks(block_samples)
        mono = "left" if is_once else request.mono
        mixed = read if mono is None else to_mono(read, mono, audio.name)
        blocks = _reported(mixed, audio.rate_hz, audio.length_samples, on_progress)
        with atomic_output(target, suffix=".vqc", force=request.force) as path:
            with path.open("wb") as file:
                samples = encode_blocks(
                    blocks, codec, header, file, tags=kept, vbr=request.vbr, average_kbps=request.average_of(channels)
                )
            file_bytes = path.stat().st_size
    return Summary(samples / audio.rate_hz, file_bytes, channels)


def decode_file(
    source: Source,
    target: Target,
    *,
    start_seconds: float = 0.0,
    duration_seconds: float | None = None,
    on_progress: OnProgress | None = None,
    on_damage: OnDamage | None = None,
    **options: Unpack[DecodeOptions],
) -> Summary:
    """Decode a .vqc to an audio file in the format of the target's suffix (a file object: WAV).

    `start_seconds` and `duration_seconds` decode an excerpt, by seeking; `options` as in `DecodeOptions`. The original
    channels and rate come back, for .opus the next rate that it has, and tags where the format has them. Damage raises
    an error, unless `on_damage` takes it: lost frames are then concealed (the last sound goes on and fades), and a cut
    file ends early. Raises BitstreamError and its kinds, ModelError, OutputError, AudioError (a format that cannot hold
    the audio) and ConfigError; a failing call leaves no file behind.
    """
    request = DecodeRequest(**options)
    check_target(source, target, force=request.force)
    with open_vqc(source) as reader:
        rate = request.rate_of(reader.header)
        if request.rate_hz is None and isinstance(target, str | Path):
            rate = fitting_rate(target, rate)
        span = _span(reader, start_seconds, duration_seconds, rate, on_damage)
        if isinstance(target, str | Path):
            check_format(target, rate_hz=span.rate_hz, channels=reader.decoded_channels)
        codec = request.codec_of(reader.header, beside=Path(source).parent if isinstance(source, str | Path) else None)
        waves = decode_span(reader, codec, span, request.depth_of(reader.header), on_damage)
        waves = repeated(_reported(waves, span.rate_hz, span.length_samples, on_progress), reader)
        with atomic_output(target, suffix=".wav", force=request.force) as path:
            written = 0
            name = str(target) if isinstance(target, str | Path) else "standard output"
            with AudioWriter(
                path, rate_hz=span.rate_hz, channels=reader.decoded_channels, tags=reader.tags, name=name
            ) as audio:
                for wave in waves:
                    audio.write(wave)
                    written += wave.shape[1]
            file_bytes = path.stat().st_size
    return Summary(written / span.rate_hz, file_bytes, reader.decoded_channels)


def compress(
    wave: Wave,
    rate_hz: int,
    *,
    model: Model = zoo.DEFAULT_MODEL,
    kbps: float | None = None,
    num_codebooks: int | None = None,
    engine: zoo.EngineName | None = None,
    effort: Effort | None = None,
    **varied: Unpack[VariedOptions],
) -> bytes:
    """Make the .vqc bytes of `wave` [T] or [C, T], floats in [-1, 1], at `rate_hz` (4000 to 192000).

    The other arguments, `vbr` and `abr` too, are those of `EncodeOptions`. Channels that are all the same are coded
    once. Raises AudioError for another shape, type or rate and for NaN, ModelError and ConfigError as `encode_file`.
    """
    wave, rate_hz = _checked_wave(wave, rate_hz), int(rate_hz)
    request = EncodeRequest(model, engine, kbps=kbps, num_codebooks=num_codebooks, effort=effort, **varied)
    codec = request.codec()
    tags = {}
    if len(wave) > 1 and codec.inputs_per_model == 1 and (wave == wave[:1]).all():
        wave, tags = wave[:1], equal_channels(len(wave))
    channels, samples = wave.shape
    count = request.codebooks_of(codec)
    header = new_header(codec, rate_hz=rate_hz, channels=channels, samples=samples, num_codebooks=count)
    step = ceil_div(block_frames(channels) * codec.hop_length * rate_hz, codec.sample_rate_hz)
    file = io.BytesIO()
    blocks = (wave[:, start : start + step] for start in range(0, samples, step))
    encode_blocks(blocks, codec, header, file, tags=tags, vbr=request.vbr, average_kbps=request.average_of(channels))
    return file.getvalue()


def decompress(
    data: bytes,
    *,
    model: Model | None = None,
    num_codebooks: int | None = None,
    engine: zoo.EngineName | None = None,
) -> tuple[Wave, int]:
    """Return the wave [C, T] float32 and its rate in Hz of .vqc bytes.

    Raises BitstreamError, ModelError, ConfigError.
    """
    request = DecodeRequest(model, engine, num_codebooks=num_codebooks)
    reader = VqcReader(io.BytesIO(data))
    header = reader.header
    span = _span(reader, 0.0, None, request.rate_of(header), None)
    codec = request.codec_of(header)
    waves = repeated(decode_span(reader, codec, span, request.depth_of(header), None), reader)
    return np.concatenate([np.zeros((reader.decoded_channels, 0), np.float32), *waves], axis=1), span.rate_hz


def _checked_wave(wave: Wave, rate_hz: int) -> Wave:
    """`wave` as float32 [C, T]; raises AudioError for what cannot be coded."""
    if isinstance(wave, np.ma.MaskedArray):
        raise AudioError("wave is a masked array; give its samples with the masked ones filled, as wave.filled(0) does")
    if not isinstance(wave, np.ndarray):
        raise AudioError(f"wave is a {type(wave).__name__}; give an array of numpy, as wave.numpy() makes of a tensor")
    if wave.ndim not in (1, 2) or wave.dtype.kind != "f":
        raise AudioError(f"wave is {wave.dtype} {list(wave.shape)}; give floats [T] or [C, T] in [-1, 1]")
    wave = np.atleast_2d(wave)
    if not 1 <= wave.shape[0] <= MAX_CHANNELS:
        raise AudioError(f"wave has {wave.shape[0]} channels; give 1 to {MAX_CHANNELS}, as [C, T]")
    if not isinstance(rate_hz, int | np.integer):
        raise AudioError(f"rate {rate_hz!r} is no whole number of Hz; give 4000 to 192000")
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise AudioError(f"rate {rate_hz} Hz is not in {MIN_RATE_HZ}..{MAX_RATE_HZ}; resample it")
    if not np.isfinite(wave).all():
        raise AudioError("wave has samples that are NaN or infinite; repair it")
    check_peak(wave, "wave")
    return flushed(wave.astype(np.float32))


def _span(
    reader: VqcReader, start_seconds: float, duration_seconds: float | None, rate: int, on_damage: OnDamage | None
) -> Span:
    """Check the excerpt that is wanted, at `rate` Hz, against what the file holds. Raises ConfigError."""
    header = reader.header
    samples = header.samples
    if samples is None:
        samples = _stream_samples(reader, conceal=on_damage is not None)
    total = resampled_length(samples, header.original_rate_hz, rate)
    if not 0 <= start_seconds <= total / rate:
        raise ConfigError(f"start {clock(start_seconds)} is outside the audio, which has {clock(total / rate)}")
    start = round(start_seconds * rate)
    if duration_seconds is None:
        return Span(rate, start, total)
    if not 0 <= duration_seconds < math.inf:
        raise ConfigError(f"duration {duration_seconds:g} s is not a length of time")
    return Span(rate, start, min(total, start + round(duration_seconds * rate)))


def _stream_samples(reader: VqcReader, *, conceal: bool) -> int:
    """The length that only the end of the file tells, or that of what is left if the end is lost."""
    if not conceal:
        return reader.scan().samples
    for _ in reader.records(on_damage=lambda _: None):  # damage is told when it is decoded, not here as well
        pass
    assert reader.samples is not None
    return reader.samples


def _reported(waves: Iterable[Wave], rate_hz: int, total: int, on_progress: OnProgress | None) -> Iterator[Wave]:
    """`waves` [C, n], telling `on_progress` of each."""
    done = 0
    for wave in waves:
        yield wave
        done += wave.shape[1]
        if on_progress is not None:
            on_progress(done / rate_hz, total / rate_hz)
