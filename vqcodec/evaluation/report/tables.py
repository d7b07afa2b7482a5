"""Points as Markdown tables, for terminals and documents."""

import math
from collections.abc import Iterable, Sequence

from vqcodec.evaluation.conditions import PLAIN, Condition
from vqcodec.evaluation.listening.abx import Discrimination
from vqcodec.evaluation.listening.listeners import Opinion
from vqcodec.evaluation.report.report_data import TRAINED, Interval, Point
from vqcodec.evaluation.results import Result
from vqcodec.evaluation.summary import CurveComparison, by_condition, pareto_front
from vqcodec.evaluation.usage import Usage
from vqcodec.metrics import METRICS

Rows = list[list[str]]
"""A table: the head, then the rows."""


def points_rows(points: Sequence[Point], metrics: Sequence[str]) -> Rows:
    """Return a row per point: kbps of files and of payload, and every metric as mean ± half of its 95 % interval.

    * marks what is on the Pareto front: no other point of its condition is as small and better. † marks scores by
    metrics that the codec was trained on. A column has the condition where there is any but the plain one.
    """
    fronts = {name: front_of(points, name) for name in metrics}
    shown = has_conditions(point.condition for point in points)
    head = [
        "codec",
        *_where(shown, "condition"),
        "kbps",
        "payload",
        *(METRICS[name].title for name in metrics),
        "clips",
    ]
    rows = [
        [
            point.codec,
            *_where(shown, point.condition.label),
            _number(point.kbps.mean, 2),
            "" if point.payload_kbps is None else _number(point.payload_kbps.mean, 2),
            *(_marked(point, name) + ("*" if point in fronts[name] else "") for name in metrics),
            str(point.kbps.clips),
        ]
        for point in points
    ]
    return [head, *rows]


def comparisons_rows(comparisons: Sequence[CurveComparison]) -> Rows:
    """Return BD-rate and BD-quality of codecs against an anchor, of those whose curves overlap with its."""
    shown = has_conditions(c.condition for c in comparisons)
    rows = [
        [
            c.codec,
            *_where(shown, c.condition.label),
            METRICS[c.metric].title + (TRAINED if c.is_flattered else ""),
            _number(c.bd_rate, 1, sign="+"),
            _number(c.bd_quality, 3, sign="+"),
        ]
        for c in comparisons
        if math.isfinite(c.bd_rate) or math.isfinite(c.bd_quality)
    ]
    anchor = comparisons[0].anchor if comparisons else ""
    return [[f"against {anchor}", *_where(shown, "condition"), "metric", "BD-rate, %", "BD-quality"], *rows]


def speeds_rows(results: Sequence[Result]) -> Rows:
    """Return the real-time factors (seconds of audio per second of computing) of every codec, over all its results."""
    rows = []
    for codec in dict.fromkeys(result.codec for result in results):
        done = [result for result in results if result.codec == codec and result.error is None]
        audio = sum(result.seconds or 0 for result in done)
        times = [sum(getattr(r, name) or 0 for r in done) for name in ("encode_seconds", "decode_seconds")]
        rows.append([codec, *(f"{audio / seconds:.3g}" if seconds else "-" for seconds in times)])
    return [["codec", "encode, x real time", "decode"], *rows]


def usage_rows(usages: Sequence[Usage]) -> Rows:
    """Return the perplexity of each codebook, and the share of codes that occur in the least used one."""
    shown = has_conditions(usage.condition for usage in usages)
    rows = [
        [
            usage.codec if usage.kbps_asked is None else f"{usage.codec} @ {usage.kbps_asked:g}",
            *_where(shown, usage.condition.label),
            " ".join(f"{value:.0f}" for value in usage.perplexity),
            f"{min(usage.used_share):.0%}",
        ]
        for usage in usages
    ]
    return [
        ["codec", *_where(shown, "condition"), "perplexity of each codebook", "share of codes that occur, least"],
        *rows,
    ]


def opinions_rows(opinions: Sequence[Opinion]) -> Rows:
    """Return the mean score of each rendering with half of its 95 % interval, and of how many listeners it is."""
    shown = any(opinion.stimulus.condition for opinion in opinions)
    rows = [
        [
            opinion.stimulus.name,
            *_where(shown, opinion.stimulus.condition),
            _number(opinion.mean, 1) + (f" ± {opinion.half:.1f}" if math.isfinite(opinion.half) else ""),
            str(opinion.listeners),
            str(opinion.ratings),
        ]
        for opinion in opinions
    ]
    return [["codec", *_where(shown, "condition"), "MUSHRA", "listeners", "ratings"], *rows]


def discriminations_rows(pairs: Sequence[Discrimination]) -> Rows:
    """Return how many ABX trials of each pair were right, the p-value, and the 95 % interval of the share."""
    rows = [
        [
            " against ".join(", ".join(filter(None, (heard.name, heard.condition))) for heard in (pair.a, pair.b)),
            f"{pair.correct} of {pair.trials}",
            f"{pair.correct / pair.trials:.0%} ({pair.low:.0%} to {pair.high:.0%})",
            "< 0.0001" if pair.p_value < 1e-4 else f"{pair.p_value:.4f}",
            str(pair.tests),
        ]
        for pair in pairs
    ]
    return [["ABX", "correct", "share, 95 % interval", "p, one-sided", "tests"], *rows]


def markdown(rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first row is the head, columns padded."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def front_of(points: Sequence[Point], metric: str) -> list[Point]:
    """Return the Pareto front of each condition; empty for a metric that is best at 0."""
    better = METRICS[metric].higher_is_better
    if better is None:
        return []
    groups = by_condition(points).values()
    return [point for alike in groups for point in pareto_front(alike, metric, higher_is_better=better)]


def has_conditions(conditions: Iterable[Condition]) -> bool:
    """Tell whether a table needs a column for them: whether there is any but the plain one."""
    return any(condition != PLAIN for condition in conditions)


def _where(shown: bool, cell: str) -> list[str]:
    """The cell of a column that is not always there."""
    return [cell] if shown else []


def _marked(point: Point, metric: str) -> str:
    score = point.scores.get(metric)
    if score is None:
        return ""
    return _score(score) + (point.mark(metric) if math.isfinite(score.mean) else "")


def _score(score: Interval) -> str:
    undefined = f" ({score.undefined} undefined)" if score.undefined else ""
    half = f" ± {_number((score.high - score.low) / 2, 3)}" if score.clips > 1 else ""
    return f"{_number(score.mean, 3)}{half}{undefined}"


def _number(value: float, digits: int, sign: str = "") -> str:
    return f"{value:{sign}.{digits}f}" if math.isfinite(value) else "-"
