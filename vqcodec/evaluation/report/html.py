"""One HTML file to look at and listen to: table, curves, players that switch in place, a blind listening test.

Everything is inside, nothing is fetched, so it works from a file:// address. Waves are FLAC: without loss, half of PCM.
"""

import base64
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from vqcodec.arrays import Wave
from vqcodec.evaluation.listening.stimulus import ANCHOR_ROLE, CODEC_ROLE, MID_ANCHOR_ROLE, NAMES, REFERENCE_ROLE
from vqcodec.evaluation.report.disagreement import Disagreement, disagreement_tables
from vqcodec.evaluation.report.faults import faults_of
from vqcodec.evaluation.report.plots import spectrogram_levels, spectrogram_png
from vqcodec.evaluation.report.report_data import TRAINED_LEGEND, Exhibit, Interval, Point, Take, has_marks
from vqcodec.evaluation.report.tables import Rows, has_conditions
from vqcodec.frames import clock
from vqcodec.metrics import METRICS
from vqcodec.output import atomic_output
from vqcodec.system.signals import signals_held

_PICTURE = {"width": 960, "height": 180}
_SCRIPTS = ("player.js", "blind.js", "abx.js", "page.js")
"""What is the page's script, in this order."""
_ANCHORS_HZ = {ANCHOR_ROLE: (3500, 0), MID_ANCHOR_ROLE: (7000, 22050)}
"""The low-pass anchors of ITU-R BS.1534-3, and the rate from which on clips have them. The second would take an eighth
of the band of a clip at 16 kHz, which hardly anyone would tell from the reference."""
_PROTOCOL_CLIPS = 100
"""What a test by draft-lechler-mlcodec-test-battery-00 has, each of another speaker."""


def write_report(
    path: Path,
    *,
    title: str,
    points: Sequence[Point],
    curves: Mapping[str, str],
    exhibits: Sequence[Exhibit],
    tables: Mapping[str, Rows] | None = None,
    disagreements: Sequence[Disagreement] = (),
    notes: Sequence[str] = (),
) -> None:
    """Write the page. curves: SVG by metric; tables: more of them by title. Raises OutputError."""
    import jinja2

    folder = resources.files("vqcodec.evaluation.report") / "page"
    template = jinja2.Environment(autoescape=True).from_string((folder / "page.html.j2").read_text(encoding="utf-8"))
    script = "\n" + "\n".join((folder / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    metrics = list(dict.fromkeys(name for point in points for name in point.scores))
    shown = ["condition"] if has_conditions(point.condition for point in points) else []
    page = template.render(
        title=title,
        style=(folder / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        columns=["codec", *shown, "asked", "kbps", "payload kbps", *(_head(name) for name in metrics), "clips"],
        rows=[_row(point, metrics, conditions=bool(shown)) for point in points],
        curves=[{"title": METRICS[name].title, "svg": _base64(svg.encode())} for name, svg in curves.items()],
        faults=faults_of(points),
        tables=tables or {},
        disagreements=disagreement_tables(disagreements),
        notes=[*([TRAINED_LEGEND] if has_marks(points) else []), *notes],
        exhibits=len(exhibits),
        protocol_clips=_PROTOCOL_CLIPS,
        data=_json({"title": title, "exhibits": [_exhibit(exhibit) for exhibit in exhibits]}),
    )
    with atomic_output(path, force=True) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _head(name: str) -> str:
    metric = METRICS[name]
    better = {True: " ↑", False: " ↓", None: ""}[metric.higher_is_better]
    return f"{metric.title}{f', {metric.unit}' if metric.unit not in ('', 'MOS') else ''}{better}"


def _row(point: Point, metrics: Sequence[str], *, conditions: bool) -> list[dict[str, Any]]:
    """Cells with what to show and what to sort by."""
    return [
        {"text": point.codec, "value": point.codec},
        *([_plain(point.condition.label)] if conditions else []),
        {"text": "", "value": ""} if point.kbps_asked is None else _plain(f"{point.kbps_asked:g}"),
        _cell(point.kbps, 2),
        _cell(point.payload_kbps, 2),
        *(_cell(point.scores.get(name), 3, point.mark(name)) for name in metrics),
        _plain(str(point.kbps.clips)),
    ]


def _plain(text: str) -> dict[str, Any]:
    return {"text": text, "value": text}


def _cell(interval: Interval | None, digits: int, mark: str = "") -> dict[str, Any]:
    if interval is None or not math.isfinite(interval.mean):
        return {"text": "-", "value": ""}
    undefined = f" ({interval.undefined} undefined)" if interval.undefined else ""
    half = f" ± {(interval.high - interval.low) / 2:.{digits}f}" if interval.clips > 1 else ""
    return {"text": f"{interval.mean:.{digits}f}{half}{undefined}{mark}", "value": f"{interval.mean:.9g}"}


def _exhibit(exhibit: Exhibit) -> dict[str, Any]:
    """The original first, then the renderings, then the anchors, which are of the tests and the training alone."""
    rate_hz, wave = exhibit.rate_hz, exhibit.wave
    top_db = float(spectrogram_levels(wave, rate_hz).max())
    added = {REFERENCE_ROLE: wave}
    added |= {role: _low_pass(wave, rate_hz, hz) for role, (hz, least) in _ANCHORS_HZ.items() if rate_hz >= least}
    seconds = len(wave) / rate_hz
    is_cut = seconds < exhibit.whole_seconds
    original, *anchors = (
        _take(Take(NAMES[role], None, math.nan, each), rate_hz, top_db, role) for role, each in added.items()
    )
    return {
        "clip": exhibit.clip,
        "peak_kbps": max((kbps for take in exhibit.takes for kbps in take.kbps_over_time), default=0),
        "seconds": seconds,
        "part": f"the first {seconds:g} s of {clock(exhibit.whole_seconds)}" if is_cut else "",
        "takes": [original, *(_take(take, rate_hz, top_db, CODEC_ROLE) for take in exhibit.takes), *anchors],
    }


def _take(take: Take, rate_hz: int, top_db: float, role: str) -> dict[str, Any]:
    levels = spectrogram_levels(take.wave_hat, rate_hz)
    scores = [f"{METRICS[n].title} {v:.3g} {_unit(n)}".strip() for n, v in take.scores.items() if math.isfinite(v)]
    rate = f"{take.kbps:.2f} kbps" if math.isfinite(take.kbps) else ""
    name = take.codec if take.kbps_asked is None else f"{take.codec} {take.kbps_asked:g}"
    name = f"{name} (a codec)" if role == CODEC_ROLE and take.codec in NAMES.values() else name
    return {
        "label": f"{name}, {take.condition.label}" if take.condition.label else name,
        "role": role,
        "codec": take.codec,
        "condition": take.condition.label,
        "kbps_asked": take.kbps_asked,
        "kbps": take.kbps if math.isfinite(take.kbps) else None,
        "rates": [round(kbps, 2) for kbps in take.kbps_over_time],
        "facts": " · ".join(part for part in (rate, *scores) if part),
        "audio": _base64(_flac(take.wave_hat, rate_hz)),
        "picture": _base64(spectrogram_png(levels, top_db=top_db, **_PICTURE)),
    }


def _unit(name: str) -> str:
    unit = METRICS[name].unit
    return "" if unit == "MOS" else unit


def _flac(wave: Wave, rate_hz: int) -> bytes:
    file = io.BytesIO()
    with signals_held():
        soundfile.write(file, np.clip(np.nan_to_num(wave), -1, 1), rate_hz, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _low_pass(wave: Wave, rate_hz: int, cutoff_hz: int) -> Wave:
    from scipy.signal import butter, sosfiltfilt

    if rate_hz <= 2 * cutoff_hz or len(wave) < 64:
        return wave
    filtered: Wave = sosfiltfilt(butter(8, cutoff_hz, fs=rate_hz, output="sos"), wave).astype(np.float32)
    return filtered


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _json(value: Any) -> str:
    """JSON that may stand inside <script>: no "<" that could end it, no NaN."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
