"""Validated configuration of a training run; `architecture` has that of a model.

Unknown keys and impossible values are ConfigErrors.

A recipe is a YAML file with only what differs from the defaults here. `load_run_config` reads one and applies
`key=value` overrides such as `optimizer.learning_rate=3e-4`.
"""

import reprlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from vqcodec.errors import ConfigError
from vqcodec.models.architecture import ModelConfig
from vqcodec.texts import parse_yaml, read_json_object, read_limited
from vqcodec.training.keys import unknown_key


class Section(BaseModel):
    """Keys of a recipe. `keys_command`: what lists all of them."""

    keys_command: ClassVar[str] = "vqcodec train --keys"
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError(f"{pair[0]:g} is above {pair[1]:g}")
    return pair


_Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
"""The least and the most of what is drawn."""
_Share = Annotated[float, Field(ge=0, lt=1)]
_Temperature = Annotated[float, Field(ge=1e-3, le=1e3)]


class QuantizerConfig(Section):
    """How the codebooks learn."""

    start_step: int = Field(1000, ge=0, description="steps without quantization, then k-means on the latents")
    kmeans_batches: int = Field(64, ge=1, description="batches whose latents k-means sees")
    decay: float = Field(0.99, gt=0, lt=1, description="of the running means that the vectors of ema codebooks are")
    revive_below: float = Field(0.05, ge=0, lt=1, description="dead: used less than this times the mean use")
    dropout: float = Field(0.5, ge=0, le=1, description="share of items that use a random number of codebooks")
    varied: float = Field(
        0.0, ge=0, le=1, description="share of items in which that number changes from time to time, as a rate may"
    )
    unquantized: float = Field(0.1, ge=0, le=1, description="share of items that pass through unquantized")
    gradual: Literal["share", "blend"] = Field(
        "share",
        description="what falls from 1 in `gradual_steps`: the share of unquantized items, down to `unquantized`, "
        "or the part of the plain latent in what the decoder reads, down to 0",
    )
    gradual_steps: int = Field(0, ge=0, description="from the start of quantization; 0: it begins at once")
    estimator: Literal["straight_through", "rotation"] = Field(
        "straight_through", description="how gradients pass a hard choice"
    )
    start: Literal["kmeans", "uniform", "normal", "laplace"] = Field(
        "kmeans", description="first codebook vectors: k-means, or draws with the mean and deviation of the latents"
    )

    @model_validator(mode="after")
    def _shares_fit(self) -> "QuantizerConfig":
        if self.dropout + self.varied > 1:
            raise ValueError(
                f"dropout {self.dropout:g} and varied {self.varied:g} are shares of the same: at most 1 in all"
            )
        return self

    temperature: tuple[_Temperature, _Temperature] = Field(
        (1.0, 0.05), description="of soft and gumbel codebooks: at the start of quantization and at the end of the run"
    )


class DataConfig(Section):
    """Where clips come from and how they are cut and augmented."""

    train: list[str] = Field(["data/train"], description="folders, globs, files, CSV or JSONL manifests")
    valid: list[str] = Field(["data/valid"], description="the same, for validation")
    valid_clips: int = Field(24, ge=1, description="clips of `valid` that validation during training uses")
    segment_seconds: float = Field(1.0, ge=0.1, le=3600, description="length of what is cut from clips")
    batch_size: int = Field(8, ge=1, le=1 << 16, description="segments per step and process")
    workers: int = Field(0, ge=0, description="loader processes")
    cache_mb: int = Field(2048, ge=0, description="decoded clips kept in memory, per loader process")
    gain_db: _Range = Field((-20.0, 6.0), description="gain of every segment, drawn between the two")
    speed: _Range = Field((1.0, 1.0), description="factor of speed and pitch, drawn between the two")
    speed_share: float = Field(0.0, ge=0, le=1, description="share of segments whose speed changes")
    filter_db: float = Field(0.0, ge=0, description="largest boost or cut of the random equalizer")
    filter_share: float = Field(0.0, ge=0, le=1, description="share of segments that go through it")
    noise_snr_db: _Range = Field((15.0, 45.0), description="level of speech over noise, drawn between the two")
    noise_share: float = Field(0.0, ge=0, le=1, description="share of segments that noise is added to")
    noises: list[str] = Field([], description="recordings of noise")
    recorded_share: float = Field(
        0.5, ge=0, le=1, description="share of noises that are of recordings, where there are; the rest is Gaussian"
    )
    rooms: list[str] = Field([], description="impulse responses")
    room_share: float = Field(0.0, ge=0, le=1, description="share of segments that are heard in a room")

    clip_share: float = Field(0.0, ge=0, le=1, description="of an enhancer: share of segments that are clipped")
    telephone_share: float = Field(
        0.0, ge=0, le=1, description="of an enhancer: share of segments that a telephone leaves, up to some 3.4 kHz"
    )
    clean_share: float = Field(0.0, ge=0, le=1, description="of an enhancer: share of segments that are not degraded")

    speaker_seconds: float = Field(
        0.0,
        ge=0,
        description="where model.speakers names none: those of whom `train` has as many seconds (column speaker of "
        "manifests) become these; 0: the decoder is told no speaker",
    )
    disguise: _Range = Field(
        (0.7, 1.4),
        description="of a decoder that is told the speaker: factor of pitch and formants, drawn between the two",
    )
    disguise_share: float = Field(
        0.0, ge=0, le=1, description="share of segments that the encoder hears so, as if of another speaker"
    )

    @model_validator(mode="after")
    def _recordings_are_used(self) -> "DataConfig":
        if self.room_share > 0 and not self.rooms:
            raise ValueError(f"room_share {self.room_share:g} needs rooms: folders or files of impulse responses")
        for name, share in (("rooms", self.room_share), ("noises", self.noise_share)):
            if getattr(self, name) and not share:
                raise ValueError(f"{name} {getattr(self, name)} would not be heard; set {name[:-1]}_share")
        return self


class LossConfig(Section):
    """Weights of the training losses; 0 switches one off."""

    mel: float = Field(1.0, ge=0, description="log of mel bands, at several windows")
    magnitude: float = Field(0.1, ge=0, description="square roots of the magnitudes of STFTs")
    complex: float = Field(0.5, ge=0, description="STFTs with their phases")
    compressed: float = Field(1.0, ge=0, description="STFTs, and their magnitudes, with magnitudes to the power of 0.3")
    level: float = Field(0.0, ge=0, description="long-term power of each band")
    loudness: float = Field(0.0, ge=0, description="power per band and moment, where the original is loud")
    grid: float = Field(0.0, ge=0, description="power that comes and goes with the frames of codes")
    perceptual: float = Field(0.0, ge=0, description="PESQ, as a loss")
    phase_hz: float | None = Field(
        None, gt=0, description="above it `complex` and `compressed` compare no phases; null: no limit"
    )
    sampled_scales: bool = Field(True, description="draw one STFT window per group and step instead of all")
    commitment: float = Field(0.25, ge=0, description="distance of latents from the vectors that stand for them")
    codebook: float = Field(
        1.0, ge=0, description="distance of those vectors from the latents, where they learn by gradients"
    )
    entropy: float = Field(
        0.0, ge=0, description="entropy of each assignment minus that of their mean: sparse, all used"
    )
    sparsity: float = Field(0.0, ge=0, description="L1 of the latent")
    idempotence: float = Field(
        0.0, ge=0, description="of decoded sound that is coded again: distance from the latent that it was decoded of"
    )
    clean_latent: float = Field(
        3.0, ge=0, description="of an enhancer: squared distance from the latent of the clean sound, over its variance"
    )


LOSS_WEIGHTS = tuple(name for name, entry in LossConfig.model_fields.items() if entry.annotation is float)
"""Names of the losses that have a weight, in order."""


class DiscriminatorConfig(Section):
    """The adversarial stage: multi-resolution STFT discriminators with feature matching."""

    start_step: int | None = Field(None, ge=0, description="step at which it switches on; null: never")
    channels: int = Field(32, ge=1, description="width of each discriminator")
    windows: list[int] = Field([2048, 1024, 512, 256, 128], description="samples of the STFT of each discriminator")
    learning_rate: float = Field(3e-4, gt=0, description="of the discriminators")
    adversarial: float = Field(1.0, ge=0, description="weight of what they say of the codec's sound")
    feature_matching: float = Field(2.0, ge=0, description="weight of how far their layers see it from the original")
    warmup_steps: int = Field(500, ge=0, description="steps in which the discriminator trains alone first")


class OptimizerConfig(Section):
    """The optimizer; a linear warm-up and a cosine down to `final_share` of the peak."""

    kind: Literal["sgd", "adam", "adamw", "muon"] = Field("adamw", description="muon: for matrices, AdamW for the rest")
    learning_rate: float = Field(6e-4, gt=0, description="after the warm-up")
    betas: tuple[_Share, _Share] = Field((0.8, 0.99), description="the first is also the momentum of sgd")
    weight_decay: float = Field(1e-2, ge=0, description="of all parameters, times the learning rate")
    warmup_steps: int = Field(200, ge=0, description="steps in which the learning rate rises from 0")
    final_share: float = Field(0.03, ge=0, le=1, description="of the learning rate, at the last step")
    clip_norm: float = Field(1.0, gt=0, description="largest norm of the gradient")
    ema_decay: float = Field(0.999, ge=0, lt=1, description="of the averaged weights that are validated and exported")


class EnhancerConfig(Section):
    """A second encoder for the codebooks and the decoder of `init`, which stay as they are: that of clean sound."""

    channels: int = Field(0, ge=0, le=8192, description="width of the net in front of the encoder; 0: none is trained")
    kernels: list[Annotated[int, Field(ge=2, le=1000)]] = Field(
        [7, 15, 31, 15], min_length=1, max_length=64, description="latents that each of its blocks sees"
    )
    start: str | None = Field(None, description="enhancer to start from, of these weights or of others like them")


class RunConfig(Section):
    """One training run."""

    model: ModelConfig = ModelConfig()
    enhancer: EnhancerConfig = EnhancerConfig()
    quantizer: QuantizerConfig = QuantizerConfig()
    data: DataConfig = DataConfig()
    loss: LossConfig = LossConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    steps: int = Field(100_000, ge=1, description="updates of the codec")
    max_minutes: float | None = Field(None, gt=0, description="stop (resumable) after this long; null: no limit")
    seed: int = Field(0, ge=0, lt=1 << 40, description="of all that is drawn")
    init: str | None = Field(None, description="model name or weights file to start from")
    freeze: list[Literal["encoder", "quantizer"]] = Field([], description="parts of `init` that stay what they are")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "auto", description="of Lightning Fabric; auto: bf16-mixed on a GPU that has it"
    )
    accelerator: str = Field("auto", description="of Lightning Fabric: cpu, gpu, ...")
    devices: int | Literal["auto"] = Field("auto", description="processes; several are started by torchrun")
    num_nodes: int = Field(1, ge=1, description="machines")
    log_every: int = Field(50, ge=1, description="steps between lines of the log")
    validate_every: int = Field(1000, ge=1, description="steps between validations")
    checkpoint_every: int = Field(500, ge=1, description="steps between checkpoints")
    validate_codebooks: list[Annotated[int, Field(ge=1)]] = Field(
        [1, 3, 6, 12], description="numbers of codebooks that validation decodes; always also all of the model"
    )

    @model_validator(mode="after")
    def _speakers_are_told(self) -> "RunConfig":
        is_told = bool(self.model.speakers) or self.data.speaker_seconds > 0
        if self.data.disguise_share and not is_told:
            raise ValueError("data.disguise_share needs a decoder that is told the speaker; set data.speaker_seconds")
        if is_told and self.enhancer.channels:
            raise ValueError("enhancer.channels and speakers: train one at a time, the enhancer without speakers")
        return self

    @model_validator(mode="after")
    def _short_runs_begin_sooner(self) -> "RunConfig":
        """Let what a recipe does not say of the beginning take at most a part of a short run."""
        short: dict[str, dict[str, float]] = {
            "quantizer": {"start_step": self.steps // _START_SHARE, "kmeans_batches": max(16, self.steps // 20)},
            "optimizer": {"warmup_steps": self.steps // _START_SHARE, "ema_decay": max(0.0, 1 - 20 / self.steps)},
            "discriminator": {"warmup_steps": self.steps // _START_SHARE},
        }
        for section, most in short.items():
            given = getattr(self, section)
            less = {
                key: min(getattr(given, key), value) for key, value in most.items() if key not in given.model_fields_set
            }
            object.__setattr__(self, section, given.model_copy(update=less))
        return self


_START_SHARE = 10
"""A tenth of a run is the most that warm-up, and the steps before quantization, take of themselves."""
_MOST_RECIPE_BYTES = 1 << 20
"""Bytes of a file of YAML."""

_Config = TypeVar("_Config", bound=Section)


def validate(kind: type[_Config], values: Any, *, where: str) -> _Config:
    """Build a config of `kind` from plain `values`; the ConfigError of a bad one names `where` and each key."""
    try:
        config = kind.model_validate(values)
    except ValidationError as error:
        parts = []
        for fault in error.errors():
            name = ".".join(map(str, fault["loc"])) or "value"
            unknown = fault["type"] in ("extra_forbidden", "unexpected_keyword_argument")
            why = (unknown and unknown_key(kind(), fault["loc"])) or f"{fault['msg']} (got {_short(fault['input'])})"
            parts.append(f"{name}: {why}")
        raise ConfigError(f"{where}: {'; '.join(parts)}") from None
    if switches := list(_switches_for_numbers(values, config)):
        raise ConfigError(f"{where}: {', '.join(switches)}: yes, no, on, off, true and false are no numbers; give one")
    return config


def _switches_for_numbers(values: Any, made: Any, name: str = "") -> Iterator[str]:
    """Yield the name of each key that has a truth value in `values`, of which pydantic has `made` 0 or 1."""
    if isinstance(values, bool) and not isinstance(made, bool):
        yield name
    elif isinstance(values, dict):
        for key, value in values.items():
            yield from _switches_for_numbers(value, getattr(made, str(key), value), f"{name}.{key}".lstrip("."))
    elif isinstance(values, list) and isinstance(made, list | tuple):
        for value, of_made in zip(values, made, strict=False):
            yield from _switches_for_numbers(value, of_made, name)


def _short(value: Any) -> str:
    """`value` for a message: aliases of YAML make a few bytes of text a list of any size."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 3, 80, 80
    try:
        return short.repr(value)[:200]
    except ValueError:  # more digits than Python prints
        return "an integer of many digits"


def load_run_config(path: str | Path, overrides: Iterable[str] = ()) -> RunConfig:
    """Read a recipe of a codec as `load_recipe`. Raises ConfigError."""
    return load_recipe(RunConfig, path, overrides)


def load_recipe(kind: type[_Config], path: str | Path, overrides: Iterable[str] = ()) -> _Config:
    """Read a recipe of a `kind` and apply `key=value` overrides (dotted keys, YAML values). Raises ConfigError."""
    try:
        values = parse_yaml(read_limited(Path(path), _MOST_RECIPE_BYTES).decode("utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the recipe ({error.strerror}); give a YAML file") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not YAML ({' '.join(str(error).split())[:300]})") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a recipe is a mapping of keys to values, got {type(values).__name__}")
    return with_overrides(kind, values, overrides, where=str(path))


def load_resumed_config(run: str | Path, overrides: Iterable[str] = ()) -> tuple[RunConfig, RunConfig]:
    """Read the former and the new config of the run of a codec as `load_resumed`. Raises ConfigError."""
    return load_resumed(RunConfig, run, overrides)


def load_resumed(kind: type[_Config], run: str | Path, overrides: Iterable[str] = ()) -> tuple[_Config, _Config]:
    """Read what the run in the folder `run` was trained with, and apply `key=value` overrides: the former and the new.

    Raises ConfigError, also where there is no run.
    """
    path = Path(run) / "config.json"
    try:
        values = read_json_object(path)
    except FileNotFoundError:
        raise ConfigError(f"{run}: no run to go on with (no config.json); start without --resume") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not the config of a run ({' '.join(str(error).split())[:300]})") from None
    former = validate(kind, values, where=str(path))
    return former, with_overrides(kind, values, overrides, where=str(path))


def with_overrides(kind: type[_Config], values: dict[str, Any], overrides: Iterable[str], *, where: str) -> _Config:
    """Build a config of plain `values`, which `key=value` overrides change. Raises ConfigError."""
    for override in overrides:
        _apply_override(values, override)
    return validate(kind, values, where=where)


def _apply_override(values: dict[str, Any], override: str) -> None:
    """Set one dotted key of the nested mapping `values`."""
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"{override!r}: an override is key=value, e.g. optimizer.learning_rate=3e-4")
    *sections, last = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{override!r}: {section} is a value, not a section")
        values = inner
    try:
        values[last] = parse_yaml(text)
    except ValueError as error:
        why = " ".join(str(error).split())[:300]
        raise ConfigError(f"{override!r:.200}: the value is not YAML ({why})") from None
