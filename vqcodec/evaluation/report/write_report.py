"""The folder of an evaluation -> tables, curves, summary.json and report.html."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vqcodec.errors import ConfigError
from vqcodec.evaluation.codecs.bits import RATES_PER_SECOND
from vqcodec.evaluation.folder import (
    Settings,
    original_path,
    rates_path,
    read_audio,
    read_rates,
    read_settings,
    take_path,
)
from vqcodec.evaluation.listening.abx import Discrimination, discriminations
from vqcodec.evaluation.listening.listeners import Listener, Opinion, opinions
from vqcodec.evaluation.report.disagreement import disagreements_of, facts_of
from vqcodec.evaluation.report.faults import faults_of
from vqcodec.evaluation.report.html import write_report
from vqcodec.evaluation.report.plots import rate_quality_curve, write_figure
from vqcodec.evaluation.report.report_data import TRAINED_LEGEND, Exhibit, Point, Take, has_marks
from vqcodec.evaluation.report.tables import (
    comparisons_rows,
    discriminations_rows,
    front_of,
    markdown,
    opinions_rows,
    points_rows,
    speeds_rows,
    usage_rows,
)
from vqcodec.evaluation.results import Result, read_results
from vqcodec.evaluation.summary import CurveComparison, compare_curves, group_by, summarise
from vqcodec.evaluation.usage import Usage, usage_of
from vqcodec.output import atomic_output, output_errors

_MOST_ERRORS = 10
_LEGEND = "kbps: bytes of whole files. ±: half the 95 % interval over clips. *: no other point is as small and better."
_LISTEN_SECONDS = 15
"""Heard of a clip in the report: BS.1534 advises 12, and the page stays small."""


def present(out: Path, *, by: str | None = None, anchor: str | None = None, listeners: Sequence[Listener] = ()) -> str:
    """Write curves/, summary.json and report.html into the folder `out`; return the tables as Markdown.

    by: a column of the manifest; one more table per value of it. anchor: the codec that BD-rates compare with, the
    first by default. listeners: those whose scores are a table. Raises ConfigError for a folder without an
    evaluation, an unknown column or anchor; OutputError.
    """
    settings = read_settings(out)
    results = _in_order(read_results(out), settings.codecs)
    points = summarise(results, settings.metrics)
    if not points:
        raise ConfigError(f"{out}: no clip was coded; the first error: {results[0].error if results else 'no results'}")
    groups = {} if by is None else _groups(results, settings.metrics, by)
    comparisons = compare_curves(points, _anchor(points, anchor), settings.metrics)
    usages, disagreements = usage_of(out, results), disagreements_of(points, settings.metrics)
    heard, told_apart = opinions(listeners), discriminations(each.abx for each in listeners if each.abx is not None)
    curves = {name: write_figure(out / "curves" / name, rate_quality_curve(points, name)) for name in settings.metrics}
    _write_json(
        out / "summary.json",
        _facts(settings, points, comparisons, groups, usages)
        | {"disagreements": [facts_of(each) for each in disagreements]}
        | _said(heard, told_apart),
    )
    tables = {f"{by} {name or '(none)'}": points_rows(group, settings.metrics) for name, group in groups.items()}
    tables = {"Listeners": opinions_rows(heard), "Told apart": discriminations_rows(told_apart)} | tables
    tables |= {"BD-rates": comparisons_rows(comparisons), "Speed": speeds_rows(results)}
    tables |= {"Use of codebooks": usage_rows(usages)}
    tables = {title: rows for title, rows in tables.items() if len(rows) > 1}
    notes = [*_notes(settings, results, points), *_notes_of(listeners)]
    write_report(
        out / "report.html",
        title=" · ".join(dict.fromkeys(point.codec for point in points)),
        points=points,
        curves=curves,
        exhibits=_exhibits(out, settings, results),
        tables=tables,
        disagreements=disagreements,
        notes=notes,
    )
    legend = f"{_LEGEND} {TRAINED_LEGEND}." if has_marks(points) else _LEGEND
    faults = faults_of(points)
    texts = [*(["\n".join(["Heard at once:", *faults])] if faults else [])]
    texts += [markdown(points_rows(points, settings.metrics)), legend]
    texts += [f"{title}:\n\n{markdown(rows)}" for title, rows in tables.items()]
    return "\n\n".join([*texts, *(["\n".join(notes)] if notes else []), f"listen: {out / 'report.html'}"])


def _in_order(results: Sequence[Result], codecs: Sequence[str]) -> list[Result]:
    """Results in the order of `codecs`, rates and clips, however they came; of other codecs last."""
    ranks = {name: rank for rank, name in enumerate(codecs)}
    return sorted(
        results, key=lambda r: (ranks.get(r.codec, len(ranks)), r.codec, r.kbps_asked or 0, r.clip, r.condition.order)
    )


def _anchor(points: Sequence[Point], anchor: str | None) -> str:
    codecs = list(dict.fromkeys(point.codec for point in points))
    if anchor is not None and anchor not in codecs:
        raise ConfigError(f"no results of {anchor} to compare with; there are {', '.join(codecs)}")
    return anchor or codecs[0]


def _groups(results: Sequence[Result], metrics: Sequence[str], by: str) -> dict[str, list[Point]]:
    columns = sorted({column for result in results for column in result.columns})
    if by not in columns:
        there = f"there are {', '.join(columns)}" if columns else "a manifest gives clips columns"
        raise ConfigError(f"no clip has a column {by}; {there}")
    return {name: summarise(group, metrics) for name, group in group_by(results, by).items()}


def _exhibits(out: Path, settings: Settings, results: Sequence[Result]) -> list[Exhibit]:
    """The clips to listen to, at each level that they were coded at, with what is kept of each."""
    levels = sorted({result.condition.of_clip for result in results}, key=lambda condition: condition.order)
    exhibits = []
    for clip in settings.listen:
        for level in levels:
            if not original_path(out, clip, level).exists():
                continue
            wave, rate_hz = read_audio(original_path(out, clip, level))
            length = _LISTEN_SECONDS * rate_hz
            its = [r for r in results if r.clip == clip and r.condition.of_clip == level]
            takes = _takes(out, its, length, rate_hz)
            title = f"{clip}, {level.label}" if level.label else clip
            exhibits.append(Exhibit(title, rate_hz, wave[:length], takes, len(wave) / rate_hz))
    return exhibits


def _takes(out: Path, results: Sequence[Result], length: int, rate_hz: int) -> list[Take]:
    """The first `length` samples of what is kept of results."""
    kept = [(r, take_path(out, r.codec, r.kbps_asked, r.clip, r.condition)) for r in results if r.kbps]
    return [
        Take(
            r.codec,
            r.kbps_asked,
            r.kbps or math.nan,
            read_audio(path)[0][:length],
            dict(r.scores),
            r.condition,
            _rates(path, length / rate_hz),
        )
        for r, path in kept
        if path.exists()
    ]


def _rates(take: Path, seconds: float) -> tuple[float, ...]:
    """The rate over time of the first `seconds` of a rendering, if it is known."""
    path = rates_path(take)
    return tuple(read_rates(path)[: round(seconds * RATES_PER_SECOND)].tolist()) if path.exists() else ()


def _notes(settings: Settings, results: Sequence[Result], points: Sequence[Point]) -> list[str]:
    """What is not in the tables: clips that failed, metrics without a value, codecs that are not installed."""
    notes = list(settings.notes)
    if len({point.kbps.clips for point in points}) > 1:
        notes.append("means are over different clips: see the column clips")
    failed = list(dict.fromkeys(failure for result in results for failure in result.failures))
    notes += failed[:_MOST_ERRORS]
    if len(failed) > _MOST_ERRORS:
        notes.append(f"... and {len(failed) - _MOST_ERRORS} more errors in results.jsonl")
    reasons = {f"{metric}: {reason}" for result in results for metric, reason in result.undefined.items()}
    notes += [f"undefined {reason}" for reason in sorted(reasons)]
    return notes + [f"skipped {name}: {reason}" for name, reason in settings.skipped.items()]


def _notes_of(listeners: Sequence[Listener]) -> list[str]:
    """Who is left out, and who was not trained."""
    left_out = [f"left out {each.name}: {each.fault}" for each in listeners if each.fault is not None]
    untrained = [each.name for each in listeners if each.fault is None and each.is_trained is False]
    return left_out + ([f"tested without having heard all in training: {', '.join(untrained)}"] if untrained else [])


def _said(heard: Sequence[Opinion], told_apart: Sequence[Discrimination]) -> dict[str, Any]:
    """What listeners said, for summary.json."""
    ratings = [{name: value for name, value in asdict(each).items() if name != "stimulus"} for each in heard]
    return {
        "listeners": [asdict(each.stimulus) | rating for each, rating in zip(heard, ratings, strict=True)],
        "abx": [asdict(each) for each in told_apart],
    }


def _facts(
    settings: Settings,
    points: Sequence[Point],
    comparisons: Sequence[CurveComparison],
    groups: Mapping[str, Sequence[Point]],
    usages: Sequence[Usage],
) -> dict[str, Any]:
    fronts = {name: [_on_front(point) for point in front_of(points, name)] for name in settings.metrics}
    return {
        "points": [asdict(point) for point in points],
        "comparisons": [asdict(comparison) for comparison in comparisons],
        "pareto_front": fronts,
        "groups": {name: [asdict(point) for point in group] for name, group in groups.items()},
        "codebook_usage": [asdict(usage) for usage in usages],
        "skipped": dict(settings.skipped),
    }


def _on_front(point: Point) -> dict[str, Any]:
    return {"codec": point.codec, "kbps": point.kbps.mean, **point.condition.columns()}


def _write_json(path: Path, facts: dict[str, Any]) -> None:
    with output_errors(path), atomic_output(path, force=True) as temporary:
        temporary.write_text(json.dumps(_without_nan(facts), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _without_nan(value: Any) -> Any:
    """NaN as null, as JSON knows no NaN."""
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
