"""Effort: how long a model searches for codes. Files are as large, and any decoder reads them.

It is the number of partial sums that `vqcodec.nn.quantizers.search` carries on: one is the nearest vector in turn.
"""

from typing import Literal, get_args

from vqcodec.errors import ConfigError

Effort = Literal["fast", "normal", "best"]
"""The names of 1, 4 and 16 beams."""
EFFORTS: tuple[Effort, ...] = get_args(Effort)
DEFAULT_EFFORT: Effort = "normal"
BEAMS: dict[Effort, int] = {"fast": 1, "normal": 4, "best": 16}


def check_effort(effort: str, *, model: str, is_searched: bool) -> None:
    """Raise ConfigError for an effort that there is not, or that makes no difference to a `model`."""
    if effort not in EFFORTS:
        raise ConfigError(f"effort {effort!r} is none of {', '.join(EFFORTS)}")
    if effort != DEFAULT_EFFORT and not is_searched:
        raise ConfigError(f"effort {effort!r} is not for {model}, whose codes are not searched for; leave it out")
