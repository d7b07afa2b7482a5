import math

import numpy as np
import pytest

from vqcodec.evaluation.report.report_data import Interval, Point
from vqcodec.evaluation.results import Result
from vqcodec.evaluation.summary import compare_curves, curve_of, group_by, pareto_front, summarise


def result(codec, clip, asked, kbps, score, seconds=1.0, **facts):
    scores = {"pesq_wb": score}
    return Result(codec, "1", clip, asked, 16000, seconds, kbps, None, 0.1, 0.1, 0, scores=scores, **facts)


def point(codec, kbps, score):
    return Point(codec, kbps, Interval(kbps, kbps, kbps, 1), None, {"pesq_wb": Interval(score, score, score, 1)})


def test_the_rate_of_all_clips_is_bytes_over_seconds_and_scores_are_means_over_clips():
    (found,) = summarise(
        [result("a", "x", 3, 2.0, 1.5, seconds=1), result("a", "y", 3, 4.0, 2.5, seconds=3)], ["pesq_wb"]
    )
    assert found.kbps.mean == pytest.approx((2 * 1 + 4 * 3) / 4)
    assert found.scores["pesq_wb"].mean == pytest.approx(2.0)
    assert found.payload_kbps is None


def test_an_interval_holds_the_true_mean_nineteen_times_in_twenty():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        rows = [result("a", str(i), 3, 3.0, score) for i, score in enumerate(rng.normal(2, 0.3, 60))]
        score = summarise(rows, ["pesq_wb"])[0].scores["pesq_wb"]
        hits += score.low <= 2 <= score.high
    assert 180 <= hits <= 199  # 190 expected, 3 deviations of the binomial


@pytest.mark.parametrize("clips", [4, 10])
def test_intervals_of_few_clips_are_as_wide_as_students(clips):
    scores = np.random.default_rng(1).normal(2, 0.3, (300, clips))
    hits = 0
    for row in scores:
        score = summarise([result("a", str(i), 3, 3.0, v) for i, v in enumerate(row)], ["pesq_wb"])[0].scores["pesq_wb"]
        hits += score.low <= 2 <= score.high
    assert hits >= 0.84 * 300  # a plain percentile bootstrap holds under 80 % with 4


def test_undefined_scores_are_counted_and_left_out_of_the_mean():
    rows = [result("a", "x", 3, 3.0, 2.0), result("a", "y", 3, 3.0, math.nan)]
    score = summarise(rows, ["pesq_wb"])[0].scores["pesq_wb"]
    assert (score.mean, score.clips, score.undefined) == (2.0, 1, 1)
    nothing = summarise(rows[1:], ["pesq_wb"])[0].scores["pesq_wb"]
    assert math.isnan(nothing.mean)
    assert (nothing.clips, nothing.undefined) == (0, 1)


def test_clips_with_an_error_do_not_count():
    rows = [result("a", "x", 3, 3.0, 2.0), Result("a", "1", "y", 3, error="broken")]
    assert summarise(rows, ["pesq_wb"])[0].kbps.clips == 1
    assert summarise(rows[1:], ["pesq_wb"]) == []


def test_points_do_not_depend_on_the_order_in_which_results_came():
    rows = [result("a", str(i), 3, 3 + i / 10, 2 + i / 7) for i in range(20)]
    assert summarise(rows, ["pesq_wb"]) == summarise(rows[::-1], ["pesq_wb"])


def test_codecs_keep_their_order_and_rates_rise():
    rows = [result("b", "x", 6, 6, 3), result("a", "x", 3, 3, 2), result("b", "x", 3, 3, 2)]
    assert [(p.codec, p.kbps_asked) for p in summarise(rows, [])] == [("b", 3), ("b", 6), ("a", 3)]


def test_groups_are_values_of_a_column():
    rows = [
        result("a", "x", 3, 3, 2, columns={"speaker": "Eve"}),
        result("a", "y", 3, 3, 2, columns={"speaker": "Ada"}),
    ]
    assert {name: [row.clip for row in group] for name, group in group_by(rows, "speaker").items()} == {
        "Ada": ["y"],
        "Eve": ["x"],
    }
    assert list(group_by(rows, "language")) == [""]


def test_the_front_has_what_nothing_beats():
    points = [point("a", 1, 1.0), point("b", 2, 3.0), point("a", 3, 2.0), point("b", 2.5, 3.0), point("a", 6, 4.0)]
    assert [(p.codec, p.kbps.mean) for p in pareto_front(points, "pesq_wb")] == [("a", 1), ("b", 2), ("a", 6)]
    down = pareto_front(points, "pesq_wb", higher_is_better=False)
    assert [(p.codec, p.kbps.mean) for p in down] == [("a", 1)]
    assert pareto_front([point("a", 1, math.nan)], "pesq_wb") == []


def test_codecs_are_compared_with_the_anchor_and_undefined_points_are_left_out():
    points = [point("opus", kbps, quality) for kbps, quality in ((6, 2.2), (8, 2.9), (12, 3.8))]
    points += [point("ours", kbps / 2, quality) for kbps, quality in ((6, 2.2), (8, 2.9), (12, 3.8))]
    points += [point("ours", 5, math.nan), point("flac", 120, 4.6)]
    ours, flac = compare_curves(points, "opus", ["pesq_wb"])
    assert (ours.codec, ours.anchor) == ("ours", "opus")
    assert ours.bd_rate == pytest.approx(-50)
    assert math.isnan(flac.bd_rate)
    assert len(curve_of(points, "ours", "pesq_wb")) == 3
