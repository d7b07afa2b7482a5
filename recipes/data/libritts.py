"""LibriTTS (Zen et al. 2019) -> manifest: python recipes/data/libritts.py ROOT --out libritts.jsonl."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from librispeech import present_splits, speakers_of, splits_option
from manifest import Row, download_option, manifest_options, open_dataset, run, transcript, write_manifest


@click.command()
@manifest_options
@splits_option
@download_option
def main(root: Path, out: Path, force: bool, splits: tuple[str, ...], download: bool) -> None:
    """Write the manifest of LibriTTS, which is ROOT/LibriTTS/dev-clean and so on."""
    write_manifest(utterances(root, splits, download), out, force=force)


def utterances(root: Path, splits: Sequence[str], download: bool) -> Iterator[Row]:
    """The utterances of `splits`; `text` has capitals, punctuation and digits, `text_normalized` numbers as words."""
    folder = root / "LibriTTS"
    for split in splits or present_splits(folder):
        data = open_dataset("LIBRITTS", root, split, folder=f"LibriTTS/{split}", download=download)
        speakers = speakers_of(folder / "SPEAKERS.txt")
        for name in data._walker:  # 84_121123_000007_000001
            speaker, chapter = (*name.split("_"), "")[:2]
            place = Path(split, speaker, chapter)
            yield {
                "id": (place / name).as_posix(),
                "path": folder / place / f"{name}.wav",
                "speaker": speaker,
                "text": transcript(folder / place / f"{name}.original.txt"),
                "text_normalized": transcript(folder / place / f"{name}.normalized.txt"),
                "language": "en",
                "split": split,
                "chapter": chapter,
                "gender": speakers.get(speaker),
            }


if __name__ == "__main__":
    run(main)
