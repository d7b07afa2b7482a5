"""What is asked for: the options of encoding and decoding, and what they mean for a model, a file and a target."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypedDict

from vqcodec.audio.extent import OnTruncated
from vqcodec.audio.files import MAX_RATE_HZ, MIN_RATE_HZ
from vqcodec.bitstream import Header
from vqcodec.bitstream.spec import FINGERPRINT_BYTES
from vqcodec.bitstream.tags import check_tags
from vqcodec.errors import BitstreamError, ConfigError, ModelError
from vqcodec.models import zoo
from vqcodec.models.effort import DEFAULT_EFFORT, Effort
from vqcodec.models.engine import Engine
from vqcodec.output import Target, check_output

Source = str | Path | BinaryIO
"""What is read: a path, or a binary file object, which is copied to a temporary file if it cannot seek."""
Model = str | Path | Engine
"""The name of a bundled model, a weights file, or a loaded model."""


class EncodeOptions(TypedDict, total=False):
    """What encoding may be told; each may be left out.

    model:         the default model without it
    engine:        "torch" or "onnx", for a model given by name
    device:        that the model computes on, for a model given by name
    effort:        how long it searches for codes, "fast", "normal" or "best", for a model given by name
    kbps:          the most codebooks whose nominal rate per channel is not above it; without it all
    num_codebooks: instead of `kbps`
    tags:          to be added, names of a-z, 0-9, "_", ".", "-"; an empty text removes one
    on_truncated:  "refuse" audio that is cut, or goes on where its reader stops, or "take" what can be read
    force:         replaces a target that is there
    """

    model: Model
    engine: zoo.EngineName
    device: str
    effort: Effort | None
    kbps: float | None
    num_codebooks: int | None
    tags: Mapping[str, str] | None
    on_truncated: OnTruncated
    force: bool


class DecodeOptions(TypedDict, total=False):
    """What decoding may be told; each may be left out.

    model:         the bundled one that wrote the file without it
    engine:        "torch" or "onnx", for a model that is not loaded
    device:        that the model computes on, for a model that is not loaded
    num_codebooks: only the first so many layers, which is a lower rate's sound
    rate_hz:       of the output; the original rate without it
    force:         replaces a target that is there
    """

    model: Model | None
    engine: zoo.EngineName
    device: str
    num_codebooks: int | None
    rate_hz: int | None
    force: bool


@dataclass(frozen=True)
class EncodeRequest:
    """`EncodeOptions`, all of them."""

    model: Model = zoo.DEFAULT_MODEL
    engine: zoo.EngineName = "torch"
    device: str = "cpu"
    kbps: float | None = None
    num_codebooks: int | None = None
    tags: Mapping[str, str] | None = None
    on_truncated: OnTruncated = "refuse"
    force: bool = False
    effort: Effort | None = None

    def codec(self) -> Engine:
        """Load the model, unless it is. Raises ConfigError for another effort than that of a loaded one."""
        if isinstance(self.model, Engine) and self.effort not in (None, self.model.effort):
            loaded = f"this model is loaded, with {self.model.effort!r}"
            raise ConfigError(f"effort {self.effort!r}: {loaded}; load it with the other, or leave that out")
        effort = DEFAULT_EFFORT if self.effort is None else self.effort
        return codec_for(self.model, self.engine, self.device, effort)

    def codebooks_of(self, codec: Engine) -> int:
        """Tell how many codebooks of a model are used. Raises ConfigError for none, or more than it has."""
        return codec.codebooks_for(kbps=self.kbps, num_codebooks=self.num_codebooks)


@dataclass(frozen=True)
class DecodeRequest:
    """`DecodeOptions`, all of them."""

    model: Model | None = None
    engine: zoo.EngineName = "torch"
    device: str = "cpu"
    num_codebooks: int | None = None
    rate_hz: int | None = None
    force: bool = False

    def codec_of(self, header: Header) -> Engine:
        """Load the model of a file, as the function of this name."""
        return codec_of(header, self.model, self.engine, self.device)

    def depth_of(self, header: Header) -> int:
        """Tell how many layers are decoded. Raises ConfigError for more than the file has."""
        depth = header.num_codebooks if self.num_codebooks is None else self.num_codebooks
        if not 1 <= depth <= header.num_codebooks:
            raise ConfigError(f"{depth} codebooks are not in 1..{header.num_codebooks}, what this file has")
        return depth

    def rate_of(self, header: Header) -> int:
        """Tell the rate of the output in Hz. Raises ConfigError for one that no file has."""
        rate = header.original_rate_hz if self.rate_hz is None else self.rate_hz
        if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
            raise ConfigError(f"rate {rate} Hz is not in {MIN_RATE_HZ}..{MAX_RATE_HZ}")
        return rate


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


def usable_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Select those of `tags` that have a text. Raises ConfigError for what a file cannot hold."""
    kept = {name: text for name, text in tags.items() if text}
    try:
        check_tags(kept)
    except BitstreamError as error:
        raise ConfigError(str(error)) from None
    return kept


def codec_for(model: Model, engine: zoo.EngineName, device: str = "cpu", effort: Effort = DEFAULT_EFFORT) -> Engine:
    """`model`, loaded unless it is."""
    return model if isinstance(model, Engine) else zoo.load_engine(model, engine=engine, device=device, effort=effort)


def codec_of(header: Header, model: Model | None, engine: zoo.EngineName = "torch", device: str = "cpu") -> Engine:
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


def check_target(source: Source, target: Target, *, force: bool) -> None:
    """Refuse a bad target before any work is done."""
    if not isinstance(target, str | Path):
        return
    check_output(target, force=force, source=source)
