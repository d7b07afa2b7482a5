import json

import numpy as np
import pytest
from scipy.stats import kendalltau, rankdata

from vqcodec.evaluation.conditions import PLAIN, Condition
from vqcodec.evaluation.report.disagreement import disagreement_tables, disagreements_of, facts_of
from vqcodec.evaluation.report.html import write_report
from vqcodec.evaluation.report.report_data import Interval, Point
from vqcodec.metrics import METRICS

HIGH, LOW, ZERO = "pesq_wb", "lsd", "grid_50hz"


def point(codec, condition=PLAIN, trained_on=(), **means):
    scores = {name: Interval(mean, mean, mean, 5) for name, mean in means.items()}
    return Point(codec, 6, Interval(6, 6, 6, 5), None, scores, condition, trained_on)


def cells(points, metrics, kind):
    tables = disagreement_tables(disagreements_of(points, metrics))
    return [[cell.text for cell in row] for title, rows in tables.items() if kind in title for row in rows]


def test_ranks_are_by_what_is_best_of_each_metric():
    """More PESQ, less distance, and lines of either sign nearer to 0."""
    points = [point("a", pesq_wb=3, lsd=1, grid_50hz=-4), point("b", pesq_wb=2, lsd=2, grid_50hz=0.5)]
    (found,) = disagreements_of([*points, point("c", pesq_wb=1, lsd=3, grid_50hz=2)], [HIGH, LOW, ZERO])
    assert [ranked.ranks for ranked in found.ranked] == [
        {HIGH: 1, LOW: 1, ZERO: 3},
        {HIGH: 2, LOW: 2, ZERO: 1},
        {HIGH: 3, LOW: 3, ZERO: 2},
    ]
    assert [(pair.metrics, pair.tau, pair.opposite) for pair in found.pairs] == [
        ((HIGH, LOW), 1, 0),
        ((HIGH, ZERO), pytest.approx(-1 / 3), pytest.approx(2 / 3)),
        ((LOW, ZERO), pytest.approx(-1 / 3), pytest.approx(2 / 3)),
    ]


def test_ranks_and_tau_are_those_of_scipy_with_ties():
    rng = np.random.default_rng(0)
    scores = rng.integers(1, 5, size=(9, 2))
    (found,) = disagreements_of([point(f"c{a}", pesq_wb=a, stoi=b) for a, b in scores.tolist()], [HIGH, "stoi"])
    for column, name in enumerate((HIGH, "stoi")):
        assert [r.ranks[name] for r in found.ranked] == rankdata(-scores[:, column]).tolist()
    assert found.pairs[0].tau == pytest.approx(kendalltau(*scores.T).statistic)
    assert found.pairs[0].pairs == 36


def test_where_ranks_are_far_apart_the_kindest_and_the_harshest_metric_stand_out():
    points = [point("a", pesq_wb=3, lsd=1, grid_50hz=9, trained_on=(HIGH,)), point("b", pesq_wb=2, lsd=2, grid_50hz=1)]
    rows = cells(points, [HIGH, LOW, ZERO], "ranks")
    assert rows[1] == ["a at 6 kbps", "1† ▲", "1 ▲", "2 ▼", "1"]
    assert rows[2] == ["b at 6 kbps", "2 ▼", "2 ▼", "1 ▲", "1"]
    assert cells(points, [HIGH, LOW, ZERO], "pairs")[1:] == [
        [METRICS[LOW].title, "1.00, 0%", ""],
        [METRICS[ZERO].title, "-1.00, 100% ▼", "-1.00, 100% ▼"],
    ]


def test_judges_that_agree_have_nothing_that_stands_out():
    points = [point(f"c{at}", pesq_wb=at, lsd=-at) for at in range(4)]
    assert not set("▲▼") & set(str(cells(points, [HIGH, LOW], "")))
    assert [row[-1] for row in cells(points, [HIGH, LOW], "ranks")[1:]] == ["0"] * 4


def test_a_point_without_a_score_stays_and_the_ranks_of_the_others_span_the_same():
    points = [point("a", pesq_wb=3, lsd=1, stoi=1), point("b", pesq_wb=np.nan, lsd=2, stoi=2)]
    points += [point("c", pesq_wb=1, lsd=3, stoi=3), point("d", pesq_wb=np.nan), point("e", lsd=1)]
    (found,) = disagreements_of(points, [HIGH, LOW, "stoi"])
    assert [(ranked.point.codec, ranked.ranks.get(HIGH)) for ranked in found.ranked] == [
        ("a", 1),
        ("b", None),
        ("c", 3),
    ]
    assert cells(points, [HIGH, LOW, "stoi"], "ranks")[2][1] == "-"
    assert {pair.metrics: pair.pairs for pair in found.pairs}[HIGH, LOW] == 1


def test_conditions_are_compared_each_by_itself():
    quiet = Condition(level_db=-20)
    points = [point("a", pesq_wb=3, lsd=1), point("b", pesq_wb=2, lsd=2)]
    points += [point("a", pesq_wb=1, lsd=1, condition=quiet), point("b", pesq_wb=2, lsd=2, condition=quiet)]
    plain, lowered = disagreements_of(points, [HIGH, LOW])
    assert (plain.pairs[0].tau, lowered.pairs[0].tau) == (1, -1)
    assert facts_of(lowered)["level_db"] == -20
    assert any(quiet.label in title for title in disagreement_tables([plain, lowered]))


@pytest.mark.parametrize("points", [[], [point("a", pesq_wb=3, lsd=1)], [point("a", pesq_wb=3), point("b", pesq_wb=2)]])
def test_nothing_is_compared_with_one_point_or_one_metric(points):
    assert disagreements_of(points, [HIGH, LOW]) == []


def test_a_metric_to_which_all_are_equal_has_no_tau():
    (found,) = disagreements_of([point("a", pesq_wb=3, lsd=1), point("b", pesq_wb=3, lsd=2)], [HIGH, LOW])
    assert np.isnan(found.pairs[0].tau)
    assert [r.ranks[HIGH] for r in found.ranked] == [1.5, 1.5]


def test_the_page_highlights_and_escapes(tmp_path, nasty):
    points = [point(nasty, pesq_wb=3, lsd=2), point("b", pesq_wb=2, lsd=1)]
    found = disagreements_of(points, [HIGH, LOW])
    write_report(tmp_path / "a.html", title="a", points=points, curves={}, exhibits=[], disagreements=found)
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert '<td class="best">1 ▲</td>' in page
    assert '<td class="worst">-1.00, 100% ▼</td>' in page
    assert nasty not in page
    json.dumps(facts_of(found[0]), allow_nan=False)
