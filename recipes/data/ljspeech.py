"""LJSpeech 1.1 (Ito and Johnson 2017) -> manifest: python recipes/data/ljspeech.py ROOT --out ljspeech.jsonl."""

from collections.abc import Iterator
from pathlib import Path

import click
from manifest import Row, download_option, manifest_options, open_dataset, run, write_manifest

from vqcodec.errors import AudioError

FOLDER = "LJSpeech-1.1"


@click.command()
@manifest_options
@download_option
def main(root: Path, out: Path, force: bool, download: bool) -> None:
    """Write the manifest of LJSpeech, which is ROOT/LJSpeech-1.1."""
    write_manifest(utterances(root, download), out, force=force)


def utterances(root: Path, download: bool) -> Iterator[Row]:
    """The lines of metadata.csv: id|text|text with numbers as words, quotes being part of the text."""
    data = open_dataset("LJSPEECH", root, folder=FOLDER, download=download)
    for number, fields in enumerate(data._flist, start=1):
        if len(fields) != 3:  # a | in a text: which one ends it?
            where = f"{root / FOLDER / 'metadata.csv'}: line {number}"
            raise AudioError(f"{where} has {len(fields)} fields, not id|text|normalized text; mend it")
        name, text, normalized = fields
        yield {
            "id": name,
            "path": root / FOLDER / "wavs" / f"{name}.wav",
            "speaker": "LJ",
            "text": text,
            "text_normalized": normalized,
            "language": "en",
        }


if __name__ == "__main__":
    run(main)
