"""SOURCE -> utterances, one by one and always in the same order: which kind of source it is, folders and manifests.

Other kinds: `kaldi`, `tar`, `huggingface`, `cuts`. Nothing opens audio; a file that is missing is a failure later, when
its turn comes.
"""

import glob
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vqcodec.audio.discover import MANIFESTS, Row, is_audio, read_manifest, walk_audio
from vqcodec.audio.excerpt import EXCERPT_COLUMNS, excerpt_of
from vqcodec.errors import AudioError
from vqcodec.texts import printable
from vqcodec.tokens.sources import huggingface, kaldi, tar
from vqcodec.tokens.sources import lhotse as cuts
from vqcodec.tokens.utterances import ColumnValue, Utterance, id_of_path

_UNREAD = {
    **dict.fromkeys(
        (".tsv", ".json", ".txt", ".lst", ".scp", ".xml", ".parquet", ".arrow"), "convert it to CSV or JSON lines"
    ),
    **dict.fromkeys((".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".rar"), "unpack it"),
}
"""Suffixes of what people keep lists and archives in, and what to do."""
_OURS = ("id", *EXCERPT_COLUMNS)
"""Columns in which an empty text is nothing; in others it is carried."""


def absolute_source(source: str) -> str:
    """Return SOURCE, which may be a pattern, as it can be named from any folder. Raises AudioError for an empty one."""
    if not source.strip():
        raise AudioError("SOURCE is empty; give a folder, a glob, a manifest ...")
    return os.path.abspath(os.path.expanduser(source))


def find_utterances(source: str, *, run_commands: bool = False) -> Iterator[Utterance]:
    """Yield the utterances of SOURCE. Raises AudioError for one that is missing or cannot be understood.

    SOURCE is a folder (of audio, of Kaldi, of a `datasets` audio folder with metadata, or saved by it), a glob, an
    audio file, a manifest (CSV, JSON lines, lhotse cuts), wav.scp, or tar shards of webdataset. `run_commands` allows
    wav.scp to hold commands.
    """
    path = Path(source).expanduser()
    try:
        if (folder := kaldi.folder_of(path)) is not None:
            yield from kaldi.utterances(folder, run_commands=run_commands)
        else:
            yield from _utterances(source, path)
    except OSError as error:
        raise AudioError(
            f"{error.filename or source}: cannot be read ({error.strerror}); give another source"
        ) from None


def _utterances(source: str, path: Path) -> Iterator[Utterance]:
    if path.is_dir():
        yield from _of_folder(path)
    elif path.is_file():
        yield from _of_file(path)
    elif tar.is_pattern(source):
        yield from tar.utterances(source)
    else:
        yield from _of_glob(source)


def _of_folder(folder: Path) -> Iterator[Utterance]:
    if huggingface.is_saved(folder):
        yield from huggingface.utterances(folder)
    elif metadata := huggingface.metadata_files(folder):
        yield from _of_metadata(metadata, folder)
    else:
        root = _absolute(folder)
        for path in walk_audio(root):
            yield _whole_file(path, path.relative_to(root))


def _of_metadata(metadata: list[Path], folder: Path) -> Iterator[Utterance]:
    """What the files of a `datasets` audio folder list, which must be all that there is."""
    listed = set()
    for file in metadata:
        for utterance in _of_manifest(file, folder):
            listed.add(utterance.path)
            yield utterance
    missing = [path for path in walk_audio(_absolute(folder)) if str(path) not in listed]
    if missing:
        raise AudioError(
            f"{folder}: {len(missing)} audio files, such as {missing[0]}, are not in {metadata[0].name}; add them, or "
            f"give {metadata[0]} as the source"
        )


def _of_file(path: Path) -> Iterator[Utterance]:
    if path.suffix == ".tar":
        yield from tar.utterances(str(path))
    elif cuts.is_cuts(path):
        yield from cuts.utterances(path)
    elif path.suffix.lower() in MANIFESTS:
        yield from _of_manifest(path, path.parent)
    elif remedy := _UNREAD.get(path.suffix.lower()):
        raise AudioError(f"{path}: is neither audio nor a manifest that is read; {remedy}")
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
        for path in walk_audio(_absolute(match)) if match.is_dir() else [_absolute(match)]:
            if is_audio(path):
                yield _whole_file(path, path.relative_to(root))


def _whole_file(path: Path, name: Path) -> Utterance:
    return Utterance(id_of_path(name), str(path), printable(name.as_posix()))


def _absolute(path: Path) -> Path:
    """Without resolving links, so that workers elsewhere find it."""
    return Path(os.path.abspath(path))


# Manifests


def _of_manifest(manifest: Path, root: Path) -> Iterator[Utterance]:
    """Rows of a CSV with a header or of JSON lines; ids by default as for a folder `root`."""
    for row in read_manifest(manifest):
        yield _of_row(row, _absolute(manifest).parent, _absolute(root))


def _of_row(row: Row, folder: Path, root: Path) -> Utterance:
    values = {name: value for name, value in row.values.items() if value != "" or name not in _OURS}
    given = _path_text(values.pop(row.path_column()), row.where)
    path = Path(os.path.normpath(folder / given))
    inside = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    utterance_id = values.pop("id", None)
    excerpt = excerpt_of(values, row.where)
    carried = {name: value for name, value in values.items() if name not in EXCERPT_COLUMNS}
    return Utterance(
        id=id_of_path(inside) if utterance_id is None else str(utterance_id),
        path=str(path),
        source=printable(given),
        start_seconds=excerpt.start_seconds,
        duration_seconds=excerpt.duration_seconds,
        channel=excerpt.channel,
        columns={name: _column_value(value) for name, value in carried.items()},
    )


def _path_text(value: Any, where: str) -> str:
    """The path of a row, which a file can have. Lone surrogates may stand for bytes that are no UTF-8."""
    try:
        if b"\0" in os.fsencode(value) or not Path(value).name:
            raise ValueError
    except (TypeError, ValueError):
        raise AudioError(f"{where}: {value!r} is no path that a file can have; correct it") from None
    return str(value)


def _column_value(value: Any) -> ColumnValue:
    """A value to carry: lists and objects as their JSON."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return json.dumps(value, ensure_ascii=False)
