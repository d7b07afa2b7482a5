"""Reading shards, one class per format: any row, without the rest of its shard. The counterpart of `shards`."""

import contextlib
import json
import os
import tarfile
import weakref
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.errors import ModelError, TokensError, VqcodecError
from vqcodec.tokens.formats.blobs import codes_of_bytes
from vqcodec.tokens.formats.writers import parquet_schema, require_pyarrow
from vqcodec.tokens.index import index_path, shard_path
from vqcodec.tokens.plan import Plan
from vqcodec.tokens.utterances import TokenizedUtterance, check_id, name_of


class ShardReader(Protocol):
    """An open shard; for one thread of one process. Methods raise TokensError for damage."""

    def row(self, number: int) -> TokenizedUtterance:
        """A row, counted from 0 without failures."""

    def close(self) -> None:
        """Close its files."""


def open_shard(plan: Plan, shard: int, entropy: EntropyModel | None) -> ShardReader:
    """A shard that is finished. Raises TokensError where it is missing or damaged."""
    path = shard_path(plan.folder, shard, plan.settings.format)
    if not path.exists():
        raise TokensError(f"{path}: the shard is missing; vqcodec tokenize --resume makes it again")
    if plan.settings.format == "parquet":
        return _ParquetReader(path, plan, entropy)
    if plan.settings.format == "webdataset":
        return _TarReader(path, plan, entropy, row_lines(plan, shard))
    return _FolderReader(path, plan, entropy)


def read_rows(
    plan: Plan, shard: int, entropy: EntropyModel | None, start: int = 0, stop: int | None = None
) -> Iterator[TokenizedUtterance]:
    """Rows `start` to before `stop` (None: all) of a shard, in order."""
    if stop is None:
        stop = len(row_lines(plan, shard))
    with contextlib.closing(open_shard(plan, shard, entropy)) as reader:
        for number in range(start, stop):
            yield reader.row(number)


def row_lines(plan: Plan, shard: int) -> list[bytes]:
    """The lines of a shard's index that stand for rows, not yet parsed: a thousand take a tenth of a millisecond."""
    path = index_path(plan.folder, shard)
    with reading(path):
        # No failure has the key, and inside a text the quotes would be escaped.
        return [line for line in path.read_bytes().split(b"\n") if b'"num_frames":' in line]


@contextlib.contextmanager
def reading(path: Path, *, part_of: Path | None = None) -> Iterator[None]:
    """Turn whatever reading `path` raises into a TokensError that names it, and what to remove."""
    remedy = f"remove {part_of or 'it'}, and vqcodec tokenize --resume makes it again"
    try:
        yield
    except ModelError:
        raise
    except VqcodecError as error:
        raise TokensError(f"{path}: {error}; {remedy}") from None
    except Exception as error:  # the parsers of parquet, tar, npy and JSON raise anything for damaged bytes
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise TokensError(f"{path}: cannot be read ({why}); {remedy}") from None


class _ParquetReader:
    """Holds the row group read last."""

    def __init__(self, path: Path, plan: Plan, entropy: EntropyModel | None) -> None:
        self._path, self._plan, self._entropy = path, plan, entropy
        pq = require_pyarrow()
        with reading(path):
            self._file = pq.ParquetFile(str(path), pre_buffer=False, page_checksum_verification=True)
            _check_schema(self._file.schema_arrow, parquet_schema(plan.settings, plan.columns))
            groups = range(self._file.num_row_groups)
            self._ends = list(accumulate(self._file.metadata.row_group(group).num_rows for group in groups))
        self._group = -1
        self._columns: dict[str, Any] = {}

    def row(self, number: int) -> TokenizedUtterance:
        """See ShardReader."""
        with reading(self._path):
            group = bisect_right(self._ends, number)
            if group != self._group:
                table = self._file.read_row_group(group, use_threads=False).combine_chunks()
                self._columns = {name: table[name].chunk(0) for name in table.column_names}
                self._group = group
            place = number - (self._ends[group - 1] if group else 0)
            tokens = "vqc" if self._plan.settings.entropy_coded else "codes"
            facts = {name: column[place].as_py() for name, column in self._columns.items() if name != tokens}
            if tokens == "codes":
                codes = _codes_of_lists(self._columns["codes"][place].values)
            else:
                codes = _decoded(self._columns["vqc"][place].as_py(), self._plan, self._entropy)
            return _utterance(facts, codes, self._plan)

    def close(self) -> None:
        """See ShardReader."""
        self._file.close()


def _check_schema(found: Any, planned: Any) -> None:
    if dict(zip(found.names, found.types, strict=True)) != dict(zip(planned.names, planned.types, strict=True)):
        raise TokensError(f"has the columns {', '.join(found.names)} of other names or types than the plan")


def _codes_of_lists(lists: Any) -> NDArray[np.uint16]:
    """A list<uint16> array per codebook -> [K, F]."""
    lengths = lists.value_lengths().to_numpy()
    if len(set(lengths.tolist())) != 1:
        raise TokensError("the codebooks of a row have different numbers of codes")
    codes: NDArray[np.uint16] = lists.flatten().to_numpy().reshape(len(lists), lengths[0])
    return codes.copy()  # the row group must not stay for one of its rows


class _TarReader:
    def __init__(self, path: Path, plan: Plan, entropy: EntropyModel | None, lines: list[bytes]) -> None:
        self._path, self._plan, self._entropy, self._lines = path, plan, entropy, lines
        with reading(path):
            self._file = path.open("rb")
        weakref.finalize(self, self._file.close)  # a dataset need not be closed

    def row(self, number: int) -> TokenizedUtterance:
        """See ShardReader."""
        with reading(self._path):
            line = json.loads(self._lines[number])
            self._file.seek(line["offset"])
            data = self._file.read(line["bytes"])
            self._file.seek(-len(data) % tarfile.BLOCKSIZE, os.SEEK_CUR)
            facts = json.loads(self._next_member())
            if facts["id"] != line["id"]:
                raise TokensError(f"has {facts['id']!r} where its index has {line['id']!r}")
            return _utterance(facts, _decoded(data, self._plan, self._entropy), self._plan)

    def close(self) -> None:
        """See ShardReader."""
        self._file.close()

    def _next_member(self) -> bytes:
        """What the member whose head follows holds."""
        # Not closed: that would not touch our file, and only reading has been asked for.
        member = tarfile.open(fileobj=self._file, mode="r:").next()  # noqa: SIM115
        if member is None or not member.name.endswith(".json"):
            raise TokensError("a row has no .json behind its codes")
        self._file.seek(member.offset_data)
        return self._file.read(member.size)


class _FolderReader:
    """Holds the lines of the folder's manifest."""

    def __init__(self, path: Path, plan: Plan, entropy: EntropyModel | None) -> None:
        self._path, self._plan, self._entropy = path, plan, entropy
        self._manifest = path / "manifest.jsonl"
        with reading(self._manifest, part_of=path):
            self._lines = self._manifest.read_bytes().splitlines()

    def row(self, number: int) -> TokenizedUtterance:
        """See ShardReader."""
        with reading(self._manifest, part_of=self._path):
            facts = {name: value for name, value in json.loads(self._lines[number]).items() if name != "codes"}
            check_id(facts["id"], where=str(self._manifest))
        path = self._path / f"{name_of(facts['id'])}.{self._plan.settings.format}"
        with reading(path, part_of=self._path):
            return _utterance(facts, _decoded(path.read_bytes(), self._plan, self._entropy), self._plan)

    def close(self) -> None:
        """See ShardReader."""


def _decoded(data: bytes, plan: Plan, entropy: EntropyModel | None) -> NDArray[np.uint16]:
    try:
        return codes_of_bytes(data, plan.settings, entropy)
    except ModelError as error:
        raise ModelError(f"{plan.folder}: {error}; give the weights of {plan.settings.model}") from None


def _utterance(facts: Mapping[str, Any], codes: NDArray[np.uint16], plan: Plan) -> TokenizedUtterance:
    """A row, once its parts agree. Raises TokensError otherwise."""
    utterance_id, settings = facts["id"], plan.settings
    shape = (settings.num_codebooks, facts["num_frames"])
    if codes.shape != shape:
        raise TokensError(f"{utterance_id!r} has codes {list(codes.shape)}, not {list(shape)}")
    if codes.size and int(codes.max()) >= settings.codebook_size:
        raise TokensError(f"{utterance_id!r} has a code {codes.max()}, not in 0..{settings.codebook_size - 1}")
    columns = {name: facts.get(name) for name in plan.columns}
    samples, rate_hz = int(facts["samples"]), int(facts["original_rate_hz"])
    return TokenizedUtterance(utterance_id, codes, samples, rate_hz, facts["source"], columns)
