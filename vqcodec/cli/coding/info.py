"""vqcodec info: what .vqc files hold, from their heads alone."""

import json
from pathlib import Path
from typing import Any

import click

from vqcodec.bitstream.open_vqc import open_vqc
from vqcodec.bitstream.reader import Scan
from vqcodec.bitstream.spec import VERSION
from vqcodec.cli.coding.batch import Batch, Outcome, Say, Work
from vqcodec.cli.coding.jobs import STANDARD, Job, coded_jobs
from vqcodec.cli.common import source_of
from vqcodec.frames import clock
from vqcodec.models.weightsfile import find_beside
from vqcodec.models.zoo import find

_BARS = "▁▂▃▄▅▆▇█"
_MOST_BARS = 60


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each file, one a line.")
def info(paths: tuple[str, ...], as_json: bool) -> None:
    """Tell what .vqc files hold, without decoding them.

    FILE may be a folder or a glob. The model is named if it is bundled, or if its weights file lies beside. The rate
    over time is that of each chunk, some 5 s, or of each second where chunks are shorter; its bars begin at 0.

    \b
    vqcodec info speech.vqc
    vqcodec info archive/ --json
    """
    jobs = coded_jobs(paths)
    Batch(jobs, has_closing=len(jobs) > 1, is_to_stdout=True).run(make_teller, as_json, len(jobs) > 1)


def make_teller(as_json: bool, is_headed: bool) -> Work:
    """Make what tells of a file; `is_headed`: its name above it."""

    def tell(job: Job, say: Say) -> Outcome:
        facts = _facts(job.source)
        lines = (json.dumps(facts),) if as_json else tuple(_lines(facts, is_headed))
        return Outcome(lines, facts["duration_seconds"], facts["file_bytes"] or 0)

    return tell


def _lines(facts: dict[str, Any], is_headed: bool) -> list[str]:
    """Facts as people read them."""
    width = max(map(len, facts))
    shown = {name: value for name, value in facts.items() if name not in ("path", "tags")}
    shown["kbps_over_time"] = _bars(facts["kbps_over_time"]) or None
    shown["duration_seconds"] = f"{facts['duration_seconds']}  ({clock(facts['duration_seconds'])})"
    lines = [f"{name:{width}}  {'unknown' if value is None else value}" for name, value in shown.items()]
    lines += [f"{name:{width}}  {json.dumps(text, ensure_ascii=False)}" for name, text in facts["tags"].items()]
    return [f"{facts['path']}:", *lines, ""] if is_headed else lines


def _bars(curve: list[dict[str, float]]) -> str:
    """A bar for each span of a rate over time, or for each of `_MOST_BARS` parts of it; the highest is the peak."""
    if not curve:
        return ""
    peak = max(span["kbps"] for span in curve)
    parts = min(len(curve), _MOST_BARS)
    highest = [
        max(span["kbps"] for span in curve[part * len(curve) // parts : (part + 1) * len(curve) // parts])
        for part in range(parts)
    ]
    return "".join(_BARS[min(len(_BARS) - 1, int(kbps / peak * len(_BARS)))] for kbps in highest)


def _rates(scan: Scan, frame_rate: float) -> list[dict[str, float]]:
    """The rate over time: where each span begins, and its kbps with its share of the container."""
    curve, frame = [], 0
    for frames, size_bytes in scan.spans:
        seconds, kbps = round(frame / frame_rate, 3), round(8 * size_bytes * frame_rate / frames / 1000, 4)
        curve.append({"start_seconds": seconds, "kbps": kbps})
        frame += frames
    return curve


def _facts(path: str) -> dict[str, Any]:
    """Every fact by name; None where there is none."""
    with open_vqc(source_of(path)) as reader:
        header, tags, scan, file_bytes = reader.header, reader.tags, reader.scan(), reader.file_bytes
        channels = reader.decoded_channels
    duration_seconds = scan.samples / header.original_rate_hz
    curve = _rates(scan, header.sample_rate_hz / header.hop_length)
    return {
        "path": path,
        "version": VERSION,
        "model": _model_name(header.fingerprint, path),
        "fingerprint": header.fingerprint.hex(),
        "sample_rate_hz": header.sample_rate_hz,
        "original_rate_hz": header.original_rate_hz,
        "channels": channels,
        "coded_channels": header.channels,
        "samples": scan.samples,
        "duration_seconds": duration_seconds,
        "num_codebooks": header.num_codebooks,
        "codebook_size": header.codebook_size,
        "frames": scan.frames,
        "chunks": scan.chunks,
        "entropy_coded_chunks": scan.entropy_coded_chunks,
        "file_bytes": file_bytes,
        "kbps": round(8 * file_bytes / duration_seconds / 1000, 4) if duration_seconds and file_bytes else None,
        "peak_kbps": max((span["kbps"] for span in curve), default=None),
        "kbps_over_time": curve,
        "tags": dict(tags),
    }


def _model_name(fingerprint: bytes, path: str) -> str | None:
    """The name of the model that a fingerprint names: a bundled one, or one whose weights lie beside the file."""
    if card := find(fingerprint):
        return card.name
    beside = None if path == STANDARD else find_beside(Path(path).parent, fingerprint)
    return beside.config.name if beside is not None else None
