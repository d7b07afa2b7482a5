"""Utterance: one row of a plan, what is to be tokenized and where its audio is; TokenizedUtterance: what comes out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.errors import AudioError
from vqcodec.texts import parse_object, printable

ColumnValue = str | int | float | bool | None
"""What a carried column may hold."""

_MAX_NAME_BYTES = 240
"""Bytes of one part of an escaped id: file systems allow 255, and a suffix follows."""
_ESCAPED = {"%": "%25", ".": "%2E", "\\": "%5C"}


@dataclass(frozen=True)
class Utterance:
    """A piece of audio to tokenize.

    id:       unique text, "/" between its parts
    path:     of the audio file, of the tar archive or folder that holds it, or empty for a command
    source:   what the output names as its origin
    start_seconds, duration_seconds: the excerpt; None: from the beginning, to the end
    channel:  from 0; None: the mean of all
    member:   byte offset and length inside the archive `path`
    row:      of the `datasets` folder `path`
    command:  a shell command that writes the audio to its standard output
    columns:  carried into the output
    """

    id: str
    path: str
    source: str
    start_seconds: float | None = None
    duration_seconds: float | None = None
    channel: int | None = None
    member: tuple[int, int] | None = None
    row: int | None = None
    command: str | None = None
    columns: Mapping[str, ColumnValue] = field(default_factory=dict)

    def to_json(self) -> str:
        """Write one line, without what is as by default. Paths that are not UTF-8 survive."""
        values = {name: value for name, value in vars(self).items() if value != _DEFAULTS[name]}
        return json.dumps(values)  # ASCII: also lone surrogates, which stand for bytes of paths that are not UTF-8

    @staticmethod
    def from_json(line: str) -> "Utterance":
        """Return the utterance of a line of `to_json`."""
        values = parse_object(line)
        if "member" in values:
            values["member"] = tuple(values["member"])
        return Utterance(**values)


_DEFAULTS: dict[str, Any] = {**dict.fromkeys(Utterance.__dataclass_fields__), "columns": {}}


@dataclass(frozen=True)
class TokenizedUtterance:
    """An utterance's tokens: codes [K, F] uint16, and `samples` of audio at `original_rate_hz` that they stand for."""

    id: str
    codes: NDArray[np.uint16]
    samples: int
    original_rate_hz: int
    source: str
    columns: Mapping[str, ColumnValue] = field(default_factory=dict)

    @property
    def num_frames(self) -> int:
        """Columns of the codes."""
        return int(self.codes.shape[1])


def id_of_path(path: Path) -> str:
    """Return the id of a file: its path without suffix, bytes that are no UTF-8 escaped."""
    return printable(path.with_suffix("").as_posix())


def check_id(utterance_id: str, *, where: str) -> None:
    """Raise AudioError for an id that could not name a file in the output."""
    remedy = "rename the file, or give another id in the column id of a manifest"
    parts = utterance_id.split("/")
    if any(part in ("", ".", "..") for part in parts) or not utterance_id.isprintable():
        raise AudioError(f"{where}: id {utterance_id!r} is no name such as speaker/clip; {remedy}")
    if any(len(part.encode()) > _MAX_NAME_BYTES for part in name_of(utterance_id).split("/")):
        raise AudioError(f"{where}: id {utterance_id[:60]!r}... is too long to name a file; {remedy}")


def name_of(utterance_id: str) -> str:
    """Return the id as the name of a file without suffix: unique, relative, without dots, which end keys in tars."""
    return "".join(_ESCAPED.get(character, character) for character in utterance_id)
