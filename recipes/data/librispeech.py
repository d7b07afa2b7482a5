"""LibriSpeech (Panayotov et al. 2015) -> manifest: python recipes/data/librispeech.py ROOT --out librispeech.jsonl."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from manifest import Row, download_option, manifest_options, open_dataset, run, speaker_lines, write_manifest

from vqcodec.errors import AudioError

SPLITS = ("dev-clean", "dev-other", "test-clean", "test-other", "train-clean-100", "train-clean-360", "train-other-500")

splits_option = click.option(
    "--split", "splits", multiple=True, type=click.Choice(SPLITS), help="Repeatable; by default all that are in ROOT."
)


@click.command()
@manifest_options
@splits_option
@download_option
def main(root: Path, out: Path, force: bool, splits: tuple[str, ...], download: bool) -> None:
    """Write the manifest of LibriSpeech, which is ROOT/LibriSpeech/dev-clean and so on."""
    write_manifest(utterances(root, splits, download), out, force=force)


def utterances(root: Path, splits: Sequence[str], download: bool) -> Iterator[Row]:
    """The utterances of `splits`."""
    folder = root / "LibriSpeech"
    for split in splits or present_splits(folder):
        data = open_dataset("LIBRISPEECH", root, split, folder=f"LibriSpeech/{split}", download=download)
        speakers = speakers_of(folder / "SPEAKERS.TXT")
        for index in range(len(data)):
            try:
                path, _, text, speaker, chapter, _ = data.get_metadata(index)
            except (OSError, ValueError) as error:  # ValueError: a line without text, a file of another name
                where = f"{folder / split}: {data._walker[index]}"
                raise AudioError(f"{where} has no transcript ({error}); unpack the split again") from None
            yield {
                "id": Path(path).with_suffix("").as_posix(),  # dev-clean/84/121123/84-121123-0000
                "path": folder / path,
                "speaker": str(speaker),
                "text": text,
                "language": "en",
                "split": split,
                "chapter": str(chapter),
                "gender": speakers.get(str(speaker)),
            }


def present_splits(folder: Path) -> list[str]:
    """The splits that lie in `folder`. Raises AudioError if there is none."""
    found = [split for split in SPLITS if (folder / split).is_dir()]
    if not found:
        raise AudioError(
            f"{folder}: holds no split such as dev-clean; ROOT is what holds it, --split names what to fetch"
        )
    return found


@functools.cache
def speakers_of(path: Path) -> dict[str, str]:
    """F or M by speaker. A line is a comment after ; or `60   | M | train-clean-100  | 20.18 | |CBW|Simon`."""
    rows = [line.split("|") for line in speaker_lines(path)]
    return {row[0].strip(): row[1].strip() for row in rows if len(row) > 1}


if __name__ == "__main__":
    run(main)
