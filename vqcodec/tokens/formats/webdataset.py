"""Tar shards of webdataset: <id>.codes.npy and <id>.json. Entropy-coded, <id>.vqc instead of the first."""

import json
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.errors import TokensError
from vqcodec.texts import parse_object
from vqcodec.tokens.formats.blobs import codes_to_bytes, decoded
from vqcodec.tokens.formats.shard_format import ShardFormat, ShardReader, ShardWriter, facts_of, reading, utterance_of
from vqcodec.tokens.formats.tars import RowTar, read_row
from vqcodec.tokens.plan import ColumnType, Plan, Settings
from vqcodec.tokens.utterances import TokenizedUtterance, name_of


class _TarWriter(ShardWriter):
    def __init__(
        self, path: Path, settings: Settings, columns: Mapping[str, ColumnType], entropy: EntropyModel | None
    ) -> None:
        self._settings, self._entropy, self._columns = settings, entropy, columns
        self._tar = RowTar(path)

    @override
    def add(self, row: TokenizedUtterance) -> dict[str, Any]:
        name, data = name_of(row.id), codes_to_bytes(row, self._settings, self._entropy)
        where = self._tar.add(f"{name}{'.vqc' if self._settings.entropy_coded else '.codes.npy'}", data)
        self._tar.add(f"{name}.json", json.dumps(facts_of(row, self._columns), ensure_ascii=False).encode())
        return where

    @override
    def close(self) -> None:
        self._tar.close()

    @override
    def discard(self) -> None:
        self._tar.discard()


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
            data, _, text = read_row(self._file, line)
            facts = parse_object(text)
            if facts["id"] != line["id"]:
                raise TokensError(f"has {facts['id']!r} where its index has {line['id']!r}")
            return utterance_of(facts, decoded(data, self._plan, self._entropy), self._plan)

    @override
    def close(self) -> None:
        self._file.close()


WEBDATASET = ShardFormat(_TarWriter, _TarReader, suffix=".tar")
"""A tar file. Its index has the place of each row."""
