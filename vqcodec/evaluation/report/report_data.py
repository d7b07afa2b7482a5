"""What curves, tables and the report are made of: means with intervals, and clips to listen to."""

from dataclasses import dataclass, field

from vqcodec.arrays import Wave
from vqcodec.evaluation.conditions import PLAIN, Condition


@dataclass(frozen=True)
class Interval:
    """A mean over `clips` clips and its bootstrap 95 % interval; `undefined` more clips had no value."""

    mean: float
    low: float
    high: float
    clips: int
    undefined: int = 0


@dataclass(frozen=True)
class Point:
    """A codec at one rate, under one condition. kbps: of files, bytes over seconds of all clips; scores by metric."""

    codec: str
    kbps_asked: float | None
    kbps: Interval
    payload_kbps: Interval | None
    scores: dict[str, Interval]
    condition: Condition = PLAIN


@dataclass(frozen=True)
class Take:
    """One clip as a codec renders it at one rate: wave_hat float32 [T], aligned with the original."""

    codec: str
    kbps_asked: float | None
    kbps: float
    wave_hat: Wave
    scores: dict[str, float] = field(default_factory=dict)
    condition: Condition = PLAIN


@dataclass(frozen=True)
class Exhibit:
    """A clip to listen to: the original, float32 [T] at `rate_hz`, and what codecs made of it.

    whole_seconds: of the clip, of which this may be the beginning only
    """

    clip: str
    rate_hz: int
    wave: Wave
    takes: list[Take]
    whole_seconds: float
