"""vqcodec info: what a .vqc holds, from its heads alone."""

import json
from typing import Any

import click

from vqcodec.bitstream.open_vqc import open_vqc
from vqcodec.bitstream.spec import VERSION
from vqcodec.cli.common import echo, source_of
from vqcodec.models.zoo import find


@click.command()
@click.argument("path", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(path: str, as_json: bool) -> None:
    """Tell what a .vqc holds, without decoding it.

    \b
    vqcodec info speech.vqc
    vqcodec info speech.vqc --json
    """
    facts = _facts(path)
    if as_json:
        echo(json.dumps(facts))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        if name != "tags":
            echo(f"{name:{width}}  {'unknown' if value is None else value}")
    for name, text in facts["tags"].items():
        echo(f"{name:{width}}  {json.dumps(text, ensure_ascii=False)}")


def _facts(path: str) -> dict[str, Any]:
    """Every fact by name; None where there is none."""
    with open_vqc(source_of(path)) as reader:
        header, tags, scan, file_bytes = reader.header, reader.tags, reader.scan(), reader.file_bytes
    card = find(header.fingerprint)
    duration_seconds = scan.samples / header.original_rate_hz
    return {
        "version": VERSION,
        "model": card.name if card else None,
        "fingerprint": header.fingerprint.hex(),
        "sample_rate_hz": header.sample_rate_hz,
        "original_rate_hz": header.original_rate_hz,
        "channels": header.channels,
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
