import bjontegaard
import numpy as np
import pytest

from vqcodec.evaluation.bdrate import bd_quality, bd_rate

# The example that the package bjontegaard (FAU-LMS) publishes in its documentation.
ANCHOR = ([9487.76, 4593.60, 2486.44, 1358.24], [40.037, 38.615, 36.845, 34.851])
TEST = ([9787.80, 4469.00, 2451.52, 1356.24], [40.121, 38.651, 36.970, 34.987])


def pairs(curve):
    return list(zip(*curve, strict=True))


def test_the_published_example_of_a_reference_implementation():
    rate = bjontegaard.bd_rate(*ANCHOR, *TEST, method="pchip")
    quality = bjontegaard.bd_psnr(*ANCHOR, *TEST, method="pchip")
    assert bd_rate(pairs(ANCHOR), pairs(TEST)) == pytest.approx(rate, abs=1e-6)
    assert bd_quality(pairs(ANCHOR), pairs(TEST)) == pytest.approx(quality, abs=1e-6)
    assert rate == pytest.approx(-4.43, abs=0.02)


def test_half_the_rate_at_every_quality_is_minus_50_per_cent():
    anchor = [(6, 2.2), (8, 2.9), (12, 3.8), (24, 4.4)]
    halved = [(kbps / 2, quality) for kbps, quality in anchor]
    assert bd_rate(anchor, halved) == pytest.approx(-50)
    assert bd_rate(halved, anchor) == pytest.approx(100)
    lifted = [(kbps, quality + 0.25) for kbps, quality in anchor]
    assert bd_quality(anchor, lifted) == pytest.approx(0.25)


def test_the_order_of_points_does_not_matter():
    anchor, test = pairs(ANCHOR), pairs(TEST)
    assert bd_rate(anchor[::-1], test) == bd_rate(anchor, test)


@pytest.mark.parametrize(
    ("anchor", "test"),
    [
        ([(1, 1), (2, 2)], [(1, 3), (2, 4)]),  # no quality in common
        ([(1, 1)], [(1, 1), (2, 2)]),
        ([], []),
        ([(1, 2), (2, 1)], [(1, 1), (2, 2)]),  # worse with more bits: no rate belongs to a quality
    ],
)
def test_curves_that_cannot_be_compared_by_rate_give_no_number(anchor, test):
    assert np.isnan(bd_rate(anchor, test))


def test_curves_without_a_common_rate_give_no_quality():
    assert np.isnan(bd_quality([(1, 1), (2, 2)], [(3, 1), (4, 2)]))
