"""Results -> points: means over clips with bootstrap intervals, by group; what codecs save; which points are best."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vqcodec.evaluation.bdrate import Curve, bd_quality, bd_rate
from vqcodec.evaluation.report.report_data import Interval, Point
from vqcodec.evaluation.results import Result

_RESAMPLES = 2000
_TAIL = 0.025

Floats = NDArray[np.float64]


def summarise(results: Iterable[Result], metrics: Sequence[str]) -> list[Point]:
    """Make one point per codec and rate, in order of codec and kbps, over the clips without an error.

    kbps is that of all clips together, bytes over seconds. Intervals hold 95 % of the means of 2,000 resamples of the
    clips (percentile bootstrap, Efron 1979, with percentiles expanded by Student's t for few clips, Hesterberg 2015);
    the same resamples for all codecs, so that equal results look equal.
    """
    groups: dict[tuple[str, float | None], list[Result]] = {}
    for result in results:
        if result.error is None:
            groups.setdefault((result.codec, result.kbps_asked), []).append(result)
    points = [_point(codec, asked, rows, metrics) for (codec, asked), rows in groups.items()]
    order = {codec: rank for rank, (codec, _) in reversed(list(enumerate(groups)))}
    return sorted(points, key=lambda point: (order[point.codec], point.kbps.mean))


def group_by(results: Iterable[Result], column: str) -> dict[str, list[Result]]:
    """Sort results by the value of a column of the manifest, such as speaker or language; "" where it is absent."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.columns.get(column, ""), []).append(result)
    return dict(sorted(groups.items()))


@dataclass(frozen=True)
class CurveComparison:
    """`codec` against `anchor` by one metric: rate in per cent, quality in the metric's unit; NaN: no overlap."""

    codec: str
    anchor: str
    metric: str
    bd_rate: float
    bd_quality: float


def compare_curves(points: Sequence[Point], anchor: str, metrics: Sequence[str]) -> list[CurveComparison]:
    """Compare every other codec with `anchor`."""
    codecs = [codec for codec in dict.fromkeys(point.codec for point in points) if codec != anchor]
    comparisons = []
    for metric in metrics:
        base = curve_of(points, anchor, metric)
        for codec in codecs:
            curve = curve_of(points, codec, metric)
            comparisons.append(CurveComparison(codec, anchor, metric, bd_rate(base, curve), bd_quality(base, curve)))
    return comparisons


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


def _point(codec: str, asked: float | None, rows: list[Result], metrics: Sequence[str]) -> Point:
    rows = sorted(rows, key=lambda row: row.clip)
    seconds = np.array([row.seconds for row in rows], dtype=np.float64)
    payload = np.array([row.payload_kbps for row in rows], dtype=np.float64)
    return Point(
        codec=codec,
        kbps_asked=asked,
        kbps=_interval(np.array([row.kbps for row in rows], dtype=np.float64), seconds),
        payload_kbps=None if np.isnan(payload).any() else _interval(payload, seconds),
        scores={
            metric: _interval(np.array([row.scores[metric] for row in rows]), np.ones(len(rows)))
            for metric in metrics
            if all(metric in row.scores for row in rows)
        },
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
