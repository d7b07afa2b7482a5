"""Pictures: rate-quality curves with intervals, and spectrograms; without pyplot, which keeps every figure."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import Wave
from vqcodec.evaluation.conditions import PLAIN
from vqcodec.evaluation.report.report_data import TRAINED_LEGEND, Point
from vqcodec.frames import ceil_div
from vqcodec.metrics import METRICS
from vqcodec.output import atomic_output, output_errors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31")
"""Okabe and Ito 2008, for every kind of colour vision; a brown for their yellow, which is weak on white."""

_MARKERS = "osD^vPX*"
_TICKS_KBPS = (0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024)
_RANGE_DB = 70.0
"""Below the loudest point of the original: what a spectrogram shows."""

_MELS = 96
_FACETS_PER_ROW = 3

_PICTURE_COLORS = 64
"""Colours of a spectrogram: a third of the bytes of a picture in full colour."""


def rate_quality_curve(points: Sequence[Point], metric: str) -> "Figure":
    """Draw the mean of `metric` over kbps of the files, a line per codec, with the 95 % intervals of both.

    Each condition has axes of its own, to the same scale.
    """
    from matplotlib.figure import Figure

    codecs = list(dict.fromkeys(point.codec for point in points))
    shown = [p for p in points if metric in p.scores and np.isfinite(p.scores[metric].mean)]
    facets = sorted(dict.fromkeys(point.condition for point in points), key=lambda c: c.order) or [PLAIN]
    columns = min(len(facets), _FACETS_PER_ROW)
    rows = ceil_div(len(facets), columns)
    figure = Figure(figsize=(8 + 5 * (columns - 1), 4.8 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    unit = f", {METRICS[metric].unit}" if METRICS[metric].unit else ""
    for axes, condition in zip(grid.flat, facets, strict=False):
        _draw_lines(axes, [point for point in shown if point.condition == condition], codecs, metric)
        axes.set(xscale="log", xlabel="kbps of the files", ylabel=f"{METRICS[metric].title}{unit}")
        if len(facets) > 1:
            axes.set_title(condition.label or "coded once, as it is", fontsize="medium")
        _set_ticks(axes, [point.kbps.mean for point in shown])
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid.flat[len(facets) :]:
        axes.remove()
    drawn = {line.get_label(): line for axes in figure.axes for line in axes.containers}
    if drawn:
        marks = {point.codec: point.mark(metric) for point in shown}
        legend = [drawn[codec] for codec in codecs if codec in drawn]
        labels = [f"{codec} {marks[codec]}".strip() for codec in codecs if codec in drawn]
        figure.legend(handles=legend, labels=labels, loc="outside right upper", frameon=False)
        if any(marks.values()):
            figure.supxlabel(TRAINED_LEGEND, fontsize="small")
    return figure


def _draw_lines(axes: "Axes", points: Sequence[Point], codecs: Sequence[str], metric: str) -> None:
    """A line for each of `codecs` that has points, in the colour of its rank."""
    for rank, codec in enumerate(codecs):
        mine = [point for point in points if point.codec == codec]
        if not mine:
            continue
        rates, scores = [p.kbps for p in mine], [p.scores[metric] for p in mine]
        axes.errorbar(
            [rate.mean for rate in rates],
            [score.mean for score in scores],
            xerr=np.abs([[r.mean - r.low for r in rates], [r.high - r.mean for r in rates]]),
            yerr=np.abs([[s.mean - s.low for s in scores], [s.high - s.mean for s in scores]]),
            label=codec,
            color=_COLORS[rank % len(_COLORS)],
            marker=_MARKERS[rank % len(_MARKERS)],
            linestyle="-" if rank < len(_COLORS) else "--",
            capsize=2,
            linewidth=1.6,
            elinewidth=1,
        )


def svg_of(figure: "Figure") -> str:
    """Return the picture as SVG, text as text, without a date."""
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context({"svg.hashsalt": "vqcodec", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def write_figure(path: Path, figure: "Figure") -> str:
    """Write `path`.svg and `path`.png, with their folder, and return the SVG. Raises OutputError."""
    svg, png = path.with_name(f"{path.name}.svg"), path.with_name(f"{path.name}.png")
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    text = svg_of(figure)
    with atomic_output(svg, force=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
    figure.set_layout_engine("none")  # where everything is stays: to find it is half of a drawing's time
    with atomic_output(png, force=True) as temporary:
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": None})
    return text


def spectrogram_levels(wave: Wave, rate_hz: int) -> NDArray[np.float64]:
    """Return the levels in dB [mels, S] of a mel spectrogram up to half the rate, windows of 32 ms every 8 ms."""
    import torch

    from vqcodec.audio.spectral import mel_filters, stft

    window = round(0.032 * rate_hz)
    padded = np.pad(wave, (0, max(0, window - len(wave))))  # a shorter wave than a window is no reason for no picture
    power = stft(torch.from_numpy(padded)[None], window, window // 4)[0].abs().square().numpy()
    levels: NDArray[np.float64] = 10 * np.log10(np.maximum(mel_filters(rate_hz, window, _MELS) @ power, 1e-12))
    return levels


def spectrogram_png(levels: NDArray[np.float64], *, top_db: float, width: int, height: int) -> bytes:
    """Draw a picture of `levels`, `top_db` the brightest, without axes, so that time goes from edge to edge."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image  # comes with matplotlib

    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(
        levels,
        origin="lower",
        aspect="auto",
        vmin=top_db - _RANGE_DB,
        vmax=top_db,
        cmap="magma",
        interpolation="nearest",
    )
    axes.set_axis_off()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    file = io.BytesIO()
    Image.fromarray(pixels).quantize(_PICTURE_COLORS).save(file, format="png", optimize=True)
    return file.getvalue()


def _set_ticks(axes: "Axes", rates: Sequence[float]) -> None:
    """Round rates within reach of the data."""
    low, high = (min(rates) / 1.4, max(rates) * 1.4) if rates else (0.5, 24.0)
    ticks = [tick for tick in _TICKS_KBPS if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(low, high)
