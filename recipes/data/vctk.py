"""VCTK 0.92 (Yamagishi et al. 2019) -> manifest: python recipes/data/vctk.py ROOT --out vctk.jsonl."""

from collections.abc import Iterator
from pathlib import Path

import click
from manifest import (
    Row,
    download_option,
    manifest_options,
    note,
    open_dataset,
    run,
    speaker_lines,
    transcript,
    write_manifest,
)

FOLDER = "VCTK-Corpus-0.92"
AUDIO = "wav48_silence_trimmed"


@click.command()
@manifest_options
@click.option("--mic", type=click.Choice(["mic1", "mic2"]), default="mic1", show_default=True, help="Microphone.")
@download_option
def main(root: Path, out: Path, force: bool, mic: str, download: bool) -> None:
    """Write the manifest of one microphone of VCTK, which is ROOT/VCTK-Corpus-0.92."""
    write_manifest(utterances(root, mic, download), out, force=force)


def utterances(root: Path, mic: str, download: bool) -> Iterator[Row]:
    """What has a text; speakers without any text or recording are named on stderr."""
    folder = root / FOLDER
    data = open_dataset("VCTK_092", root, mic, folder=FOLDER, download=download)
    names = ["_".join(parts) for parts in data._sample_ids]  # p225_001
    recorded = {path.name for path in (folder / AUDIO).glob("*/")}
    if left_out := sorted(recorded - {name.partition("_")[0] for name in names}):
        note(f"speakers left out, without texts or without recordings of {mic}: {', '.join(left_out)}")
    speakers = speakers_of(folder / "speaker-info.txt")
    for name in names:
        speaker = name.partition("_")[0]
        yield {
            "id": f"{speaker}/{name}_{mic}",
            "path": folder / AUDIO / speaker / f"{name}_{mic}.flac",
            "speaker": speaker,
            "text": transcript(folder / "txt" / speaker / f"{name}.txt"),
            "language": "en",
            "mic": mic,
            **speakers.get(speaker, dict.fromkeys(("age", "gender", "accent", "region"))),
        }


def speakers_of(path: Path) -> dict[str, Row]:
    """What is known of each speaker. A line is `p280  25  F  Unknown  France (mic2 files unavailable)`."""
    speakers = {}
    for line in speaker_lines(path)[1:]:
        speaker, age, gender, accent, rest = (*line.split(maxsplit=4), *[""] * 5)[:5]
        region = " ".join(rest.partition("(")[0].split())
        speakers[speaker] = {
            "age": int(age) if age.isdecimal() else None,
            "gender": gender or None,
            "accent": accent or None,
            "region": region or None,
        }
    return speakers


if __name__ == "__main__":
    run(main)
