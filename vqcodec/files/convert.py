"""The one door where codec, container and audio meet: files and waves <-> .vqc, in blocks of a few seconds."""

import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vqcodec.audio.files import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ, AudioReader, AudioWriter, check_format
from vqcodec.bitstream import Header, VqcReader
from vqcodec.bitstream.open_vqc import open_vqc
from vqcodec.bitstream.reader import OnDamage
from vqcodec.bitstream.spec import FINGERPRINT_BYTES
from vqcodec.bitstream.tags import check_tags
from vqcodec.errors import AudioError, BitstreamError, ConfigError, ModelError, OutputError
from vqcodec.files.transcode import Span, block_frames, decode_span, encode_blocks
from vqcodec.frames import ceil_div, resampled_length
from vqcodec.models import zoo
from vqcodec.models.engine import Engine, Wave
from vqcodec.output import Target, atomic_output, check_output

Source = str | Path | BinaryIO
"""What is read: a path, or a binary file object, which is copied to a temporary file if it cannot seek."""
Model = str | Path | Engine
"""The name of a bundled model, a weights file, or a loaded model."""
OnProgress = Callable[[float, float], None]
"""Called with the seconds done and the seconds in all."""


@dataclass(frozen=True)
class Summary:
    """What was written: the length of the audio, and the bytes of the .vqc (encoding) or audio file (decoding)."""

    duration_seconds: float
    file_bytes: int

    @property
    def kbps(self) -> float:
        """Bits of the file per second of audio / 1000; NaN for no audio."""
        return 8 * self.file_bytes / self.duration_seconds / 1000 if self.duration_seconds else math.nan


def encode_file(
    source: Source,
    target: Target,
    *,
    model: Model = zoo.DEFAULT_MODEL,
    kbps: float | None = None,
    num_codebooks: int | None = None,
    tags: Mapping[str, str] | None = None,
    engine: zoo.EngineName = "torch",
    device: str = "cpu",
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> Summary:
    """Encode an audio file (WAV, FLAC, Ogg, MP3; 4 to 192 kHz, 1 to 255 channels) to a .vqc.

    `kbps` uses the most codebooks whose nominal rate per channel is not above it. The title, artist and so on of the
    input are kept, `tags` (names of a-z, 0-9, "_", ".", "-") are added; an empty text removes one. `engine` and
    `device` are for a model given by name. Raises AudioError, OutputError, ModelError and ConfigError; a failing call
    leaves no file.
    """
    check_target(source, target, force=force)
    with AudioReader(source) as audio:
        codec = codec_for(model, engine, device)
        block_samples = ceil_div(block_frames(audio.channels) * codec.hop_length * audio.rate_hz, codec.sample_rate_hz)
        header = new_header(
            codec,
            rate_hz=audio.rate_hz,
            channels=audio.channels,
            samples=audio.length_samples if audio.is_length_exact else None,
            num_codebooks=codec.codebooks_for(kbps=kbps, num_codebooks=num_codebooks),
        )
        kept = usable_tags(audio.tags | dict(tags or {}))
        blocks = _reported(audio.blocks(block_samples), audio.rate_hz, audio.length_samples, on_progress)
        with atomic_output(target, suffix=".vqc", force=force) as path:
            with path.open("wb") as file:
                samples = encode_blocks(blocks, codec, header, file, tags=kept)
            file_bytes = path.stat().st_size
    return Summary(samples / audio.rate_hz, file_bytes)


def decode_file(
    source: Source,
    target: Target,
    *,
    model: Model | None = None,
    num_codebooks: int | None = None,
    start_seconds: float = 0.0,
    duration_seconds: float | None = None,
    rate_hz: int | None = None,
    engine: zoo.EngineName = "torch",
    device: str = "cpu",
    force: bool = False,
    on_progress: OnProgress | None = None,
    on_damage: OnDamage | None = None,
) -> Summary:
    """Decode a .vqc to an audio file in the format of the target's suffix (a file object: WAV).

    The model is the bundled one that wrote the file unless given. `num_codebooks` decodes the first layers only,
    `start_seconds` and `duration_seconds` an excerpt, by seeking. The original rate and channels come back unless
    `rate_hz` asks for another rate; tags come back where the format has them. Damage raises an error, unless
    `on_damage` takes it: lost frames are then concealed (the last sound goes on and fades), and a cut file ends early.
    Raises BitstreamError and its kinds, ModelError, OutputError, AudioError (a format that cannot hold the audio) and
    ConfigError; a failing call leaves no file behind.
    """
    check_target(source, target, force=force)
    with open_vqc(source) as reader:
        span = _span(reader, start_seconds, duration_seconds, rate_hz, on_damage)
        if isinstance(target, str | Path):
            check_format(target, rate_hz=span.rate_hz, channels=reader.header.channels)
        codec = codec_of(reader.header, model, engine, device)
        waves = decode_span(reader, codec, span, depth_of(reader.header, num_codebooks), on_damage)
        waves = _reported(waves, span.rate_hz, span.length_samples, on_progress)
        with atomic_output(target, suffix=".wav", force=force) as path:
            written = 0
            options = {"rate_hz": span.rate_hz, "channels": reader.header.channels}
            name = str(target) if isinstance(target, str | Path) else "standard output"
            with AudioWriter(path, **options, tags=reader.tags, name=name) as audio:
                for wave in waves:
                    audio.write(wave)
                    written += wave.shape[1]
            file_bytes = path.stat().st_size
    return Summary(written / span.rate_hz, file_bytes)


def compress(
    wave: Wave,
    rate_hz: int,
    *,
    model: Model = zoo.DEFAULT_MODEL,
    kbps: float | None = None,
    num_codebooks: int | None = None,
    engine: zoo.EngineName = "torch",
) -> bytes:
    """The .vqc bytes of `wave` [T] or [C, T], floats in [-1, 1], at `rate_hz` (4000 to 192000).

    Raises AudioError for another shape, type or rate and for NaN, ModelError and ConfigError as `encode_file`.
    """
    wave = _checked_wave(wave, rate_hz)
    codec = codec_for(model, engine)
    channels, samples = wave.shape
    count = codec.codebooks_for(kbps=kbps, num_codebooks=num_codebooks)
    header = new_header(codec, rate_hz=rate_hz, channels=channels, samples=samples, num_codebooks=count)
    step = ceil_div(block_frames(channels) * codec.hop_length * rate_hz, codec.sample_rate_hz)
    file = io.BytesIO()
    encode_blocks((wave[:, start : start + step] for start in range(0, samples, step)), codec, header, file)
    return file.getvalue()


def decompress(
    data: bytes,
    *,
    model: Model | None = None,
    num_codebooks: int | None = None,
    engine: zoo.EngineName = "torch",
) -> tuple[Wave, int]:
    """The wave [C, T] float32 and its rate in Hz of .vqc bytes. Raises BitstreamError, ModelError, ConfigError."""
    reader = VqcReader(io.BytesIO(data))
    header = reader.header
    span = _span(reader)
    codec = codec_of(header, model, engine)
    waves = list(decode_span(reader, codec, span, depth_of(header, num_codebooks), None))
    return np.concatenate([np.zeros((header.channels, 0), np.float32), *waves], axis=1), span.rate_hz


# What is asked for


def new_header(codec: Engine, *, rate_hz: int, channels: int, samples: int | None, num_codebooks: int) -> Header:
    """The header of a new file. Raises ModelError for a model that no file can name."""
    return Header(
        fingerprint=_fingerprint(codec),
        sample_rate_hz=codec.sample_rate_hz,
        hop_length=codec.hop_length,
        original_rate_hz=rate_hz,
        channels=channels,
        samples=samples,
        num_codebooks=num_codebooks,
        codebook_size=codec.codebook_size,
    )


def _checked_wave(wave: Wave, rate_hz: int) -> Wave:
    """`wave` as float32 [C, T]; raises AudioError for what cannot be coded."""
    if not isinstance(wave, np.ndarray):
        raise AudioError(f"wave is a {type(wave).__name__}; give an array of numpy, as wave.numpy() makes of a tensor")
    if wave.ndim not in (1, 2) or wave.dtype.kind != "f":
        raise AudioError(f"wave is {wave.dtype} {list(wave.shape)}; give floats [T] or [C, T] in [-1, 1]")
    wave = np.atleast_2d(wave).astype(np.float32)
    if not 1 <= wave.shape[0] <= MAX_CHANNELS:
        raise AudioError(f"wave has {wave.shape[0]} channels; give 1 to {MAX_CHANNELS}, as [C, T]")
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise AudioError(f"rate {rate_hz} Hz is not in {MIN_RATE_HZ}..{MAX_RATE_HZ}; resample it")
    if not np.isfinite(wave).all():
        raise AudioError("wave has samples that are NaN or infinite; repair it")
    return wave


def _span(
    reader: VqcReader,
    start_seconds: float = 0.0,
    duration_seconds: float | None = None,
    rate_hz: int | None = None,
    on_damage: OnDamage | None = None,
) -> Span:
    """Check what the caller wants against what the file holds. Raises ConfigError."""
    header = reader.header
    rate = header.original_rate_hz if rate_hz is None else rate_hz
    if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
        raise ConfigError(f"rate {rate} Hz is not in {MIN_RATE_HZ}..{MAX_RATE_HZ}")
    samples = header.samples
    if samples is None:
        samples = _stream_samples(reader, conceal=on_damage is not None)
    total = resampled_length(samples, header.original_rate_hz, rate)
    if not 0 <= start_seconds <= total / rate:
        raise ConfigError(f"start {start_seconds:g} s is outside the audio, which has {total / rate:.2f} s")
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


def depth_of(header: Header, num_codebooks: int | None) -> int:
    """Layers to decode. Raises ConfigError for more than the file has."""
    depth = header.num_codebooks if num_codebooks is None else num_codebooks
    if not 1 <= depth <= header.num_codebooks:
        raise ConfigError(f"{depth} codebooks are not in 1..{header.num_codebooks}, what this file has")
    return depth


def usable_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Select those of `tags` that have a text. Raises ConfigError for what a file cannot hold."""
    kept = {name: text for name, text in tags.items() if text}
    try:
        check_tags(kept)
    except BitstreamError as error:
        raise ConfigError(str(error)) from None
    return kept


# Models


def codec_for(model: Model, engine: zoo.EngineName, device: str = "cpu") -> Engine:
    """`model`, loaded unless it is."""
    return model if isinstance(model, Engine) else zoo.load_engine(model, engine=engine, device=device)


def codec_of(header: Header, model: Model | None, engine: zoo.EngineName, device: str = "cpu") -> Engine:
    """The model that wrote a file. Raises ModelError if `model` is another, or if none is bundled that did."""
    card = zoo.find(header.fingerprint)
    if model is None and card is None:
        raise ModelError(zoo.unknown_weights(header.fingerprint))
    wanted = card.name if model is None and card is not None else model or zoo.DEFAULT_MODEL
    codec = codec_for(wanted, engine, device)
    if _fingerprint(codec) != header.fingerprint:
        writer = f"{card.name if card else 'another model'} (fingerprint {header.fingerprint.hex()})"
        own = f"{codec.model_name} (fingerprint {_fingerprint(codec).hex()})"
        raise ModelError(f"written by {writer}, not by {own}; give the weights that wrote it")
    shape = (codec.sample_rate_hz, codec.hop_length, codec.codebook_size)
    if shape != (header.sample_rate_hz, header.hop_length, header.codebook_size):
        raise BitstreamError("the header of the .vqc contradicts the model that it names")
    if header.num_codebooks > codec.total_codebooks:
        raise BitstreamError(f"{header.num_codebooks} codebooks, but the model has only {codec.total_codebooks}")
    return codec


def _fingerprint(codec: Engine) -> bytes:
    if codec.fingerprint is None:
        raise ModelError("this Codec was never saved, so no file can name it; save_weights and load it first")
    return codec.fingerprint[:FINGERPRINT_BYTES]


# Files


def check_target(source: Source, target: Target, *, force: bool) -> None:
    """Refuse a bad target before any work is done."""
    if not isinstance(target, str | Path):
        return
    check_output(target, force=force)
    both = isinstance(source, str | Path) and Path(source).is_file() and Path(target).is_file()
    if both and Path(target).samefile(str(source)):
        raise OutputError(f"{target}: is the input itself; choose another target")


def _reported(waves: Iterable[Wave], rate_hz: int, total: int, on_progress: OnProgress | None) -> Iterator[Wave]:
    """`waves` [C, n], telling `on_progress` of each."""
    done = 0
    for wave in waves:
        yield wave
        done += wave.shape[1]
        if on_progress is not None:
            on_progress(done / rate_hz, total / rate_hz)
