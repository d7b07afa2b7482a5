"""Tar shards as webdataset writes them: members with the same name up to its first dot are one sample."""

import glob
import json
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from vqcodec.audio.discover import SUFFIXES
from vqcodec.errors import AudioError
from vqcodec.tokens.utterances import ColumnValue, Utterance, printable

_TEXTS = {".txt": "text", ".cls": "label"}
_MAX_TEXT_BYTES = 1 << 20


def is_pattern(source: str) -> bool:
    """Tell whether SOURCE names several tar files: a glob or braces such as shard-{000000..000123}.tar."""
    return source.endswith(".tar") and bool(re.search(r"[*?\[{]", source))


def utterances(pattern: str) -> Iterator[Utterance]:
    """Yield one per sample with audio, in the order of the archives; of several, ids begin with the archive's name.

    Fields of .json and the texts of .txt and .cls are carried. Raises AudioError for what is no tar archive.
    """
    archives = sorted(match for one in _expand(os.path.expanduser(pattern)) for match in glob.glob(one) or [one])
    for archive in archives:
        prefix = f"{Path(archive).stem}/" if len(archives) > 1 else ""
        yield from _samples(archive, prefix)


def _expand(pattern: str) -> Iterator[str]:
    """Texts of {000..123} and {a,b}."""
    found = re.search(r"\{([^{}]*)\}", pattern)
    if found is None:
        yield pattern
        return
    span = re.fullmatch(r"(\d+)\.\.(\d+)", found[1])
    if span:
        choices = [f"{number:0{len(span[1])}}" for number in range(int(span[1]), int(span[2]) + 1)]
    else:
        choices = found[1].split(",")
    for choice in choices:
        yield from _expand(pattern[: found.start()] + choice + pattern[found.end() :])


def _samples(archive: str, prefix: str) -> Iterator[Utterance]:
    """Samples of one archive; only headers and small texts are read."""
    try:
        with tarfile.open(archive, "r:") as file:
            key, members = "", dict[str, tarfile.TarInfo]()
            for member in file:
                if not member.isfile():
                    continue
                own, suffix = _split(member.name)
                if own != key:
                    yield from _sample(file, archive, prefix, key, members)
                    key, members = own, {}
                if suffix in members:
                    raise AudioError(f"{archive}: {member.name} is there twice; keep one")
                members[suffix] = member
            yield from _sample(file, archive, prefix, key, members)
    except FileNotFoundError:
        raise AudioError(f"{archive}: there is no such archive; correct the name or the pattern") from None
    except (OSError, tarfile.TarError) as error:
        raise AudioError(f"{archive}: no tar archive that can be read ({error}); unpack it if it is packed") from None


def _split(name: str) -> tuple[str, str]:
    """Key and suffix of a member, as webdataset has them."""
    path = PurePosixPath(name)
    base, dot, suffix = path.name.partition(".")
    return str(path.with_name(base)) if base else name, dot + suffix


def _sample(
    file: tarfile.TarFile, archive: str, prefix: str, key: str, members: dict[str, tarfile.TarInfo]
) -> Iterator[Utterance]:
    audio = [suffix for suffix in members if f".{suffix.rpartition('.')[2]}".lower() in SUFFIXES]
    if not audio:
        return
    if len(audio) > 1:
        raise AudioError(f"{archive}: sample {key} has several audio files ({', '.join(audio)}); keep one")
    member = members[audio[0]]
    columns: dict[str, ColumnValue] = {}
    for suffix, other in members.items():
        if suffix == ".json":
            columns |= _json_columns(_text(file, other), archive, key)
        elif suffix in _TEXTS:
            columns[_TEXTS[suffix]] = _text(file, other).strip()
    source = printable(f"{Path(archive).name}/{member.name}")
    place = (member.offset_data, member.size)
    yield Utterance(printable(prefix + key), os.path.abspath(archive), source, member=place, columns=columns)


def _text(file: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    data = file.extractfile(member)
    assert data is not None  # a regular file
    return data.read(_MAX_TEXT_BYTES).decode("utf-8", "replace")


def _json_columns(text: str, archive: str, key: str) -> dict[str, ColumnValue]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise AudioError(f"{archive}: the .json of sample {key} is no JSON object")
    plain = (str, int, float, bool, type(None))
    return {n: v if isinstance(v, plain) else json.dumps(v, ensure_ascii=False) for n, v in values.items() if n != "id"}
