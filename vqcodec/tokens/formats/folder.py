"""Folders of a file per utterance: <id>.npy or <id>.vqc, and manifest.jsonl."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.texts import MOST_LIST_BYTES, parse_object, read_limited
from vqcodec.tokens.formats.blobs import codes_to_bytes, decoded
from vqcodec.tokens.formats.shard_format import ShardFormat, ShardReader, ShardWriter, facts_of, reading, utterance_of
from vqcodec.tokens.plan import ColumnType, Plan, Settings
from vqcodec.tokens.utterances import TokenizedUtterance, check_id, name_of


class _FolderWriter(ShardWriter):
    """A file per utterance."""

    def __init__(
        self, path: Path, settings: Settings, columns: Mapping[str, ColumnType], entropy: EntropyModel | None
    ) -> None:
        path.mkdir()
        self._path, self._settings, self._entropy, self._columns = path, settings, entropy, columns
        self._manifest = (path / "manifest.jsonl").open("w", encoding="utf-8")

    @override
    def add(self, row: TokenizedUtterance) -> dict[str, Any]:
        name = f"{name_of(row.id)}.{self._settings.format}"
        target = self._path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(codes_to_bytes(row, self._settings, self._entropy))
        # The shard's own name is that of its folder once it is finished.
        line = {**facts_of(row, self._columns), "codes": f"shards/{self._path.name.split('.')[1]}/{name}"}
        self._manifest.write(json.dumps(line, ensure_ascii=False) + "\n")
        return {}

    @override
    def close(self) -> None:
        self._manifest.close()

    @override
    def discard(self) -> None:
        self._manifest.close()


class _FolderReader(ShardReader):
    """Holds the lines of the folder's manifest."""

    def __init__(self, path: Path, plan: Plan, entropy: EntropyModel | None, _lines: Callable[[], list[bytes]]) -> None:
        self._path, self._plan, self._entropy = path, plan, entropy
        self._manifest = path / "manifest.jsonl"
        with reading(self._manifest, part_of=path):
            self._lines = read_limited(self._manifest, MOST_LIST_BYTES).splitlines()

    @override
    def row(self, index: int) -> TokenizedUtterance:
        with reading(self._manifest, part_of=self._path):
            facts = {name: value for name, value in parse_object(self._lines[index]).items() if name != "codes"}
            check_id(facts["id"], where=str(self._manifest))
        path = self._path / f"{name_of(facts['id'])}.{self._plan.settings.format}"
        with reading(path, part_of=self._path):
            return utterance_of(
                facts, decoded(read_limited(path, MOST_LIST_BYTES), self._plan, self._entropy), self._plan
            )

    @override
    def close(self) -> None:
        pass


NPY = ShardFormat(
    _FolderWriter,
    _FolderReader,
    manifest="manifest.jsonl",
    uncoded="npy holds arrays of codes; entropy-coded files per utterance are the format vqc",
)
"""Arrays of numpy, [K, F] uint16."""
VQC = ShardFormat(
    _FolderWriter,
    _FolderReader,
    holds_vqc=True,
    manifest="manifest.jsonl",
    uncoded="vqc files are entropy-coded anyway, where the model can; leave entropy_coded out",
)
"""Files that any vqcodec decodes by themselves."""
