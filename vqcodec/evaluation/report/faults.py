"""Faults that a listener hears at once and PESQ or STOI hardly notice: which of them the scores of a codec show."""

import math
from collections.abc import Callable, Iterable

from vqcodec.evaluation.report.report_data import Point
from vqcodec.evaluation.results import said_of
from vqcodec.metrics import METRICS

_FAULTS: dict[str, tuple[Callable[[float], bool], str]] = {
    "pulse_periodicity_2_4khz": (lambda score: score <= -0.4, "noise in the place of harmonics"),
    "grid_50hz": (lambda score: score >= 3, "a buzz at the frame rate"),
    "level_4_7khz": (lambda score: score <= -10, "dull"),
    "f0_correlation": (lambda score: score < 0.5, "fluent, but not what was said"),
}
"""What a mean over clips must not be, by metric: docs/evaluation.md has what clean codecs give."""


def faults_of(points: Iterable[Point]) -> list[str]:
    """Tell, a line each, which faults the mean scores of points show, and by which score."""
    return [
        f"{point.codec}{said_of(point.kbps_asked, point.condition)}: {said} "
        f"({METRICS[name].title} {point.scores[name].mean:.2f} {METRICS[name].unit}".rstrip()
        + ")"
        for point in points
        for name, (is_wrong, said) in _FAULTS.items()
        if name in point.scores and math.isfinite(point.scores[name].mean) and is_wrong(point.scores[name].mean)
    ]
