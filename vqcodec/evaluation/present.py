"""The folder of an evaluation -> tables, curves, summary.json and report.html."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from vqcodec.atomic import atomic_output, output_errors
from vqcodec.errors import ConfigError
from vqcodec.evaluation.folder import Settings, codes_path, original_path, read_audio, read_settings, take_path
from vqcodec.evaluation.plots import rate_quality_curve, write_figure
from vqcodec.evaluation.points import Exhibit, Point, Take
from vqcodec.evaluation.report import write_report
from vqcodec.evaluation.results import Result, read_results
from vqcodec.evaluation.summary import Comparison, compare_curves, group_by, pareto_front, summarise
from vqcodec.evaluation.tables import comparisons_table, markdown, points_table
from vqcodec.metrics import METRICS
from vqcodec.usage import CodebookUsage


def present(out: Path, *, by: str | None = None, anchor: str | None = None) -> str:
    """Write curves/, summary.json and report.html into the folder `out`; return the tables as Markdown.

    by: a column of the manifest; also one table per value of it. anchor: the codec that BD-rates compare with, the
    first by default. Raises ConfigError for a folder without an evaluation, and for unknown columns and codecs.
    """
    settings, results = read_settings(out), read_results(out)
    points = summarise(results, settings.metrics)
    if not points:
        raise ConfigError(f"{out}: no clip was coded ({_first_error(results)})")
    anchor = anchor or points[0].codec
    if anchor not in {point.codec for point in points}:
        raise ConfigError(f"{out}: no codec {anchor} to compare with; there are {', '.join(settings.codecs)}")
    comparisons = compare_curves(points, anchor, settings.metrics)
    groups = _groups(results, settings, by)
    usage = _usage(out, results)
    figures = {name: rate_quality_curve(points, name) for name in settings.metrics}
    for name, figure in figures.items():
        write_figure(out / "curves" / name, figure)
    _write_json(out / "summary.json", _facts(points, comparisons, groups, usage, settings))
    exhibits = _exhibits(out, results, settings)
    write_report(
        out / "report.html",
        title=f"Evaluation: {', '.join(settings.codecs)}",
        points=points,
        figures=figures,
        exhibits=exhibits,
    )
    return "\n\n".join(_tables(out, results, settings, points, comparisons, groups, usage))
