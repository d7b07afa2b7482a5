"""What is asked for: the options of encoding and decoding, and what they mean for a model, a file and a target."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict

import numpy as np
from typing_extensions import override

from vqcodec.arrays import Wave
from vqcodec.audio import OnTruncated, checked_on_truncated
from vqcodec.audio.discover import is_audio
from vqcodec.audio.downmix import MONO, Mono
from vqcodec.audio.reader import MAX_RATE_HZ, MIN_RATE_HZ, AudioReader
from vqcodec.bitstream import Header, VqcReader
from vqcodec.bitstream.spec import EQUAL_CHANNELS, FINGERPRINT_BYTES
from vqcodec.bitstream.tags import check_tags
from vqcodec.errors import BitstreamError, ConfigError, ModelError, OutputError, VqcodecError
from vqcodec.frames import whole_number
from vqcodec.models import zoo
from vqcodec.models.effort import DEFAULT_EFFORT, Effort, check_effort
from vqcodec.models.engine import Engine, Part
from vqcodec.models.weightsfile import WeightsFile
from vqcodec.output import Target, check_output
from vqcodec.sessions.depths import check_quality

if TYPE_CHECKING:
    from vqcodec.models.adapters import Adapter

Source = str | Path | BinaryIO
"""What is read: a path, or a binary file object, which is copied to a temporary file if it cannot seek."""
Model = str | Path | Engine
"""The name of a bundled model, a weights file or a folder with one, "hf:" and a name on a hub, or a loaded model."""


class Engines:
    """Models, each loaded when a file first needs it and kept for the files that follow.

    engine:          "torch" or "onnx"; None is torch, and where that is not installed onnx
    device:          that they compute on
    effort:          how long they search for codes, "fast", "normal" or "best"
    enhance:         whether, or by the enhancer in which file, they encode speech without noise
    speaker:         who speaks in what they decode, of models that are told
    loading_seconds: spent on loading so far
    failure:         why the last one could not be loaded: no other file will have it either
    """

    def __init__(
        self,
        engine: zoo.EngineName | None = None,
        device: str = "cpu",
        effort: Effort = DEFAULT_EFFORT,
        enhance: zoo.Enhance = False,
        speaker: str | None = None,
    ) -> None:
        self.loading_seconds = 0.0
        self.failure: VqcodecError | None = None
        self._engine: zoo.EngineName | None = engine
        self._device = device
        self._effort: Effort = effort
        self._enhance, self._speaker = enhance, speaker
        self._found: dict[str, WeightsFile | Adapter] = {}
        self._cards: dict[str, zoo.ModelCard] = {}
        self._loaded: dict[str, Engine] = {}

    def card(self, model: str | Path) -> zoo.ModelCard:
        """Describe a model that is found and opened, not loaded. Raises as `zoo.load`."""
        if str(model) not in self._cards:
            card = zoo.card_for(self._open(model))
            if self._enhance:
                zoo.enhancer_of(self._open(model), self._enhance)
            if self._speaker is not None:
                zoo.check_speaker(self._open(model), self._speaker)
            check_effort(self._effort, model=card.name, is_searched=card.is_searched)
            self._cards[str(model)] = card
        return self._cards[str(model)]

    def get(self, model: Model, *, part: Part | None = None) -> Engine:
        """Load a model, unless it is, and all that a `part` needs where one is to be used. Raises as `zoo.load`."""
        if isinstance(model, Engine):
            return model
        began = time.monotonic()
        try:
            if str(model) not in self._loaded:
                found = self._open(model)
                self._loaded[str(model)] = zoo.engine_for(
                    found,
                    engine=self._engine,
                    device=self._device,
                    effort=self._effort,
                    enhance=self._enhance,
                    speaker=self._speaker,
                )
                del self._found[str(model)]
            engine = self._loaded[str(model)]
            if part is not None:
                engine.prepare(part)
        except VqcodecError as error:
            self.failure = error
            raise
        self.loading_seconds += time.monotonic() - began
        return engine

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        """Send to another process what to do, not models."""
        return Engines, (self._engine, self._device, self._effort, self._enhance, self._speaker)

    def _open(self, model: str | Path) -> "WeightsFile | Adapter":
        if str(model) not in self._found:
            self._found[str(model)] = zoo.open_model(model)
        return self._found[str(model)]


class VariedOptions(TypedDict, total=False):
    """How frames get fewer codebooks than others: see `EncodeOptions`."""

    vbr: float | None
    abr: bool


class EncodeOptions(VariedOptions, total=False):
    """What encoding may be told; each may be left out.

    model:         the default model without it
    engine:        "torch" or "onnx", for a model given by name; without it torch, or onnx where torch is missing
    device:        that the model computes on, for a model given by name
    effort:        how long it searches for codes, "fast", "normal" or "best", for a model given by name
    enhance:       speech without the noise around it, by the enhancer beside the weights or in the file that is given
    engines:       instead of these four: where models are loaded and kept for other files
    kbps:          the most codebooks whose nominal rate per channel is not above it; without it all
    total_kbps:    instead of `kbps`: the rate of all channels together
    num_codebooks: instead of `kbps`
    vbr:           quality, 0 to 10: each frame has as many of these codebooks as it needs, so that the rate varies
    abr:           the bytes of each minute meet `kbps` or `total_kbps`, with frames of varied depth, of all codebooks
    mono:          one channel is coded: the "mean" of all, the "left" or the "right" one
    tags:          to be added, names of a-z, 0-9, "_", ".", "-"; an empty text removes one
    on_truncated:  "refuse" audio that is cut, or goes on where its reader stops, or "take" what can be read
    force:         replaces a target that is there
    """

    model: Model
    engine: zoo.EngineName | None
    device: str
    effort: Effort | None
    enhance: zoo.Enhance
    engines: Engines | None
    kbps: float | None
    total_kbps: float | None
    num_codebooks: int | None
    mono: Mono | None
    tags: Mapping[str, str] | None
    on_truncated: OnTruncated
    force: bool


class DecodeOptions(TypedDict, total=False):
    """What decoding may be told; each may be left out.

    model:         the bundled one that wrote the file without it
    engine:        "torch" or "onnx", for a model that is not loaded; without it torch, or onnx where torch is missing
    device:        that the model computes on, for a model that is not loaded
    speaker:       who shall speak, for a model that is told and is not loaded
    engines:       instead of these three: where models are loaded and kept for other files
    num_codebooks: only the first so many layers, which is a lower rate's sound
    rate_hz:       of the output; the original rate without it
    force:         replaces a target that is there
    """

    model: Model | None
    engine: zoo.EngineName | None
    device: str
    speaker: str | None
    engines: Engines | None
    num_codebooks: int | None
    rate_hz: int | None
    force: bool


@dataclass(frozen=True)
class EncodeRequest:
    """`EncodeOptions`, all of them."""

    model: Model = zoo.DEFAULT_MODEL
    engine: zoo.EngineName | None = None
    device: str = "cpu"
    engines: Engines | None = None
    kbps: float | None = None
    total_kbps: float | None = None
    num_codebooks: int | None = None
    mono: Mono | None = None
    tags: Mapping[str, str] | None = None
    on_truncated: OnTruncated = "refuse"
    force: bool = False
    effort: Effort | None = None
    enhance: zoo.Enhance = False
    vbr: float | None = None
    abr: bool = False

    def codec(self) -> Engine:
        """Load the model, unless it is. Raises ConfigError for what a loaded one cannot change: effort and enhancer."""
        if isinstance(self.model, Engine) and self.effort not in (None, self.model.effort):
            loaded = f"this model is loaded, with {self.model.effort!r}"
            raise ConfigError(f"effort {self.effort!r}: {loaded}; load it with the other, or leave that out")
        if isinstance(self.model, Engine) and self.enhance and not self.model.is_enhancing:
            raise ConfigError("enhance: this model is loaded without an enhancer; load it with one (enhance=True)")
        return self.loader.get(self.model, part="encoder")

    def __post_init__(self) -> None:
        if self.mono not in (None, *MONO):
            raise ConfigError(f"mono {self.mono!r} is none of {', '.join(MONO)}")
        checked_on_truncated(self.on_truncated)
        if sum(rate is not None for rate in (self.kbps, self.total_kbps, self.num_codebooks)) > 1:
            raise ConfigError("give one of kbps, total_kbps and num_codebooks")
        if self.vbr is not None:
            check_quality(self.vbr)
        if self.abr and (self.kbps_of(1) is None or self.vbr is not None):
            raise ConfigError("abr meets a rate: give it kbps or total_kbps, and no vbr")

    @cached_property
    def loader(self) -> Engines:
        """Where the model is found and loaded."""
        effort = DEFAULT_EFFORT if self.effort is None else self.effort
        return self.engines or Engines(self.engine, self.device, effort, self.enhance)

    def codes_once(self, audio: AudioReader) -> bool:
        """Tell whether one channel stands for all of `audio`, because they are the same and no other was chosen."""
        return self.mono is None and self.facts().inputs_per_model == 1 and audio.has_equal_channels()

    def facts(self) -> "Engine | zoo.ModelCard":
        """Find the model, and describe it where it is not loaded yet. Raises as `zoo.load`."""
        return self.model if isinstance(self.model, Engine) else self.loader.card(self.model)

    def kbps_of(self, channels: int) -> float | None:
        """Tell the rate of a channel in kbps that is asked for, if one is."""
        return self.kbps if self.total_kbps is None else self.total_kbps / channels

    def codebooks_of(self, codec: Engine, channels: int = 1) -> int:
        """Tell how many codebooks of a model are used. Raises ConfigError for none, or more than it has."""
        count = codec.codebooks_for(kbps=self.kbps_of(channels), num_codebooks=self.num_codebooks)
        return codec.total_codebooks if self.abr else count

    def average_of(self, channels: int) -> float | None:
        """Tell the rate in kbps that all channels together are to meet, if one is."""
        kbps = self.kbps_of(channels)
        return kbps * channels if self.abr and kbps is not None else None


@dataclass(frozen=True)
class DecodeRequest:
    """`DecodeOptions`, all of them."""

    model: Model | None = None
    engine: zoo.EngineName | None = None
    device: str = "cpu"
    engines: Engines | None = None
    num_codebooks: int | None = None
    rate_hz: int | None = None
    force: bool = False
    speaker: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.model, Engine) and self.speaker is not None:
            raise ConfigError(f"speaker {self.speaker!r:.66}: this model is loaded; load it with the speaker")

    @cached_property
    def loader(self) -> Engines:
        """Where the model is found and loaded."""
        return self.engines or Engines(self.engine, self.device, speaker=self.speaker)

    def codec_of(self, header: Header, *, beside: Path | None = None) -> Engine:
        """Load the model of a file, as the function of this name."""
        return codec_of(header, self.model, self.loader, beside=beside)

    def depth_of(self, header: Header) -> int:
        """Tell how many layers are decoded. Raises ConfigError for more than the file has."""
        wanted = self.num_codebooks
        depth = header.num_codebooks if wanted is None else whole_number(wanted, "num_codebooks")
        if not 1 <= depth <= header.num_codebooks:
            raise ConfigError(f"{depth} codebooks are not in 1..{header.num_codebooks}, what this file has")
        return depth

    def rate_of(self, header: Header) -> int:
        """Tell the rate of the output in Hz. Raises ConfigError for one that no file has."""
        rate = header.original_rate_hz if self.rate_hz is None else whole_number(self.rate_hz, "rate_hz")
        if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
            raise ConfigError(f"rate {rate} Hz is not in {MIN_RATE_HZ}..{MAX_RATE_HZ}")
        return rate


def new_header(codec: Engine, *, rate_hz: int, channels: int, samples: int | None, num_codebooks: int) -> Header:
    """Make the header of a new file. Raises ModelError for a model that no file can name."""
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


def equal_channels(channels: int) -> dict[str, str]:
    """Return the tag of a file whose one channel stands for `channels`."""
    return {EQUAL_CHANNELS: str(channels)}


def repeated(waves: Iterable[Wave], reader: VqcReader) -> Iterator[Wave]:
    """Yield waves [C, n] with as many channels as the input of the file had, where one stands for all."""
    times = reader.decoded_channels // reader.header.channels
    for wave in waves:
        yield np.repeat(wave, times, axis=0)


def usable_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Select those of `tags` that have a text. Raises ConfigError for what a file cannot hold."""
    kept = {name: text for name, text in tags.items() if text}
    try:
        check_tags(kept)
    except BitstreamError as error:
        raise ConfigError(str(error)) from None
    return kept


def codec_of(header: Header, model: Model | None, engines: Engines, *, beside: Path | None = None) -> Engine:
    """Load the model that wrote a file. Raises ModelError if `model` is another, or if none is bundled that did.

    beside: the folder of the file, whose weights the error then names
    """
    card = zoo.find(header.fingerprint)
    if model is None and card is None:
        raise ModelError(zoo.unknown_weights(header.fingerprint, beside))
    wanted = card.name if model is None and card is not None else model or zoo.DEFAULT_MODEL
    codec = engines.get(wanted)
    if _fingerprint(codec) != header.fingerprint:
        writer = f"{card.name if card else 'another model'} (fingerprint {header.fingerprint.hex()})"
        loaded = f"{codec.model_name} (fingerprint {_fingerprint(codec).hex()})"
        raise ModelError(f"written by {writer}, not by {loaded}; give the weights that wrote it")
    shape = (codec.sample_rate_hz, codec.hop_length, codec.codebook_size)
    if shape != (header.sample_rate_hz, header.hop_length, header.codebook_size):
        raise BitstreamError("the header of the .vqc contradicts the model that it names")
    if header.num_codebooks > codec.total_codebooks:
        raise BitstreamError(f"{header.num_codebooks} codebooks, but the model has only {codec.total_codebooks}")
    return engines.get(wanted, part="decoder")


def _fingerprint(codec: Engine) -> bytes:
    if codec.fingerprint is None:
        raise ModelError("this Codec was never saved, so no file can name it; save_weights and load it first")
    return codec.fingerprint[:FINGERPRINT_BYTES]


def check_target(source: Source, target: Target, *, force: bool, is_coded: bool = False) -> None:
    """Refuse a bad target before any work is done, such as one that is named as audio where a .vqc is written."""
    for name, value, method in (("source", source, "read"), ("target", target, "write")):
        if not isinstance(value, str | Path) and not hasattr(value, method):
            raise TypeError(f"{name} is {type(value).__name__}, expected a path or a binary file")
    if not isinstance(target, str | Path):
        return
    check_output(target, force=force, source=source)
    if is_coded:
        refuse_name_of_audio(target)


def refuse_name_of_audio(target: str | Path) -> None:
    """Raise OutputError for a .vqc that would be named as audio."""
    if is_audio(Path(target)):
        raise OutputError(
            f"{target}: what is written is a .vqc, no {Path(target).suffix}; name it so, decode makes audio"
        )
