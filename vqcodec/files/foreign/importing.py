"""From a file of another tool to a .vqc: its codes are held against the model and written, nothing is computed."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from vqcodec.bitstream import Header, VqcWriter
from vqcodec.bitstream.open_vqc import content_errors
from vqcodec.errors import BitstreamError, ConfigError, ModelError
from vqcodec.files.convert import Summary
from vqcodec.files.foreign.codes import ForeignCodes
from vqcodec.files.foreign.dac import parse_dac
from vqcodec.files.foreign.ecdc import parse_ecdc
from vqcodec.files.foreign.npy import parse_npy
from vqcodec.files.request import Engines, Model, Source, check_target, new_header, usable_tags
from vqcodec.frames import ceil_div
from vqcodec.models import zoo
from vqcodec.models.engine import Engine
from vqcodec.output import Target, atomic_output

FormatName = Literal["ecdc", "dac", "npy"]
"""Whose file it is: EnCodec's, descript-audio-codec's, or an array of numpy."""
FORMATS: tuple[FormatName, ...] = get_args(FormatName)

MAX_FILE_BYTES = 1 << 30
"""What is read into memory; EnCodec's highest rate needs 4 days of audio for it."""

_FRAMES_AT_ONCE = 1 << 16

_PARSERS: dict[FormatName, Callable[[bytes], ForeignCodes]] = {"ecdc": parse_ecdc, "dac": parse_dac, "npy": parse_npy}


def import_codes(
    source: Source,
    target: Target,
    *,
    format: FormatName,
    model: Model,
    samples: int | None = None,
    rate_hz: int | None = None,
    engine: zoo.EngineName | None = None,
    force: bool = False,
) -> Summary:
    """Write the codes of another tool's file as a .vqc of `model`, which must be the model that made them.

    For `npy`, which says nothing else, `samples` is the length per channel at the original rate `rate_hz`, by default
    all that the frames cover at the model's rate. Raises BitstreamError and its kinds, ModelError, ConfigError and
    OutputError; a failing call leaves no file.
    """
    return import_file(
        source,
        target,
        partial(Engines(engine).get, model),
        format=format,
        samples=samples,
        rate_hz=rate_hz,
        force=force,
    )


def import_file(
    source: Source,
    target: Target,
    load: Callable[[], Engine],
    *,
    format: FormatName,
    samples: int | None = None,
    rate_hz: int | None = None,
    force: bool = False,
) -> Summary:
    """Do what `import_codes` says, of a model that is loaded once it is known that the file can be read."""
    if format not in FORMATS:
        raise ConfigError(f"format {format!r} is none of {', '.join(FORMATS)}")
    if format != "npy" and not (samples is None and rate_hz is None):
        raise ConfigError(f"a file of the format {format} tells its samples and rate; give neither")
    check_target(source, target, force=force, is_coded=True)
    name = str(source) if isinstance(source, str | Path) else "standard input"
    with content_errors(name):
        foreign = _PARSERS[format](_read(source))
    codec = load()
    with content_errors(name):
        _check_model(foreign, codec)
        header = _header(
            foreign,
            codec,
            foreign.samples if samples is None else samples,
            rate_hz if foreign.rate_hz is None else foreign.rate_hz,
        )
    with atomic_output(target, suffix=".vqc", force=force) as path:
        with path.open("wb") as file:
            writer = VqcWriter(file, header, entropy=codec.entropy, tags=usable_tags(foreign.tags))
            for first in range(0, foreign.codes.shape[2], _FRAMES_AT_ONCE):
                writer.write(foreign.codes[:, :, first : first + _FRAMES_AT_ONCE])
            writer.close()
        file_bytes = path.stat().st_size
    return Summary((header.samples or 0) / header.original_rate_hz, file_bytes)


def _read(source: Source) -> bytes:
    """All bytes of a file that is not too long."""
    try:
        if isinstance(source, str | Path):
            with open(source, "rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        else:
            data = source.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BitstreamError(f"cannot read ({error.strerror}); give a file of codes") from None
    if len(data) > MAX_FILE_BYTES:
        raise BitstreamError(f"it has more than {MAX_FILE_BYTES} bytes; import it in parts")
    return data


def _check_model(foreign: ForeignCodes, codec: Engine) -> None:
    """Raise ModelError or BitstreamError for codes that cannot be of this model."""
    facts = foreign.model
    expected = (codec.sample_rate_hz, codec.hop_length, codec.codebook_size)
    if facts is not None and (facts.sample_rate_hz, facts.hop_length, facts.codebook_size) != expected:
        theirs = f"{facts.sample_rate_hz} Hz, {facts.hop_length} samples a frame, codebooks of {facts.codebook_size}"
        raise ModelError(
            f"made by {facts.name} ({theirs}), not by {codec.model_name} "
            f"({expected[0]} Hz, {expected[1]}, {expected[2]}); give the model that made it"
        )
    channels, num_codebooks, frames = foreign.codes.shape
    if not 1 <= num_codebooks <= codec.total_codebooks:
        shape = f"{channels} channels, {num_codebooks} codebooks, {frames} frames"
        raise BitstreamError(f"it has {shape}, but {codec.model_name} has {codec.total_codebooks} codebooks")
    if codec.is_scaled:
        raise ModelError(f"{codec.model_name} takes levels out, which codes do not hold; decode it and encode again")
    if channels > 1 and channels % codec.inputs_per_model:
        raise BitstreamError(f"it has {channels} channels, but {codec.model_name} codes pairs")
    try:
        codec.check_codes(foreign.codes)
    except ValueError as error:
        raise BitstreamError(f"{error}; another model made them") from None


def _header(foreign: ForeignCodes, codec: Engine, samples: int | None, rate_hz: int | None) -> Header:
    """The header whose frames are those of the codes. Raises BitstreamError where no length fits them."""
    channels, num_codebooks, frames = foreign.codes.shape
    rate_hz = codec.sample_rate_hz if rate_hz is None else rate_hz
    covered = frames * codec.hop_length * rate_hz // codec.sample_rate_hz
    one_sample = ceil_div(rate_hz, codec.sample_rate_hz)
    if samples is None or (foreign.is_length_floored and covered < samples <= covered + one_sample):
        samples = covered
    header = new_header(codec, rate_hz=rate_hz, channels=channels, samples=samples, num_codebooks=num_codebooks)
    if header.frames != frames:
        raise BitstreamError(
            f"{samples} samples at {rate_hz} Hz are {header.frames} frames of {codec.model_name}, the file has {frames}"
        )
    return header
