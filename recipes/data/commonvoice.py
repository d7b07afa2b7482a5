"""Common Voice (Ardila et al. 2020) -> manifest: python recipes/data/commonvoice.py ROOT --out commonvoice.jsonl.

The tables are written without quoting, by columns whose order and names changed between releases; torchaudio's
COMMONVOICE reads them with quoting and by position, so this reads them itself.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import click
from manifest import Row, manifest_options, run, write_manifest

from vqcodec.errors import AudioError


@click.command()
@manifest_options
@click.option("--split", default="validated", show_default=True, help="train, dev, test, other ...: ROOT/SPLIT.tsv.")
def main(root: Path, out: Path, force: bool, split: str) -> None:
    """Write the manifest of one language of Common Voice, which is ROOT/clips and ROOT/validated.tsv and so on."""
    write_manifest(utterances(root, split), out, force=force)


def utterances(root: Path, split: str) -> Iterator[Row]:
    """The rows of a table; a clip is in validated.tsv and perhaps in train.tsv, dev.tsv or test.tsv again."""
    table = root / f"{split}.tsv"
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\")
            if lacking := {"client_id", "path", "sentence"}.difference(rows.fieldnames or ()):
                raise AudioError(f"{table}: no column {', '.join(sorted(lacking))}; give a table of clips")
            yield from (_utterance(root, split, row) for row in rows)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AudioError(f"{table}: cannot read it ({error}); ROOT is what holds clips and {table.name}") from None


def _utterance(root: Path, split: str, row: dict[str, str | None]) -> Row:
    clip = row["path"] or ""
    return {
        "id": Path(clip).stem,
        "path": root / "clips" / clip,
        "speaker": row["client_id"],
        "text": (row["sentence"] or "").strip(),
        "language": row.get("locale") or root.name,
        "split": split,
        "age": row.get("age") or None,
        "gender": row.get("gender") or None,
        "accent": row.get("accents") or row.get("accent") or None,
    }


if __name__ == "__main__":
    run(main)
