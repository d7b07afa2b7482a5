"""Kaldi's data folders: wav.scp, and segments, text and utt2spk where they are there."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from vqcodec.errors import AudioError
from vqcodec.texts import limited_lines
from vqcodec.tokens.utterances import ColumnValue, Utterance

_LIST = "wav.scp"
_COLUMNS = {"text": "text", "utt2spk": "speaker"}


def folder_of(path: Path) -> Path | None:
    """Tell which data folder `path` names, a folder with a wav.scp or a wav.scp itself; None: none."""
    if path.is_dir():
        return path if (path / _LIST).is_file() else None
    return path.parent if path.name == _LIST and path.is_file() else None


def utterances(folder: Path, *, run_commands: bool) -> Iterator[Utterance]:
    """Yield one per line of segments, or of wav.scp. Raises AudioError for lines that make no sense.

    Entries of wav.scp that end in "|" are commands: their output is read with `run_commands`, else they are an error.
    """
    recordings = _table(folder / _LIST)
    columns = {column: _table(folder / name) for name, column in _COLUMNS.items() if (folder / name).is_file()}
    for recording, entry in recordings.items():
        if entry.endswith("|") and not run_commands:
            raise AudioError(f"{folder}/wav.scp: {recording} is a command ({entry}); --run-commands runs it")
        if re.search(r"\.ark(:\d+)?$", entry):
            raise AudioError(
                f"{folder}/wav.scp: {recording} is in an ark ({entry}); arks are not read, give audio files"
            )
    if not (folder / "segments").is_file():
        for recording, entry in recordings.items():
            yield _utterance(recording, entry, folder, _carried(recording, columns))
        return
    for _, (name, line) in _lines(folder / "segments"):
        recording, start, end = _segment(name, line, folder)
        if recording not in recordings:
            raise AudioError(f"{folder}/segments: {name} is part of {recording}, which wav.scp does not have")
        duration = None if end < 0 else end - start
        entry, carried = recordings[recording], _carried(name, columns)
        yield _utterance(name, entry, folder, carried, start_seconds=start, duration_seconds=duration)


def _utterance(
    name: str,
    entry: str,
    folder: Path,
    columns: dict[str, ColumnValue],
    *,
    start_seconds: float | None = None,
    duration_seconds: float | None = None,
) -> Utterance:
    command = entry[:-1].strip() if entry.endswith("|") else None
    # Kaldi's paths are relative to where its scripts run, which is here.
    path = "" if command is not None else os.path.abspath(entry)
    return Utterance(name, path, entry, start_seconds, duration_seconds, command=command, columns=columns)


def _carried(name: str, columns: dict[str, dict[str, str]]) -> dict[str, ColumnValue]:
    return {column: values.get(name) for column, values in columns.items()}


def _segment(name: str, line: str, folder: Path) -> tuple[str, float, float]:
    """Recording, start and end in seconds; an end of -1 is that of the recording."""
    fields = shlex.split(line)[:3] if '"' in line else line.split()[:3]
    try:
        recording, start, end = fields[0], float(fields[1]), float(fields[2])
    except (ValueError, IndexError):
        recording, start, end = "", -1.0, -1.0
    if start < 0 or (end != -1 and not start < end < float("inf")):
        raise AudioError(f"{folder}/segments: {name}: {line!r} is no recording, start and end in seconds")
    return recording, start, end


def _table(path: Path) -> dict[str, str]:
    """The rest of every line by its first word. Raises AudioError for a word that begins two lines."""
    table: dict[str, str] = {}
    for line_number, (name, rest) in _lines(path):
        if name in table:
            raise AudioError(f"{path}: line {line_number} is a second one of {name}; keep one")
        table[name] = rest
    return table


def _lines(path: Path) -> Iterator[tuple[int, tuple[str, str]]]:
    """Number, first word and rest of every line."""
    try:
        with path.open(encoding="utf-8") as file:
            for line_number, line in enumerate(limited_lines(file), start=1):
                name, *rest = line.split(maxsplit=1) or [""]
                if not rest and name and path.name != "text":  # a silent utterance has an empty text
                    raise AudioError(f"{path}: line {line_number} has no second field")
                if name:
                    yield line_number, (name, rest[0].strip() if rest else "")
    except UnicodeDecodeError:
        raise AudioError(f"{path}: is not UTF-8; save it as UTF-8") from None
    except ValueError as error:
        raise AudioError(f"{path}: {error}; cut it into lines") from None
    except OSError as error:
        raise AudioError(f"{path}: cannot read ({error.strerror})") from None
