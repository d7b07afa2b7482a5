"""Where judges disagree: the rank of each point by each metric, and how many pairs two metrics order differently."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.evaluation.conditions import PLAIN, Condition
from vqcodec.evaluation.report.report_data import Point
from vqcodec.evaluation.results import said_of
from vqcodec.evaluation.summary import by_condition
from vqcodec.metrics import METRICS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ranked:
    """A point and its rank by each metric that scores it, 1 for the best of its condition; equals share the mean."""

    point: Point
    ranks: dict[str, float]

    @property
    def spread(self) -> float:
        """Return by how many ranks the kindest and the harshest metric differ."""
        return max(self.ranks.values()) - min(self.ranks.values())


@dataclass(frozen=True)
class PairOfMetrics:
    """How alike two metrics order the pairs of points that both score: tau-b of Kendall 1945, NaN if all are equal.

    opposite: the share of pairs of which one says the reverse of the other
    """

    metrics: tuple[str, str]
    tau: float
    opposite: float
    pairs: int


@dataclass(frozen=True)
class Disagreement:
    """What metrics say of the points of one condition, in the order of the points and of the metrics."""

    condition: Condition
    ranked: list[Ranked]
    pairs: list[PairOfMetrics]


def disagreements_of(points: Sequence[Point], metrics: Sequence[str]) -> list[Disagreement]:
    """Compute what `metrics` say of the points of each condition; one with less than two of either is left out."""
    found = []
    for condition, alike in by_condition(points).items():
        merits = {name: _merits(alike, name) for name in metrics}
        merits = {name: merit for name, merit in merits.items() if np.isfinite(merit).sum() > 1}
        scored = [at for at in range(len(alike)) if sum(math.isfinite(merit[at]) for merit in merits.values()) > 1]
        if len(scored) < 2:
            continue
        ranks = {name: _ranks(merit[scored]) for name, merit in merits.items()}
        ranked = [
            Ranked(alike[at], {name: float(each[row]) for name, each in ranks.items() if math.isfinite(each[row])})
            for row, at in enumerate(scored)
        ]
        found.append(Disagreement(condition, ranked, [_pair(names, merits) for names in combinations(merits, 2)]))
    return found


def facts_of(disagreement: Disagreement) -> dict[str, Any]:
    """Return what summary.json holds of it."""
    return {
        **disagreement.condition.columns(),
        "ranks": [
            {"codec": r.point.codec, "kbps_asked": r.point.kbps_asked, "ranks": r.ranks, "spread": r.spread}
            for r in disagreement.ranked
        ],
        "metrics": [
            {"metrics": list(p.metrics), "tau": p.tau, "opposite": p.opposite, "pairs": p.pairs}
            for p in disagreement.pairs
        ],
    }


def _merits(points: Sequence[Point], metric: str) -> Floats:
    """Mean scores [points], so that more is better; NaN where there is none."""
    means = np.array([point.scores[metric].mean if metric in point.scores else np.nan for point in points])
    better = METRICS[metric].higher_is_better
    return -np.abs(means) if better is None else means if better else -means


def _ranks(merits: Floats) -> Floats:
    """Ranks from 1, the best, to the number of points; those of a metric that scores fewer are stretched to it."""
    defined = np.isfinite(merits)
    order = np.sign(merits[None, :] - merits[:, None])[:, defined]
    ranks = np.where(defined, 1 + (order > 0).sum(1) + ((order == 0).sum(1) - 1) / 2, np.nan)
    stretched: Floats = 1 + (ranks - 1) * (len(merits) - 1) / max(defined.sum() - 1, 1)
    return stretched


def _pair(names: tuple[str, str], merits: Mapping[str, Floats]) -> PairOfMetrics:
    both = np.isfinite(merits[names[0]]) & np.isfinite(merits[names[1]])
    upper = np.triu_indices(int(both.sum()), 1)
    first, second = (np.sign(np.subtract.outer(merits[name][both], merits[name][both]))[upper] for name in names)
    pairs, ordered = len(first), math.sqrt(float((first != 0).sum()) * float((second != 0).sum()))
    tau = float(first @ second) / ordered if ordered else math.nan
    return PairOfMetrics(names, tau, float((first * second < 0).mean()) if pairs else math.nan, pairs)


@dataclass(frozen=True)
class Cell:
    """Text of a table, and how it is highlighted: "best", "worst", or not at all."""

    text: str
    highlight: str = ""


def disagreement_tables(disagreements: Sequence[Disagreement]) -> dict[str, list[list[Cell]]]:
    """Return two tables for each condition by their titles, the head first: ranks, and metrics against metrics."""
    tables = {}
    for each in disagreements:
        under = f", {each.condition.label}" if each.condition != PLAIN else ""
        tables[f"Where judges disagree: ranks{under}"] = _rank_cells(each)
        tables[f"Where judges disagree: pairs{under}"] = _pair_cells(each)
    return tables


def _rank_cells(disagreement: Disagreement) -> list[list[Cell]]:
    """A row per point; the best and the worst rank stand out where they are a quarter of all ranks apart."""
    metrics = list(dict.fromkeys(name for ranked in disagreement.ranked for name in ranked.ranks))
    apart = max(1.0, (len(disagreement.ranked) - 1) / 4)
    rows = [
        [
            Cell(r.point.codec + said_of(r.point.kbps_asked, PLAIN)),
            *(_rank_cell(r, name, apart) for name in metrics),
            Cell(f"{r.spread:.3g}"),
        ]
        for r in disagreement.ranked
    ]
    return [[Cell(text) for text in ("codec", *(METRICS[name].title for name in metrics), "spread")], *rows]


def _rank_cell(ranked: Ranked, metric: str, apart: float) -> Cell:
    """The rank; with ▲ the best and with ▼ the worst of a point that metrics see at least `apart` ranks apart."""
    rank = ranked.ranks.get(metric)
    if rank is None:
        return Cell("-")
    text = f"{rank:.3g}{ranked.point.mark(metric)}"
    if ranked.spread >= apart and rank == min(ranked.ranks.values()):
        return Cell(f"{text} ▲", "best")
    return Cell(f"{text} ▼", "worst") if ranked.spread >= apart and rank == max(ranked.ranks.values()) else Cell(text)


def _pair_cells(disagreement: Disagreement) -> list[list[Cell]]:
    """A row per metric but the first, a column per metric but the last: tau and the share that is opposite."""
    pairs = {pair.metrics: pair for pair in disagreement.pairs}
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    rows = [
        [Cell(METRICS[low].title), *(_pair_cell(pairs.get((high, low))) for high in names[:-1])] for low in names[1:]
    ]
    return [[Cell("τ, pairs ordered the other way"), *(Cell(METRICS[name].title) for name in names[:-1])], *rows]


def _pair_cell(pair: PairOfMetrics | None) -> Cell:
    if pair is None:
        return Cell("")
    if not math.isfinite(pair.tau):
        return Cell("-")
    is_far = pair.opposite >= 0.25
    return Cell(f"{pair.tau:.2f}, {pair.opposite:.0%}" + (" ▼" if is_far else ""), "worst" if is_far else "")
