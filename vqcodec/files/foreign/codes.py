"""What a file of another tool holds, whichever tool that was."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class ModelFacts:
    """What a file says of the model that made it."""

    name: str
    sample_rate_hz: int
    hop_length: int
    codebook_size: int


@dataclass(frozen=True)
class ForeignCodes:
    """Codes [C, K, F], integers, and what their file says about them; None where it says nothing.

    `samples` per channel at `rate_hz`, the rate of the audio before it was resampled for the model.
    `is_length_floored`: the tool's resampler rounds lengths down, so the frames may lack the audio's last sample.
    """

    codes: NDArray[Any]
    samples: int | None = None
    rate_hz: int | None = None
    model: ModelFacts | None = None
    is_length_floored: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
