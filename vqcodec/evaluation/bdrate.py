"""Bjøntegaard's mean differences of two rate-quality curves (VCEG-M33), by piecewise cubic interpolation (PCHIP).

Over the logarithm of the rate, as Bjøntegaard; PCHIP does not overshoot as one cubic polynomial does, and takes any
number of points from two on.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Curve = Sequence[tuple[float, float]]
"""Points (kbps, quality) of one codec, in any order."""


def bd_rate(anchor: Curve, test: Curve) -> float:
    """Return the mean difference of the rate of `test` from that of `anchor` at equal quality, in per cent.

    Negative is better.

    NaN where the curves share no quality, have fewer than two points, or quality does not rise with the rate.
    """
    shared = _mean_difference(*(_by(curve, quality=True) for curve in (anchor, test)))
    return float((np.exp(shared) - 1) * 100)


def bd_quality(anchor: Curve, test: Curve) -> float:
    """Return the mean difference of the quality of `test` from that of `anchor` at equal rate: positive is better.

    NaN where the curves share no rate or have fewer than two points.
    """
    return _mean_difference(*(_by(curve, quality=False) for curve in (anchor, test)))


def _by(curve: Curve, *, quality: bool) -> NDArray[np.float64]:
    """[2, N]: log rate as a function of rising quality, or quality of rising log rate."""
    rates, qualities = np.array(sorted(curve), dtype=np.float64).reshape(-1, 2).T
    pair = (qualities, np.log(rates)) if quality else (np.log(rates), qualities)
    return np.stack(pair)


def _mean_difference(anchor: NDArray[np.float64], test: NDArray[np.float64]) -> float:
    if any(curve.shape[1] < 2 or not np.all(np.diff(curve[0]) > 0) for curve in (anchor, test)):
        return float("nan")
    low, high = max(anchor[0][0], test[0][0]), min(anchor[0][-1], test[0][-1])
    if low >= high:
        return float("nan")
    areas = [_pchip(curve).integrate(low, high) for curve in (anchor, test)]
    return float((areas[1] - areas[0]) / (high - low))


def _pchip(curve: NDArray[np.float64]) -> Any:
    from scipy.interpolate import PchipInterpolator

    return PchipInterpolator(*curve)
