"""Validated configuration of the training of a prior; recipes are as those of a codec (`vqcodec.training.config`)."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from vqcodec.training.config import OptimizerConfig, Section


class PriorModelConfig(Section):
    """The network of a prior."""

    codebooks: int = Field(6, ge=1, le=255, description="codebooks that it knows, from the first; at most the tokens'")
    channels: int = Field(256, ge=2, le=8192, description="width of the transformer")
    layers: int = Field(6, ge=1, le=256, description="of the transformer")
    heads: int = Field(4, ge=1, le=1024, description="of each layer")
    window_frames: int = Field(300, ge=1, le=1 << 20, description="frames that a layer sees")
    dropout: float = Field(0.1, ge=0, lt=1, description="of what each layer adds, in training")

    @model_validator(mode="after")
    def _heads_fit(self) -> "PriorModelConfig":
        if self.channels % (2 * self.heads):
            raise ValueError(f"channels {self.channels} are no multiple of 2 x {self.heads} heads")
        return self


class PriorDataConfig(Section):
    """How utterances are cut."""

    segment_frames: int = Field(400, ge=2, le=1 << 20, description="most frames of what is cut from an utterance")
    batch_size: int = Field(8, ge=1, le=1 << 16, description="segments per step and process")


class PriorConfig(Section):
    """The training of one prior."""

    keys_command: ClassVar[str] = "vqcodec prior train --keys"

    model: PriorModelConfig = PriorModelConfig()
    data: PriorDataConfig = PriorDataConfig()
    optimizer: OptimizerConfig = OptimizerConfig(
        kind="muon", learning_rate=2e-3, weight_decay=0.05, betas=(0.9, 0.98), warmup_steps=100
    )
    steps: int = Field(3000, ge=1, description="updates")
    max_minutes: float | None = Field(None, gt=0, description="stop (resumable) after this long; null: no limit")
    seed: int = Field(0, ge=0, lt=1 << 40, description="of all that is drawn")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "auto", description="of Lightning Fabric; auto: bf16-mixed on a GPU that has it"
    )
    accelerator: str = Field("auto", description="of Lightning Fabric: cpu, gpu, ...")
    devices: int | Literal["auto"] = Field("auto", description="processes; several are started by torchrun")
    num_nodes: int = Field(1, ge=1, description="machines")
    log_every: int = Field(50, ge=1, description="steps between lines of the log")
    validate_every: int = Field(500, ge=1, description="steps between validations")
    checkpoint_every: int = Field(500, ge=1, description="steps between checkpoints")
