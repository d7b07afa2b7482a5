"""Find audio: files, folders, globs and CSV or JSONL manifests become one list of clips."""

import csv
import glob
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import soundfile

from vqcodec.errors import AudioError

SUFFIXES = frozenset(f".{name.lower()}" for name in soundfile.available_formats()) | {".aif", ".oga", ".opus"}
"""Suffixes of the formats that libsndfile reads."""

_MANIFESTS = (".csv", ".jsonl")
_PATH_COLUMNS = ("path", "file", "audio_filepath")


@dataclass(frozen=True)
class Clip:
    """An audio file and the other columns of its manifest row, if it came from one."""

    path: Path
    columns: dict[str, str] = field(default_factory=dict)


def find_audio(sources: Sequence[str | Path]) -> list[Clip]:
    """Clips of `sources`, in order: files, folders (recursive, sorted), globs, and manifests.

    A manifest is a CSV with a header or a file of JSON lines, with a column path or file that is relative to the
    manifest's folder. Raises AudioError for a source that is missing, holds no audio or cannot be read.
    """
    clips: list[Clip] = []
    for source in sources:
        found = list(_find(Path(source).expanduser()))
        if not found:
            raise AudioError(f"{source}: no audio found; give a file, a folder, a glob or a manifest")
        clips.extend(found)
    return clips


def _find(source: Path) -> Iterator[Clip]:
    if source.is_dir():
        files = (path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        yield from (Clip(path) for path in sorted(files))
    elif source.is_file():
        yield from _read_manifest(source) if source.suffix.lower() in _MANIFESTS else [Clip(source)]
    else:
        for match in sorted(glob.glob(str(source), recursive=True)):
            if Path(match).is_dir() or Path(match).suffix.lower() in SUFFIXES:
                yield from _find(Path(match))


def _read_manifest(manifest: Path) -> Iterator[Clip]:
    """The clips of a manifest; each must exist."""
    for number, row in _rows(manifest):
        column = next((name for name in _PATH_COLUMNS if row.get(name)), None)
        if column is None:
            raise AudioError(f"{manifest}: row {number} has no column {' or '.join(_PATH_COLUMNS)}; add one")
        path = manifest.parent / row[column]
        if not path.is_file():
            raise AudioError(f"{manifest}: row {number} names {path}, which does not exist")
        yield Clip(path, {name: value for name, value in row.items() if name != column})


def _rows(manifest: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Numbered rows of a manifest, values as text."""
    try:
        lines = manifest.read_text(encoding="utf-8").split("\n")  # splitlines would cut texts at rarer separators
    except (OSError, UnicodeDecodeError) as error:
        raise AudioError(f"{manifest}: cannot read the manifest ({error})") from None
    if manifest.suffix.lower() == ".csv":
        yield from enumerate(csv.DictReader(lines), start=2)
        return
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise AudioError(f"{manifest}: line {number} is no JSON object")
        yield number, {name: str(value) for name, value in row.items()}
