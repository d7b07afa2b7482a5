"""Find audio: files, folders, globs and manifests become one list of clips; and how any manifest is read."""

import csv
import glob
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import soundfile

from vqcodec.audio.excerpt import CHANNEL_COLUMN, END_COLUMN, START_COLUMNS, Excerpt, excerpt_of
from vqcodec.audio.walk import walk_files
from vqcodec.errors import AudioError
from vqcodec.output import check_length
from vqcodec.texts import limited_lines, parse_object

SUFFIXES = frozenset(f".{name.lower()}" for name in soundfile.available_formats()) | {".aif", ".oga", ".opus"}
"""Suffixes of the formats that libsndfile reads."""

_UNREAD = "m4a m4b mp4 m4v mov 3gp webm mkv mka aac ac3 wma amr ape wv tta mpc spx dsf dff"
UNREAD_SUFFIXES = frozenset(f".{name}" for name in _UNREAD.split()) - SUFFIXES
"""Suffixes of sound that libsndfile does not read. Such files are found, so that each is told of, not passed over."""

MANIFESTS = (".csv", ".jsonl")
"""Suffixes of the manifests that `read_manifest` reads."""

_PATH_COLUMNS = ("path", "file", "audio_filepath", "file_name")
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Clip:
    """An audio file, and the other columns of its manifest row and `where` that is, if it came from one."""

    path: Path
    columns: dict[str, str] = field(default_factory=dict)
    where: str = ""

    @property
    def is_excerpt(self) -> bool:
        """Whether its row asks for less than the file: what begins later, has an end of its own, or is one channel.

        A duration alone does not count: it is often what a manifest says of the whole file.
        """
        begins_later = any(self.columns.get(name, "").strip("0.") for name in START_COLUMNS)
        return begins_later or any(self.columns.get(name, "").strip() for name in (END_COLUMN, CHANNEL_COLUMN))

    def excerpt(self) -> Excerpt:
        """Return the part of the file that its row names. Raises AudioError as `excerpt_of`."""
        return excerpt_of(self.columns, self.where)


@dataclass(frozen=True)
class Row:
    """A row of a manifest. `where`: the manifest and the line that it begins in, for messages."""

    where: str
    values: dict[str, Any]

    def path_column(self) -> str:
        """Return the column with the path. Raises AudioError if there is none or it is empty."""
        names = [name for name in _PATH_COLUMNS if name in self.values]
        if not names:
            raise AudioError(
                f"{self.where} has no column {', '.join(_PATH_COLUMNS[:-1])} or {_PATH_COLUMNS[-1]}; add one"
            )
        filled = next((name for name in names if self.values[name] not in ("", None)), None)
        if filled is None:
            raise AudioError(f"{self.where}: {names[0]} is empty; give the path of the audio or remove the row")
        return filled


def find_audio(sources: Sequence[str | Path]) -> list[Clip]:
    """Return the clips of `sources`, in order: files, folders (recursive, sorted), globs, and manifests.

    A manifest is a CSV with a header or a file of JSON lines, with a column path or file that is relative to the
    manifest's folder. Raises AudioError for a source that is missing, holds no audio or cannot be read.
    """
    clips: list[Clip] = []
    for source in sources:
        check_length(Path(source), AudioError)
        found = list(_find(Path(source).expanduser()))
        if not found:
            raise AudioError(f"{source}: no audio found; give a file, a folder, a glob or a manifest")
        clips.extend(found)
    return clips


def _find(source: Path) -> Iterator[Clip]:
    if source.is_dir():
        yield from map(Clip, walk_audio(source))
    elif source.is_file():
        yield from _clips(source) if source.suffix.lower() in MANIFESTS else [Clip(source)]
    else:
        for match in sorted(glob.glob(str(source), recursive=True)):
            if Path(match).is_dir() or is_audio(Path(match)):
                yield from _find(Path(match))


def is_audio(path: Path) -> bool:
    """Tell by its suffix whether a file is sound, also such as cannot be read."""
    return path.suffix.lower() in SUFFIXES | UNREAD_SUFFIXES


def spelled(path: Path) -> Path:
    """Find the file of a name in another spelling of Unicode, as another system writes it; else return `path`.

    The same letters can be one character (NFC) or a letter and its accent (NFD).
    """
    if not path.exists():
        for form in ("NFC", "NFD"):
            other = Path(unicodedata.normalize(form, str(path)))
            if other.exists():
                return other
    return path


def walk_audio(root: Path) -> Iterator[Path]:
    """Yield the audio files below a folder, as `walk_files` does."""
    return walk_files(root, is_audio)


def _clips(manifest: Path) -> Iterator[Clip]:
    """The clips of a manifest; each must exist."""
    for row in read_manifest(manifest):
        column = row.path_column()
        named = manifest.parent / str(row.values[column])
        check_length(named, AudioError)
        path = spelled(named)
        if not path.is_file():
            raise AudioError(f"{row.where} names {path}, which does not exist")
        texts = {name: "" if value is None else str(value) for name, value in row.values.items()}
        yield Clip(path, {name: text for name, text in texts.items() if name != column}, row.where)


def read_manifest(manifest: Path) -> Iterator[Row]:
    """Yield the rows of a CSV with a header, whose values are texts, or of JSON lines; blank lines are none.

    A field of a CSV that is empty is None, and missing in the values if its row is shorter. Raises AudioError for what
    could be read in two ways: a column twice, a quote that does not end, more fields than columns; and for any encoding
    but UTF-8.
    """
    rows = _csv_rows if manifest.suffix.lower() == ".csv" else _json_rows
    try:
        yield from rows(manifest)
    except UnicodeDecodeError:
        raise AudioError(f"{manifest}: is not UTF-8; save it as UTF-8") from None
    except ValueError as error:
        raise AudioError(f"{manifest}: {error}; give a row a line of its own") from None
    except OSError as error:
        raise AudioError(f"{manifest}: cannot read the manifest ({error.strerror})") from None


def _csv_rows(manifest: Path) -> Iterator[Row]:
    header: list[str] = []
    for where, fields in _csv_fields(manifest):
        if not header:
            header = fields
            _check_header(header, where)
            continue
        if len(fields) > len(header):
            raise AudioError(f"{where} has more fields than the header; quote its commas")
        yield Row(where, dict(zip(header, (field or None for field in fields), strict=False)))


def _csv_fields(manifest: Path) -> Iterator[tuple[str, list[str]]]:
    """Where each row begins, and its fields."""
    with manifest.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(limited_lines(file), strict=True)
        while True:
            where = f"{manifest}: line {reader.line_num + 1}"
            try:
                fields = next(reader, None)
            except csv.Error as error:
                raise AudioError(
                    f"{where} begins a row that is no CSV ({error}); close its quotes, and double those inside a field"
                ) from None
            if fields is None:
                return
            if len(fields) > 1 or (fields and fields[0].strip()):
                yield where, fields


def _check_header(header: list[str], where: str) -> None:
    repeated = sorted(name for name, count in Counter(header).items() if count > 1)
    if repeated:
        raise AudioError(f"{where} names the column {repeated[0]!r} twice; name each column once")
    for mark, name in _SEPARATORS.items():
        if len(header) == 1 and mark in header[0]:
            raise AudioError(f"{where} has its fields between {name}; separate them by commas")


def _json_rows(manifest: Path) -> Iterator[Row]:
    with manifest.open(encoding="utf-8-sig", newline="") as file:  # also cut at a lone return, never inside a text
        for line_number, line in enumerate(limited_lines(file), start=1):
            if not line.strip():
                continue
            where = f"{manifest}: line {line_number}"
            try:
                values = parse_object(line, pairs=_without_repetition)
            except _RepeatedKeyError as error:
                raise AudioError(f"{where} has the key {str(error)!r} twice; name each once") from None
            except ValueError:
                raise AudioError(f"{where} is no JSON object") from None
            yield Row(where, values)


class _RepeatedKeyError(Exception):
    """The key that a JSON object has twice."""


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedKeyError(next(name for name in names if names.count(name) > 1))
    return values
