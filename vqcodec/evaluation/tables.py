"""Points as Markdown tables, for terminals and documents."""

import math
from collections.abc import Iterable, Sequence

from vqcodec.evaluation.points import Interval, Point
from vqcodec.evaluation.summary import Comparison, pareto_front
from vqcodec.metrics import METRICS


def points_table(points: Sequence[Point], metrics: Sequence[str]) -> str:
    """A row per point: kbps of files and of payload, and every metric as mean ± half of its 95 % interval.

    * marks what is on the Pareto front: no other point is as small and better.
    """
    fronts = {name: _front(points, name) for name in metrics}
    head = ["codec", "kbps", "payload", *(METRICS[name].title for name in metrics), "clips"]
    rows = [
        [
            point.codec,
            _number(point.kbps.mean, 2),
            "" if point.payload_kbps is None else _number(point.payload_kbps.mean, 2),
            *(_score(point.scores.get(name)) + ("*" if point in fronts[name] else "") for name in metrics),
            str(point.kbps.clips),
        ]
        for point in points
    ]
    return markdown([head, *rows])


def comparisons_table(comparisons: Sequence[Comparison]) -> str:
    """BD-rate and BD-quality of codecs against an anchor; - where curves do not overlap."""
    rows = [
        [c.codec, METRICS[c.metric].title, _percent(c.bd_rate), _number(c.bd_quality, 3, sign="+")] for c in comparisons
    ]
    anchor = comparisons[0].anchor if comparisons else ""
    return markdown([[f"against {anchor}", "metric", "BD-rate, %", "BD-quality"], *rows])


def markdown(rows: Iterable[Sequence[str]]) -> str:
    """A table whose first row is the head, columns padded."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _front(points: Sequence[Point], metric: str) -> list[Point]:
    return pareto_front(points, metric, higher_is_better=METRICS[metric].higher_is_better)


def _score(score: Interval | None) -> str:
    if score is None:
        return ""
    undefined = f" ({score.undefined} undefined)" if score.undefined else ""
    return f"{_number(score.mean, 3)} ± {_number((score.high - score.low) / 2, 3)}{undefined}" if score.clips else "-"


def _percent(value: float) -> str:
    return _number(value, 1, sign="+")


def _number(value: float, digits: int, sign: str = "") -> str:
    return f"{value:{sign}.{digits}f}" if math.isfinite(value) else "-"
