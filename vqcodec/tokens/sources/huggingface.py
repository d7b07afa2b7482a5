"""Audio datasets of Hugging Face `datasets` on disk: folders with metadata, and what `save_to_disk` wrote."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vqcodec.errors import AudioError, ConfigError
from vqcodec.texts import limited_lines
from vqcodec.tokens.utterances import ColumnValue, Utterance


def metadata_files(folder: Path) -> list[Path]:
    """Find metadata.csv and metadata.jsonl with a field file_name, in a folder or below; none: no audio folder."""
    files = sorted(folder.rglob("metadata.*"))
    return [file for file in files if file.suffix in (".csv", ".jsonl") and _has_file_name(file)]


def _has_file_name(file: Path) -> bool:
    """LJSpeech's metadata.csv, for one, has no header."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            first = next(limited_lines(lines), "")
            return '"file_name"' in first if file.suffix == ".jsonl" else "file_name" in next(csv.reader([first]), [])
    except (OSError, ValueError, csv.Error):
        return False


def is_saved(folder: Path) -> bool:
    """Tell whether `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote this folder."""
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def open_saved(folder: str | Path) -> tuple[Any, str]:
    """Return the memory-mapped dataset, its audio undecoded, and the name of its audio column."""
    try:
        from datasets import Audio, load_from_disk
    except ModuleNotFoundError:
        raise ConfigError(f"{folder}: needs Hugging Face datasets: pip install datasets") from None
    if (Path(folder) / "dataset_dict.json").is_file():
        splits = sorted(path.parent.name for path in Path(folder).glob("*/state.json"))
        raise AudioError(
            f"{folder}: holds the splits {', '.join(splits)}; give one of them, such as {folder}/{splits[0]}"
        )
    try:
        dataset = load_from_disk(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AudioError(f"{folder}: cannot be read as a saved dataset ({' '.join(str(error).split())})") from None
    names = [name for name, feature in dataset.features.items() if isinstance(feature, Audio)]
    if len(names) != 1:
        raise AudioError(f"{folder}: has {len(names)} audio columns; give a dataset with one")
    return dataset.cast_column(names[0], Audio(decode=False)), names[0]


def utterances(folder: Path) -> Iterator[Utterance]:
    """Yield one per row, with its scalar columns; the id is that of a column id, or the number of the row."""
    dataset, audio = open_saved(folder)
    rest = dataset.remove_columns([audio])
    for row_index in range(len(dataset)):
        row = rest[row_index] if rest.column_names else {}
        columns: dict[str, ColumnValue] = {
            name: value
            for name, value in row.items()
            if name != "id" and (value is None or isinstance(value, str | int | float | bool))
        }
        name = str(row.get("id") or f"{row_index:08}")
        yield Utterance(name, os.path.abspath(folder), f"{folder.name}/{row_index}", row=row_index, columns=columns)
