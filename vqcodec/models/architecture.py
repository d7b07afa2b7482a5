"""The architecture of a codec, validated. Without pydantic, which takes longer to import than a clip to encode."""

import difflib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from vqcodec.errors import ConfigError
from vqcodec.system.plugins import PluginTable

CODEBOOKS: PluginTable[str] = PluginTable(
    {
        "ema": "vqcodec.nn.quantizers.vector:EmaCodebook",
        "gradient": "vqcodec.nn.quantizers.vector:GradientCodebook",
        "factorized": "vqcodec.nn.quantizers.factorized:FactorizedCodebook",
        "finite_scalar": "vqcodec.nn.quantizers.finite_scalar:FiniteScalar",
        "lookup_free": "vqcodec.nn.quantizers.lookup_free:LookupFree",
        "simvq": "vqcodec.nn.quantizers.simvq:SimVqCodebook",
        "soft": "vqcodec.nn.quantizers.soft:SoftCodebook",
        "gumbel": "vqcodec.nn.quantizers.gumbel:GumbelCodebook",
    }
)
"""Where each kind of codebook is, by the name that a recipe says; see `vqcodec.nn.quantizers`."""
STORED = ("ema", "gradient")
"""Kinds whose vectors are what their weights file holds."""
NOT_SEARCHED = ("factorized", "finite_scalar", "lookup_free")
"""Kinds through which no beams are searched: those that are not Euclidean (`Codebook.is_euclidean`), without torch."""

SHORT_NAMES = {"rvq": "ema", "fsq": "finite_scalar", "lfq": "lookup_free"}
"""What papers call some kinds. A config holds the long name."""

_MOST_OVERLAP = 64
"""STFT windows over one sample."""
_MOST_SOURCE_WINDOW = 4096
"""With `source_hz` the transforms are matrices, as large as the square of the window."""

_MOST_SPEAKERS = 1 << 16
_NAME = re.compile(r"(?! )[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,64}(?<! )")
TOLD_NO_SPEAKER = "is not told who speaks; give the model of a training with model.speakers (recipes/speakers.yaml)"
"""Why a model cannot convert, after its name."""
NEEDS_SPEAKER = "is told who shall speak; give --speaker NAME (speaker= in Python) of vqcodec convert --list-speakers"
"""Why a model cannot decode, after its name."""


def _some(names: tuple[str, ...]) -> str:
    """The first names of a list, and how many there are."""
    return ", ".join(names[:5]) + (f" ... ({len(names)} in all)" if len(names) > 5 else "")


def _number(default: int, least: int, most: int, meaning: str) -> Any:
    return field(default=default, metadata={"least": least, "most": most, "meaning": meaning})


def _value(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of a codec: everything that the shape of its weights depends on.

    The metadata of each field say what it means and which values it can have; docs/training.md lists them.
    Raises ValueError for values that cannot be.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}  # inside RunConfig

    name: str = _value("speech-16k", "what files and errors call the model")
    sample_rate_hz: int = _number(16000, 4000, 192000, "rate of what it codes")
    hop_length: int = _number(320, 1, 1 << 20, "samples per frame of codes, a multiple of stft_hop")
    window_length: int = _number(
        320, 4, 1 << 16, "samples of the spectral window, 2 to 64 times stft_hop; with source_hz at most 4096"
    )
    stft_hop: int = _number(80, 1, 1 << 16, "samples between spectral windows")
    source_hz: int = _number(
        0, 0, 24000, "upper end of the band whose rectified sound, filtered, is all above it; 0: no source"
    )
    stft_channels: int = _number(192, 1, 8192, "width of the layers at the STFT rate")
    channels: int = _number(256, 1, 8192, "width of the layers at the rate of latents")
    encoder_stft_blocks: int = _number(2, 0, 256, "blocks of the encoder at the STFT rate")
    encoder_blocks: int = _number(4, 0, 256, "blocks of the encoder at the rate of latents")
    decoder_blocks: int = _number(7, 0, 256, "blocks of the decoder at the rate of latents")
    decoder_stft_blocks: int = _number(3, 0, 256, "blocks of the decoder at the STFT rate")
    latent_dim: int = _number(64, 1, 8192, "numbers of a latent, which is what is quantized")
    total_codebooks: int = _number(12, 1, 255, "codes per frame")
    codebook_size: int = _number(1024, 2, 1 << 16, "vectors of a codebook, a power of two: a code is whole bits")
    codebook_kind: str = _value("ema", f"one of {', '.join(CODEBOOKS)}; rvq is ema, fsq finite_scalar, lfq lookup_free")
    groups: int = _number(
        1, 1, 255, "parts of the latent that are quantized side by side, each by its share of codebooks"
    )
    strides: tuple[int, ...] = _value(
        (),
        "of a multi-scale quantizer: every how many latents each codebook takes part; a frame is one period of the "
        "longest. Empty: all at every latent, a latent per frame",
    )
    attention_window: int = _number(
        0, 0, 4096, "latents that self-attention sees, on both sides of the quantizer; 0: there is none"
    )
    attention_heads: int = _number(4, 1, 256, "heads of that self-attention")
    speakers: tuple[str, ...] = _value(
        (), "names of those as whom the decoder can be told to speak; empty: it is told none"
    )

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[\w.+-]{1,64}", self.name):
            raise ValueError(f"name {self.name!r} is not 1 to 64 letters, digits, or _ . + -")
        for entry in fields(self):
            if "least" in entry.metadata:
                self._check_number(entry.name, entry.metadata["least"], entry.metadata["most"])
        if isinstance(self.codebook_kind, str):
            object.__setattr__(self, "codebook_kind", SHORT_NAMES.get(self.codebook_kind, self.codebook_kind))
        if not isinstance(self.codebook_kind, str) or self.codebook_kind not in CODEBOOKS:
            kind, known = str(self.codebook_kind)[:40], ", ".join(CODEBOOKS)
            remedy = "one of your own wants vqcodec --import MODULE"
            raise ValueError(f"codebook_kind {kind!r} is none of {known}; {remedy}")
        self._check_speakers()
        self._check_arrangement()
        if self.hop_length % (self.stft_hop * self.steps):
            whole = "stft_hop" if self.steps == 1 else "stft_hop times the longest stride,"
            raise ValueError(f"hop_length {self.hop_length} is not a multiple of {whole} {self.stft_hop * self.steps}")
        self._check_window()
        if self.codebook_size & (self.codebook_size - 1):
            less = 1 << (self.codebook_size.bit_length() - 1)
            why = f"a code is stored in whole bits, so give {less} or {2 * less}"
            raise ValueError(f"codebook_size {self.codebook_size} is not a power of two: {why}")

    @property
    def steps(self) -> int:
        """Latents per frame of codes."""
        return max(self.strides, default=1)

    @property
    def is_searched(self) -> bool:
        """Whether more or fewer beams find other codes."""
        return self.steps == 1 and self.codebook_kind not in NOT_SEARCHED

    def to_json(self) -> str:
        """Write one line of JSON with every key."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, where: str) -> "ModelConfig":
        """Return the config of plain `values`; the ConfigError of a bad one names `where`."""
        unknown = set(values) - {entry.name for entry in fields(cls)}
        if unknown:
            raise ConfigError(
                f"{where}: unknown keys of the architecture: {', '.join(sorted(map(repr, unknown)))[:200]}"
            )
        try:
            return cls(**values)
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from None

    def speaker_index(self, speaker: str) -> int:
        """Return which of the speakers has a name. Raises ConfigError, which names some that are alike."""
        if speaker in self.speakers:
            return self.speakers.index(speaker)
        if not self.speakers:
            raise ConfigError(f"speaker {speaker[:64]!r}: {self.name} {TOLD_NO_SPEAKER}")
        near = difflib.get_close_matches(speaker, self.speakers, n=3, cutoff=0.4)
        meant = f"did you mean {' or '.join(near)}?" if near else f"give one of {_some(self.speakers)}"
        raise ConfigError(f"speaker {speaker[:64]!r}: {self.name} has none of that name; {meant}")

    def _check_speakers(self) -> None:
        """Check that speakers have names, each of its own."""
        speakers = self.speakers
        is_list = isinstance(speakers, list | tuple) and len(speakers) <= _MOST_SPEAKERS
        if not is_list or not all(isinstance(name, str) and _NAME.fullmatch(name) for name in speakers):
            raise ValueError(
                f"speakers {str(speakers)[:40]} are not names of 1 to 64 characters without controls, at most "
                f"{_MOST_SPEAKERS}"
            )
        if twice := [name for name, count in Counter(speakers).items() if count > 1]:
            raise ValueError(f"speakers name {twice[0]!r} twice")
        object.__setattr__(self, "speakers", tuple(speakers))

    def _check_arrangement(self) -> None:
        """Check that groups and strides share out the latent and the codebooks."""
        strides = self.strides
        if not isinstance(strides, list | tuple) or not all(type(s) is int and 1 <= s <= 64 for s in strides):
            raise ValueError(f"strides {str(strides)[:40]} are not integers in 1..64")
        object.__setattr__(self, "strides", tuple(strides))
        if strides and (self.groups > 1 or any(self.steps % stride for stride in strides)):
            raise ValueError(f"strides {list(strides)} must divide the longest, and go with one group")
        if strides and self.total_codebooks != (codes := sum(self.steps // stride for stride in strides)):
            raise ValueError(f"strides {list(strides)} make {codes} codes per frame: set total_codebooks to that")
        if self.latent_dim % self.groups or self.total_codebooks % self.groups:
            raise ValueError(f"groups {self.groups} does not divide latent_dim and total_codebooks")
        if self.attention_window and self.channels % self.attention_heads:
            raise ValueError(f"attention_heads {self.attention_heads} does not divide channels {self.channels}")

    def _check_window(self) -> None:
        """Check that windows overlap, and that what is computed from their length alone stays small."""
        times, rest = divmod(self.window_length, self.stft_hop)
        if rest or not 2 <= times <= _MOST_OVERLAP:
            raise ValueError(
                f"window_length {self.window_length} is not 2 or more times stft_hop {self.stft_hop}, and at most "
                f"{_MOST_OVERLAP} times"
            )
        if self.source_hz and self.window_length > _MOST_SOURCE_WINDOW:
            raise ValueError(f"window_length {self.window_length} is above {_MOST_SOURCE_WINDOW}, with source_hz")
        if self.source_hz and (self.window_length % (2 * self.stft_hop) or self.source_hz > self.sample_rate_hz // 4):
            raise ValueError(
                f"source_hz {self.source_hz} is above a quarter of the rate {self.sample_rate_hz}, or window_length "
                f"{self.window_length} not a multiple of twice the stft_hop {self.stft_hop}"
            )

    def _check_number(self, name: str, least: int, most: int) -> None:
        value = getattr(self, name)
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{name} {str(value)[:40]!r} is not an integer in {least}..{most}")
