"""What curves, tables and the report are made of: means with intervals, and clips to listen to."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from vqcodec.arrays import Wave
from vqcodec.evaluation.conditions import PLAIN, Condition

TRAINED = "†"
"""The mark of a score by a metric that the codec was trained on."""
TRAINED_LEGEND = f"{TRAINED}: a loss of the codec's training is a model of this metric, which flatters it"


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
    """A codec at one rate, under one condition. kbps: of files, bytes over seconds of all clips; scores by metric.

    trained_on: metrics that a loss of its training is a model of
    """

    codec: str
    kbps_asked: float | None
    kbps: Interval
    payload_kbps: Interval | None
    scores: dict[str, Interval]
    condition: Condition = PLAIN
    trained_on: tuple[str, ...] = ()

    def mark(self, metric: str) -> str:
        """Return the mark of its score by `metric`, empty where it was not trained on that."""
        return TRAINED if metric in self.trained_on else ""


def has_marks(points: Iterable[Point]) -> bool:
    """Tell whether any score of `points` has a mark, which a legend must then explain."""
    return any(point.mark(metric) for point in points for metric in point.scores)


@dataclass(frozen=True)
class Take:
    """One clip as a codec renders it at one rate: wave_hat float32 [T], aligned with the original.

    kbps_over_time: of its codes in each tenth of a second, where the codec tells
    """

    codec: str
    kbps_asked: float | None
    kbps: float
    wave_hat: Wave
    scores: dict[str, float] = field(default_factory=dict)
    condition: Condition = PLAIN
    kbps_over_time: tuple[float, ...] = ()


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
