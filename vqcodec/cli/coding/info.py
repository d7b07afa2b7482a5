"""vqcodec info: what .vqc files hold, from their heads alone."""

import json
from pathlib import Path
from typing import Any

import click

from vqcodec.bitstream.open_vqc import open_vqc
from vqcodec.bitstream.spec import VERSION
from vqcodec.cli.coding.batch import Batch, Outcome, Say, Work
from vqcodec.cli.coding.jobs import STANDARD, Job, coded_jobs
from vqcodec.cli.common import source_of
from vqcodec.frames import clock
from vqcodec.models.weightsfile import find_beside
from vqcodec.models.zoo import find


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each file, one a line.")
def info(paths: tuple[str, ...], as_json: bool) -> None:
    """Tell what .vqc files hold, without decoding them.

    FILE may be a folder or a glob. The model is named if it is bundled, or if its weights file lies beside.

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
    shown["duration_seconds"] = f"{facts['duration_seconds']}  ({clock(facts['duration_seconds'])})"
    lines = [f"{name:{width}}  {'unknown' if value is None else value}" for name, value in shown.items()]
    lines += [f"{name:{width}}  {json.dumps(text, ensure_ascii=False)}" for name, text in facts["tags"].items()]
    return [f"{facts['path']}:", *lines, ""] if is_headed else lines


def _facts(path: str) -> dict[str, Any]:
    """Every fact by name; None where there is none."""
    with open_vqc(source_of(path)) as reader:
        header, tags, scan, file_bytes = reader.header, reader.tags, reader.scan(), reader.file_bytes
        channels = reader.decoded_channels
    duration_seconds = scan.samples / header.original_rate_hz
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
        "tags": dict(tags),
    }


def _model_name(fingerprint: bytes, path: str) -> str | None:
    """The name of the model that a fingerprint names: a bundled one, or one whose weights lie beside the file."""
    if card := find(fingerprint):
        return card.name
    beside = None if path == STANDARD else find_beside(Path(path).parent, fingerprint)
    return beside.config.name if beside is not None else None
