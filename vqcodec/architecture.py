"""The architecture of a codec, validated. Without pydantic, which takes longer to import than a clip to encode."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal, get_args

from vqcodec.errors import ConfigError

CodebookKind = Literal["ema", "gradient"]


def _number(default: int, least: int, most: int) -> Any:
    return field(default=default, metadata={"least": least, "most": most})


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of a codec: everything that the shape of its weights depends on.

    hop_length:                  samples per frame of codes, a multiple of stft_hop
    window_length:               samples of the spectral window, 2 or more times stft_hop
    stft_hop:                    samples between spectral windows
    stft_channels, channels:     width of the layers at the STFT rate and at the frame rate

    Raises ValueError for values that cannot be.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}  # inside RunConfig

    name: str = "speech-16k"
    sample_rate_hz: int = _number(16000, 4000, 192000)
    hop_length: int = _number(320, 1, 1 << 20)
    window_length: int = _number(320, 4, 1 << 16)
    stft_hop: int = _number(80, 1, 1 << 16)
    stft_channels: int = _number(192, 1, 8192)
    channels: int = _number(256, 1, 8192)
    encoder_stft_blocks: int = _number(2, 0, 256)
    encoder_blocks: int = _number(4, 0, 256)
    decoder_blocks: int = _number(7, 0, 256)
    decoder_stft_blocks: int = _number(3, 0, 256)
    latent_dim: int = _number(64, 1, 8192)
    total_codebooks: int = _number(12, 1, 255)
    codebook_size: int = _number(1024, 2, 1 << 16)
    codebook_kind: CodebookKind = "ema"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[\w.+-]{1,64}", self.name):
            raise ValueError(f"name {self.name!r} is not 1 to 64 letters, digits, or _ . + -")
        for entry in fields(self):
            if entry.metadata:
                self._check_number(entry.name, entry.metadata["least"], entry.metadata["most"])
        if self.codebook_kind not in get_args(CodebookKind):
            raise ValueError(f"codebook_kind {self.codebook_kind!r} is none of {', '.join(get_args(CodebookKind))}")
        if self.hop_length % self.stft_hop:
            raise ValueError(f"hop_length {self.hop_length} is not a multiple of stft_hop {self.stft_hop}")
        if self.window_length % self.stft_hop or self.window_length < 2 * self.stft_hop:
            raise ValueError(f"window_length {self.window_length} is not 2 or more times stft_hop {self.stft_hop}")
        if self.codebook_size & (self.codebook_size - 1):
            raise ValueError(f"codebook_size {self.codebook_size} is not a power of two")

    def to_json(self) -> str:
        """One line of JSON with every key."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, where: str) -> "ModelConfig":
        """The config of plain `values`; the ConfigError of a bad one names `where`."""
        unknown = set(values) - {entry.name for entry in fields(cls)}
        if unknown:
            raise ConfigError(
                f"{where}: unknown keys of the architecture: {', '.join(sorted(map(repr, unknown)))[:200]}"
            )
        try:
            return cls(**values)
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from None

    def _check_number(self, name: str, least: int, most: int) -> None:
        value = getattr(self, name)
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{name} {str(value)[:40]!r} is not an integer in {least}..{most}")
