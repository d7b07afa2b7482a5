"""Tar shards of webdataset: <id>.codes.npy and <id>.json. Entropy-coded, <id>.vqc instead of the first.

Owners, times and modes of members are constant.
"""

import io
import json
import os
import tarfile
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.errors import TokensError
from vqcodec.frames import ceil_div
from vqcodec.texts import parse_object
from vqcodec.tokens.formats.blobs import codes_to_bytes
from vqcodec.tokens.formats.shard_format import (
    ShardFormat,
    ShardReader,
    ShardWriter,
    decoded,
    facts_of,
    reading,
    utterance_of,
)
from vqcodec.tokens.plan import ColumnType, Plan, Settings
from vqcodec.tokens.utterances import TokenizedUtterance, name_of


class _TarWriter(ShardWriter):
    def __init__(
        self, path: Path, settings: Settings, columns: Mapping[str, ColumnType], entropy: EntropyModel | None
    ) -> None:
        self._settings, self._entropy, self._columns = settings, entropy, columns
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    @override
    def add(self, row: TokenizedUtterance) -> dict[str, Any]:
        name, data = name_of(row.id), codes_to_bytes(row, self._settings, self._entropy)
        where = self._add_member(f"{name}{'.vqc' if self._settings.entropy_coded else '.codes.npy'}", data)
        self._add_member(f"{name}.json", json.dumps(facts_of(row, self._columns), ensure_ascii=False).encode())
        return where

    @override
    def close(self) -> None:
        self._tar.close()

    @override
    def discard(self) -> None:
        assert self._tar.fileobj is not None
        self._tar.fileobj.close()

    def _add_member(self, name: str, data: bytes) -> dict[str, Any]:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        self._tar.addfile(member, io.BytesIO(data))
        return {
            "offset": self._tar.offset - ceil_div(len(data), tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE,
            "bytes": len(data),
        }


class _TarReader(ShardReader):
    def __init__(self, path: Path, plan: Plan, entropy: EntropyModel | None, lines: Callable[[], list[bytes]]) -> None:
        self._path, self._plan, self._entropy, self._lines = path, plan, entropy, lines()
        with reading(path):
            self._file = path.open("rb")
        weakref.finalize(self, self._file.close)  # a dataset need not be closed

    @override
    def row(self, index: int) -> TokenizedUtterance:
        with reading(self._path):
            line = parse_object(self._lines[index])
            self._file.seek(line["offset"])
            data = self._file.read(line["bytes"])
            self._file.seek(-len(data) % tarfile.BLOCKSIZE, os.SEEK_CUR)
            facts = parse_object(self._next_member())
            if facts["id"] != line["id"]:
                raise TokensError(f"has {facts['id']!r} where its index has {line['id']!r}")
            return utterance_of(facts, decoded(data, self._plan, self._entropy), self._plan)

    @override
    def close(self) -> None:
        self._file.close()

    def _next_member(self) -> bytes:
        """What the member whose head follows holds."""
        # Not closed: that would not touch our file, and only reading has been asked for.
        member = tarfile.open(fileobj=self._file, mode="r:").next()  # noqa: SIM115
        if member is None or not member.name.endswith(".json"):
            raise TokensError("a row has no .json behind its codes")
        self._file.seek(member.offset_data)
        return self._file.read(member.size)


WEBDATASET = ShardFormat(_TarWriter, _TarReader, suffix=".tar")
"""A tar file. Its index has the place of each row."""
