"""Tar shards as webdataset writes them: members with the same name up to its first dot are one sample."""

import glob
import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from typing_extensions import override

from vqcodec.audio.discover import is_audio
from vqcodec.errors import AudioError
from vqcodec.texts import parse_object, printable
from vqcodec.tokens.utterances import ColumnValue, Utterance

_TEXTS = {".txt": "text", ".cls": "label"}
_MAX_TEXT_BYTES = 1 << 20
_MOST_ARCHIVES = 1_000_000
"""Archives that one pattern with braces may name, at most."""


def is_pattern(source: str) -> bool:
    """Tell whether SOURCE names several tar files: a glob or braces such as shard-{000000..000123}.tar."""
    return source.endswith(".tar") and bool(re.search(r"[*?\[{]", source))


def utterances(pattern: str) -> Iterator[Utterance]:
    """Yield one per sample, in the order of the archives; of several, ids begin with the archive's name.

    Fields of .json and the texts of .txt and .cls are carried: those with the name of the audio under their own names,
    those of a longer one with that before (a.wav and a.normalized.txt: normalized.text), fields of .json that differ
    from a text of the same name as json.text. A sample without audio comes with its first member, which then fails as
    audio. Raises AudioError for what is no tar archive, and for texts that cannot be carried whole.
    """
    named = list(islice(_expand(os.path.expanduser(pattern)), _MOST_ARCHIVES + 1))
    if len(named) > _MOST_ARCHIVES:
        raise AudioError(f"{pattern}: names more than {_MOST_ARCHIVES} archives; give fewer at once")
    archives = sorted(match for path in named for match in glob.glob(path) or [path])
    for archive in archives:
        prefix = f"{Path(archive).stem}/" if len(archives) > 1 else ""
        yield from _samples(archive, prefix)


def _expand(pattern: str) -> Iterator[str]:
    """Texts of {000..123} and {a,b}."""
    found = re.search(r"\{([^{}]*)\}", pattern)
    if found is None:
        yield pattern
        return
    span = re.fullmatch(r"(\d{1,18})\.\.(\d{1,18})", found[1])
    choices: Iterator[str]
    if span:
        choices = (f"{value:0{len(span[1])}}" for value in range(int(span[1]), int(span[2]) + 1))
    else:
        choices = iter(found[1].split(","))
    for choice in choices:
        yield from _expand(pattern[: found.start()] + choice + pattern[found.end() :])


def _samples(archive: str, prefix: str) -> Iterator[Utterance]:
    """Samples of one archive; only headers and small texts are read."""
    try:
        with _Careful(archive) as data, tarfile.open(fileobj=data, mode="r:") as file:
            samples: dict[str, dict[str, tarfile.TarInfo]] = {}
            for member in _members(file, data.size_bytes):
                if member.isdir():
                    continue
                if not member.isfile():
                    raise AudioError(
                        f"{archive}: {member.name} is a link or no file, and holds no data; store the file"
                    )
                key, suffix = _split(member.name)
                members = samples.setdefault(key, {})  # which may lie apart
                if suffix in members:
                    raise AudioError(f"{archive}: {member.name} is there twice; keep one")
                members[suffix] = member
            _check_end(data, file.offset, archive)
            for key, members in samples.items():
                yield _sample(file, archive, prefix, key, members)
    except FileNotFoundError:
        raise AudioError(f"{archive}: there is no such archive; correct the name or the pattern") from None
    except (OSError, tarfile.TarError, ValueError, OverflowError) as error:
        raise AudioError(f"{archive}: no tar archive that can be read ({error}); unpack it if it is packed") from None


class _Careful(io.BufferedReader):
    """An archive whose heads claim no more than they may: tarfile reads a name of whatever length a head says."""

    def __init__(self, path: str) -> None:
        super().__init__(io.FileIO(path))
        self.size_bytes = os.fstat(self.fileno()).st_size

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        """Read `size` bytes. Raises tarfile.ReadError for more than a head or a text has."""
        if size is None or not 0 <= size <= _MAX_TEXT_BYTES + tarfile.BLOCKSIZE:
            raise tarfile.ReadError(f"a head of {size} bytes")
        return super().read(size)


def _members(file: tarfile.TarFile, size_bytes: int) -> Iterator[tarfile.TarInfo]:
    """Members in order. Raises tarfile.ReadError for one that lies before another or ends outside the archive."""
    at = 0
    for member in file:
        if not (at <= member.offset_data <= size_bytes and member.size >= 0):
            raise tarfile.ReadError(f"a member of {member.size} bytes at byte {member.offset_data}")
        at = member.offset_data
        yield member


def _check_end(data: io.BufferedReader, end: int, archive: str) -> None:
    """Raise AudioError for an archive that goes on behind its `end`, where readers of tar stop, or has none."""
    data.seek(end)
    if len(data.peek(1)) == 0:
        raise AudioError(
            f"{archive}: has no end, which is zeros; it is cut: fetch it anew, or unpack it to take the rest"
        )
    while block := data.read(_MAX_TEXT_BYTES):
        if any(block):
            raise AudioError(
                f"{archive}: goes on behind the end of the archive, as archives do that were joined or are damaged; "
                "give each by itself, or join them by tar --concatenate"
            )


def _split(name: str) -> tuple[str, str]:
    """Key and suffix of a member, as webdataset has them."""
    path = PurePosixPath(name)
    base, dot, suffix = path.name.partition(".")
    return str(path.with_name(base)) if base else name, dot + suffix


def _sample(
    file: tarfile.TarFile, archive: str, prefix: str, key: str, members: dict[str, tarfile.TarInfo]
) -> Utterance:
    audio = [suffix for suffix in members if is_audio(Path(key + suffix))]
    if len(audio) > 1:
        raise AudioError(f"{archive}: sample {key} has several audio files ({', '.join(audio)}); keep one")
    main_suffix = audio[0] if audio else next(iter(members))
    columns: dict[str, ColumnValue] = {}
    for suffix in sorted(members, key=lambda suffix: suffix.endswith(".json")):
        # In a name with dots what is behind the first is of the suffix, as webdataset has it.
        stem = "" if _stem(suffix) in ("", _stem(main_suffix)) else f"{_stem(suffix)}."
        for name, value in _columns(file, archive, members[suffix]).items():
            is_new = columns.get(stem + name, value) == value
            columns[stem + name if is_new else f"json.{stem}{name}"] = value
    source = printable(f"{Path(archive).name}/{members[main_suffix].name}")
    member = (members[main_suffix].offset_data, members[main_suffix].size)
    return Utterance(printable(prefix + key), os.path.abspath(archive), source, member=member, columns=columns)


def _stem(suffix: str) -> str:
    """Tell what stands between the dots: normalized of .normalized.txt, nothing of .txt."""
    return suffix.rpartition(".")[0].lstrip(".")


def _columns(file: tarfile.TarFile, archive: str, member: tarfile.TarInfo) -> dict[str, ColumnValue]:
    """Columns that a member holds."""
    extension = f".{member.name.rpartition('.')[2]}"
    if extension == ".json":
        return _json_columns(_text(file, archive, member), f"{archive}: {member.name}")
    return {_TEXTS[extension]: _text(file, archive, member).strip()} if extension in _TEXTS else {}


def _text(file: tarfile.TarFile, archive: str, member: tarfile.TarInfo) -> str:
    if member.size > _MAX_TEXT_BYTES:
        raise AudioError(f"{archive}: {member.name} has {member.size} bytes, over {_MAX_TEXT_BYTES}; shorten that text")
    data = file.extractfile(member)
    assert data is not None  # a regular file
    try:
        return data.read().decode("utf-8")
    except UnicodeDecodeError:
        raise AudioError(f"{archive}: {member.name} is not UTF-8; save it as UTF-8") from None


def _json_columns(text: str, name: str) -> dict[str, ColumnValue]:
    try:
        values = parse_object(text)
    except ValueError:
        raise AudioError(f"{name}: is no JSON object; correct it") from None
    plain = (str, int, float, bool, type(None))
    return {n: v if isinstance(v, plain) else json.dumps(v, ensure_ascii=False) for n, v in values.items() if n != "id"}
