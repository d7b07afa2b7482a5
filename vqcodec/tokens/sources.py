"""SOURCE -> utterances, one by one and always in the same order: which kind of source it is, folders and manifests.

Other kinds: `kaldi`, `tar`, `huggingface`, `cuts`. Nothing opens audio; a file that is missing is a failure later, when
its turn comes.
"""

import csv
import glob
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vqcodec.audio.discover import SUFFIXES
from vqcodec.errors import AudioError
from vqcodec.tokens import cuts, huggingface, kaldi, tar
from vqcodec.tokens.utterances import ColumnValue, Utterance, id_of_path, printable

_MANIFESTS = (".csv", ".jsonl")
_PATHS = ("path", "file", "audio_filepath", "file_name")
_STARTS = ("start", "offset")


def find_utterances(source: str, *, run_commands: bool = False) -> Iterator[Utterance]:
    """The utterances of SOURCE. Raises AudioError for one that is missing or cannot be understood.

    SOURCE is a folder (of audio, of Kaldi, of a `datasets` audio folder with metadata, or saved by it), a glob, an
    audio file, a manifest (CSV, JSON lines, lhotse cuts), wav.scp, or tar shards of webdataset. `run_commands` allows
    wav.scp to hold commands.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        yield from _of_folder(path, run_commands)
    elif path.is_file():
        yield from _of_file(path, run_commands)
    elif tar.is_pattern(source):
        yield from tar.utterances(source)
    else:
        yield from _of_glob(source)


def _of_folder(folder: Path, run_commands: bool) -> Iterator[Utterance]:
    if (folder / "wav.scp").is_file():
        yield from kaldi.utterances(folder, run_commands=run_commands)
    elif huggingface.is_saved(folder):
        yield from huggingface.utterances(folder)
    elif metadata := huggingface.metadata_files(folder):
        for file in metadata:
            yield from _of_manifest(file, folder)
    else:
        root = _absolute(folder)
        for path in _walk(root):
            yield _whole_file(path, path.relative_to(root))


def _of_file(path: Path, run_commands: bool) -> Iterator[Utterance]:
    if path.name == "wav.scp":
        yield from kaldi.utterances(path.parent, run_commands=run_commands)
    elif path.suffix == ".tar":
        yield from tar.utterances(str(path))
    elif cuts.is_cuts(path):
        yield from cuts.utterances(path)
    elif path.suffix.lower() in _MANIFESTS:
        yield from _of_manifest(path, path.parent)
    else:
        yield _whole_file(_absolute(path), Path(path.name))


def _of_glob(pattern: str) -> Iterator[Utterance]:
    """Files that match, with ids relative to the folder before the first wildcard."""
    matches = sorted(Path(match) for match in glob.glob(os.path.expanduser(pattern), recursive=True))
    if not matches:
        raise AudioError(f"{pattern}: there is no such file or folder, and it matches none")
    parts = Path(os.path.expanduser(pattern)).parts
    fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part)) if glob.has_magic(pattern) else 0
    root = _absolute(Path(*parts[:fixed]))
    for match in matches:
        for path in _walk(_absolute(match)) if match.is_dir() else [_absolute(match)]:
            if path.suffix.lower() in SUFFIXES:
                yield _whole_file(path, path.relative_to(root))


def _walk(folder: Path) -> Iterator[Path]:
    """Audio files below a folder, each folder's entries by name; links to folders are not followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise AudioError(f"{folder}: cannot be listed ({error.strerror}); give a folder that can be read") from None
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
        elif Path(entry.name).suffix.lower() in SUFFIXES:
            yield Path(entry.path)


def _whole_file(path: Path, name: Path) -> Utterance:
    return Utterance(id_of_path(name), str(path), printable(name.as_posix()))


def _absolute(path: Path) -> Path:
    """Without resolving links, so that workers elsewhere find it."""
    return Path(os.path.abspath(path))


# Manifests


def _of_manifest(manifest: Path, root: Path) -> Iterator[Utterance]:
    """Rows of a CSV with a header or of JSON lines; ids by default as for a folder `root`."""
    where = _absolute(manifest)
    for number, row in _rows(manifest):
        yield _of_row({name: value for name, value in row.items() if value != ""}, where, _absolute(root), number)


def _of_row(row: dict[str, Any], manifest: Path, root: Path, number: int) -> Utterance:
    name = next((name for name in _PATHS if row.get(name)), None)
    if name is None:
        raise AudioError(f"{manifest}: row {number} has no column {', '.join(_PATHS[:-1])} or {_PATHS[-1]}; add one")
    given = str(row.pop(name))
    path = Path(os.path.normpath(manifest.parent / given))
    inside = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    utterance_id = str(row.pop("id", "")) or id_of_path(inside)
    start = next((column for column in _STARTS if column in row), None)
    channel = row.pop("channel", None)
    return Utterance(
        id=utterance_id,
        path=str(path),
        source=printable(given),
        start_seconds=0.0 if start is None else _seconds(row.pop(start), start, manifest, number),
        duration_seconds=_seconds(row.pop("duration"), "duration", manifest, number) if "duration" in row else None,
        channel=None if channel is None else _channel(channel, manifest, number),
        columns={name: _column_value(value) for name, value in row.items()},
    )


def _rows(manifest: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbered rows."""
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            if manifest.suffix.lower() == ".csv":
                for number, row in enumerate(csv.DictReader(file), start=2):
                    if None in row:
                        raise AudioError(f"{manifest}: row {number} has more fields than the header; quote its commas")
                    yield number, {name: value for name, value in row.items() if value is not None}
                return
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _json_row(line, manifest, number)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AudioError(f"{manifest}: cannot read the manifest ({error})") from None


def _json_row(line: str, manifest: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise AudioError(f"{manifest}: line {number} is no JSON object")
    return row


def _seconds(value: Any, name: str, manifest: Path, number: int) -> float:
    try:
        seconds = float(value)
    except (ValueError, TypeError):
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise AudioError(f"{manifest}: row {number}: {name} {value!r} is no length of time in seconds")
    return seconds


def _channel(value: Any, manifest: Path, number: int) -> int:
    if not str(value).isdecimal():
        raise AudioError(f"{manifest}: row {number}: channel {value!r} is no number; give 0, 1 ...")
    return int(value)


def _column_value(value: Any) -> ColumnValue:
    """A value to carry: lists and objects as their JSON."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return json.dumps(value, ensure_ascii=False)
