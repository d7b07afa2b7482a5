"""Results -> points: means over clips with bootstrap intervals, by group; what codecs save; which points are best."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vqcodec.evaluation.bdrate import Curve, bd_quality, bd_rate
from vqcodec.evaluation.conditions import PLAIN, Condition
from vqcodec.evaluation.report.report_data import Interval, Point
from vqcodec.evaluation.results import Result

_RESAMPLES = 2000
_TAIL = 0.025

Floats = NDArray[np.float64]


def summarise(results: Iterable[Result], metrics: Sequence[str]) -> list[Point]:
    """Make one point per codec, rate and condition, over the clips without an error.

    They are in the order of the condition, the codec and kbps.

    kbps is that of all clips together, bytes over seconds. Intervals hold 95 % of the means of 2,000 resamples of the
    clips (percentile bootstrap, Efron 1979, with percentiles expanded by Student's t for few clips, Hesterberg 2015);
    the same resamples for all codecs, so that equal results look equal.
    """
    groups: dict[tuple[Condition, str, float | None], list[Result]] = {}
    for result in results:
        if result.error is None:
            groups.setdefault((result.condition, result.codec, result.kbps_asked), []).append(result)
    points = [_point(rows, metrics) for rows in groups.values()]
    conditions = sorted({condition for condition, _, _ in groups}, key=lambda condition: condition.order)
    order = {codec: rank for rank, (_, codec, _) in reversed(list(enumerate(groups)))}
    return sorted(points, key=lambda p: (conditions.index(p.condition), order[p.codec], p.kbps.mean))


def group_by(results: Iterable[Result], column: str) -> dict[str, list[Result]]:
    """Sort results by the value of a column of the manifest, such as speaker or language; "" where it is absent."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.columns.get(column, ""), []).append(result)
    return dict(sorted(groups.items()))


@dataclass(frozen=True)
class CurveComparison:
    """`codec` against `anchor` by one metric: rate in per cent, quality in the metric's unit; NaN: no overlap.

    is_flattered: one of the two was trained on the metric
    """

    codec: str
    anchor: str
    metric: str
    bd_rate: float
    bd_quality: float
    condition: Condition = PLAIN
    is_flattered: bool = False


def compare_curves(points: Sequence[Point], anchor: str, metrics: Sequence[str]) -> list[CurveComparison]:
    """Compare every other codec with `anchor`, under each condition."""
    codecs = [codec for codec in dict.fromkeys(point.codec for point in points) if codec != anchor]
    comparisons = []
    for condition, alike in by_condition(points).items():
        for metric in metrics:
            base = curve_of(alike, anchor, metric)
            for codec in codecs:
                curve = curve_of(alike, codec, metric)
                saved = bd_rate(base, curve), bd_quality(base, curve)
                is_flattered = any(metric in p.trained_on for p in alike if p.codec in (codec, anchor))
                comparisons.append(CurveComparison(codec, anchor, metric, *saved, condition, is_flattered))
    return comparisons


def by_condition(points: Iterable[Point]) -> dict[Condition, list[Point]]:
    """Sort points by their condition, in order."""
    groups: dict[Condition, list[Point]] = {}
    for point in points:
        groups.setdefault(point.condition, []).append(point)
    return groups


def curve_of(points: Sequence[Point], codec: str, metric: str) -> Curve:
    """Return (kbps, mean score) of the codec's points where the score is defined."""
    chosen = [point for point in points if point.codec == codec and metric in point.scores]
    pairs = [(point.kbps.mean, point.scores[metric].mean) for point in chosen]
    return [pair for pair in pairs if np.isfinite(pair).all()]


def pareto_front(points: Sequence[Point], metric: str, *, higher_is_better: bool = True) -> list[Point]:
    """Return points that no other one beats: none has at most their rate and a better score, or less and as good."""
    sign = 1 if higher_is_better else -1
    defined = [p for p in points if metric in p.scores and np.isfinite(p.scores[metric].mean)]
    best, front = -np.inf, []
    for point in sorted(defined, key=lambda p: (p.kbps.mean, -sign * p.scores[metric].mean)):
        if sign * point.scores[metric].mean > best:
            best = sign * point.scores[metric].mean
            front.append(point)
    return front


def _point(rows: list[Result], metrics: Sequence[str]) -> Point:
    """The point of results that differ in their clip only."""
    rows = sorted(rows, key=lambda row: row.clip)
    seconds = np.array([row.seconds for row in rows], dtype=np.float64)
    payload = np.array([row.payload_kbps for row in rows], dtype=np.float64)
    return Point(
        codec=rows[0].codec,
        kbps_asked=rows[0].kbps_asked,
        kbps=_interval(np.array([row.kbps for row in rows], dtype=np.float64), seconds),
        payload_kbps=None if np.isnan(payload).any() else _interval(payload, seconds),
        scores={
            metric: _interval(np.array([row.scores[metric] for row in rows]), np.ones(len(rows)))
            for metric in metrics
            if all(metric in row.scores for row in rows)
        },
        condition=rows[0].condition,
        trained_on=tuple(sorted({metric for row in rows for metric in row.trained_on})),
    )


def _interval(values: Floats, weights: Floats) -> Interval:
    """The weighted mean of the values that are defined, and the interval of it."""
    defined = ~np.isnan(values)
    undefined = int((~defined).sum())
    values, weights = values[defined], weights[defined]
    if not len(values):
        return Interval(np.nan, np.nan, np.nan, clips=0, undefined=undefined)
    chosen = np.random.default_rng(0).integers(len(values), size=(_RESAMPLES, len(values)))
    means = (values * weights)[chosen].sum(1) / weights[chosen].sum(1)
    low, high = np.percentile(means, _percentiles(len(values)))
    mean = (values @ weights) / weights.sum()
    return Interval(float(mean), float(low), float(high), clips=len(values), undefined=undefined)


def _percentiles(clips: int) -> tuple[float, float]:
    """Return what holds 95 %: further out than 2.5 and 97.5 for few clips (Hesterberg 2015, section 5.2)."""
    from scipy.stats import norm, t

    if clips < 2:
        return 0.0, 100.0
    tail = norm.cdf(np.sqrt(clips / (clips - 1)) * t.ppf(_TAIL, clips - 1))
    return 100 * float(tail), 100 * float(1 - tail)
