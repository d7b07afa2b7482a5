"""Shards on disk, one class per format: rows go in one by one, and appear all at once.

    parquet     shards/shard-000000.parquet: columns id, codes (list<list<uint16>>, [K, F]), num_frames, samples,
                original_rate_hz, source and the carried ones; settings in the schema's metadata
    webdataset  shards/shard-000000.tar: <id>.codes.npy and <id>.json
    npy, vqc    shards/shard-000000/: <id>.npy or <id>.vqc, and manifest.jsonl

With `entropy_coded`, parquet has a column vqc and tars a member <id>.vqc: the bytes of a .vqc, instead of codes.
In names of files and members "." of an id is %2E. The same rows give the same bytes.
"""

import contextlib
import io
import json
import os
import secrets
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.errors import ConfigError, how_to_install
from vqcodec.output import output_errors
from vqcodec.tokens.formats.blobs import codes_to_bytes, codes_to_vqc
from vqcodec.tokens.index import shard_name, shard_path
from vqcodec.tokens.plan import ColumnType, Settings
from vqcodec.tokens.utterances import ColumnValue, TokenizedUtterance, name_of

if TYPE_CHECKING:
    import pyarrow as pa

_ROW_GROUP_ROWS, _ROW_GROUP_CODES = 128, 1 << 22


class ShardWriter(Protocol):
    """Writes one shard into `path`, a name that nobody reads yet."""

    def add(self, row: TokenizedUtterance) -> dict[str, Any]:
        """Append a row; returns where it is, for the index."""

    def close(self) -> None:
        """Complete the shard."""

    def discard(self) -> None:
        """Let go of the file, which is about to be removed; nothing more is written."""


@contextlib.contextmanager
def write_shard(
    folder: Path,
    shard: int,
    settings: Settings,
    columns: Mapping[str, ColumnType],
    entropy: EntropyModel | None = None,
) -> Iterator[ShardWriter]:
    """Yield a writer; on success its shard appears in `folder`, in place of one that is there, else nothing does.

    `columns`: names and types of what rows carry. `entropy`: the model's, for .vqc. What an earlier process that was
    killed left of this shard is removed. Raises OutputError where it cannot be written.
    """
    target = shard_path(folder, shard, settings.format)
    for leftover in target.parent.glob(f".{shard_name(shard)}.*"):
        _remove(leftover)
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}{target.suffix}")
    with output_errors(target):
        writer = None
        try:
            writer = _writer(temporary, settings, columns, entropy)
            yield writer
            writer.close()
            if target.is_dir():  # finished but for its index, by a process that was then killed
                shutil.rmtree(target)
            os.replace(temporary, target)
        except BaseException:
            if writer is not None:
                with contextlib.suppress(OSError):
                    writer.discard()
            raise
        finally:
            _remove(temporary)


def _writer(
    path: Path, settings: Settings, columns: Mapping[str, ColumnType], entropy: EntropyModel | None
) -> ShardWriter:
    if settings.format == "parquet":
        return _ParquetWriter(path, settings, columns, entropy)
    if settings.format == "webdataset":
        return _TarWriter(path, settings, columns, entropy)
    return _FolderWriter(path, settings, columns, entropy)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class _ParquetWriter:
    """One row group per 128 rows, or fewer of long rows, so that a row is read without the rest."""

    def __init__(
        self, path: Path, settings: Settings, columns: Mapping[str, ColumnType], entropy: EntropyModel | None
    ) -> None:
        pq = require_pyarrow()
        self._settings, self._entropy, self._columns = settings, entropy, columns
        self._schema = parquet_schema(settings, columns)
        # A dictionary of codes, fewer than 65,536, takes 10 bits for one of 1024, where plain numbers take 14 (zstd).
        coded = [] if settings.entropy_coded else ["codes.list.element.list.element"]
        self._file = pq.ParquetWriter(
            str(path), self._schema, compression="zstd", use_dictionary=coded, write_page_checksum=True
        )
        self._rows: list[TokenizedUtterance] = []
        self._codes = 0

    def add(self, row: TokenizedUtterance) -> dict[str, Any]:
        """See ShardWriter."""
        self._rows.append(row)
        self._codes += row.codes.size
        if len(self._rows) == _ROW_GROUP_ROWS or self._codes >= _ROW_GROUP_CODES:
            self._flush()
        return {}

    def close(self) -> None:
        """See ShardWriter."""
        self._flush()
        self._file.close()

    def discard(self) -> None:
        """See ShardWriter."""
        self._file.close()

    def _flush(self) -> None:
        import pyarrow as pa

        rows, self._rows, self._codes = self._rows, [], 0
        if not rows:
            return
        if self._settings.entropy_coded:
            tokens = pa.array([codes_to_vqc(row, self._settings, self._entropy) for row in rows], pa.binary())
        else:
            tokens = _nested([row.codes for row in rows])
        arrays = [
            pa.array([row.id for row in rows], pa.string()),
            tokens,
            pa.array([row.num_frames for row in rows], pa.int64()),
            pa.array([row.samples for row in rows], pa.int64()),
            pa.array([row.original_rate_hz for row in rows], pa.int32()),
            pa.array([row.source for row in rows], pa.string()),
        ]
        for name, kind in self._columns.items():
            values = [_as_type(row.columns.get(name), kind) for row in rows]
            arrays.append(pa.array(values, self._schema.field(name).type))
        self._file.write_table(pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=len(rows))


def parquet_schema(settings: Settings, columns: Mapping[str, ColumnType]) -> "pa.Schema":
    """The schema of parquet shards, with the settings as metadata, each a text."""
    import pyarrow as pa

    types = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}
    fields = [
        pa.field("id", pa.string()),
        pa.field("vqc", pa.binary()) if settings.entropy_coded else pa.field("codes", pa.list_(pa.list_(pa.uint16()))),
        pa.field("num_frames", pa.int64()),
        pa.field("samples", pa.int64()),
        pa.field("original_rate_hz", pa.int32()),
        pa.field("source", pa.string()),
        *(pa.field(name, types[kind]) for name, kind in columns.items()),
    ]
    metadata = {**vars(settings), "frame_rate": settings.frame_rate}
    return pa.schema(fields, metadata={name: str(value) for name, value in metadata.items()})


def _nested(codes: list[NDArray[np.uint16]]) -> "pa.ListArray":
    """Codes [K, F] each as list<list<uint16>>, without a Python object per code."""
    import pyarrow as pa

    values = pa.array(np.concatenate([item.ravel() for item in codes]))
    lengths = np.concatenate([np.full(item.shape[0], item.shape[1]) for item in codes])
    inner = pa.ListArray.from_arrays(_offsets(lengths), values)
    return pa.ListArray.from_arrays(_offsets(np.array([item.shape[0] for item in codes])), inner)


def _offsets(lengths: NDArray[Any]) -> "pa.Array":
    import pyarrow as pa

    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


def _as_type(value: ColumnValue, kind: ColumnType) -> ColumnValue:
    """`value` as a column of `kind` holds it: a column of mixed types is text."""
    if value is None:
        return None
    if kind == "string":
        return value if isinstance(value, str) else json.dumps(value)
    return float(value) if kind == "float64" else value


class _TarWriter:
    """Samples of webdataset; owners, times and modes are constant."""

    def __init__(
        self, path: Path, settings: Settings, columns: Mapping[str, ColumnType], entropy: EntropyModel | None
    ) -> None:
        self._settings, self._entropy, self._columns = settings, entropy, columns
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def add(self, row: TokenizedUtterance) -> dict[str, Any]:
        """See ShardWriter."""
        name, data = name_of(row.id), codes_to_bytes(row, self._settings, self._entropy)
        where = self._add_member(f"{name}{'.vqc' if self._settings.entropy_coded else '.codes.npy'}", data)
        self._add_member(f"{name}.json", json.dumps(facts_of(row, self._columns), ensure_ascii=False).encode())
        return where

    def close(self) -> None:
        """See ShardWriter."""
        self._tar.close()

    def discard(self) -> None:
        """See ShardWriter."""
        assert self._tar.fileobj is not None
        self._tar.fileobj.close()

    def _add_member(self, name: str, data: bytes) -> dict[str, Any]:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        self._tar.addfile(member, io.BytesIO(data))
        return {"offset": self._tar.offset - -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE, "bytes": len(data)}


class _FolderWriter:
    """A file per utterance."""

    def __init__(
        self, path: Path, settings: Settings, columns: Mapping[str, ColumnType], entropy: EntropyModel | None
    ) -> None:
        path.mkdir()
        self._path, self._settings, self._entropy, self._columns = path, settings, entropy, columns
        self._manifest = (path / "manifest.jsonl").open("w", encoding="utf-8")

    def add(self, row: TokenizedUtterance) -> dict[str, Any]:
        """See ShardWriter."""
        name = f"{name_of(row.id)}.{self._settings.format}"
        target = self._path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(codes_to_bytes(row, self._settings, self._entropy))
        # The shard's own name is that of its folder once it is finished.
        line = {**facts_of(row, self._columns), "codes": f"shards/{self._path.name.split('.')[1]}/{name}"}
        self._manifest.write(json.dumps(line, ensure_ascii=False) + "\n")
        return {}

    def close(self) -> None:
        """See ShardWriter."""
        self._manifest.close()

    def discard(self) -> None:
        """See ShardWriter."""
        self._manifest.close()


def facts_of(row: TokenizedUtterance, columns: Mapping[str, ColumnType]) -> dict[str, Any]:
    """Everything of a row but its codes, for JSON."""
    return {
        "id": row.id,
        "num_frames": row.num_frames,
        "samples": row.samples,
        "original_rate_hz": row.original_rate_hz,
        "source": row.source,
        **{name: _as_type(row.columns.get(name), kind) for name, kind in columns.items()},
    }


def require_pyarrow() -> Any:
    """pyarrow.parquet. Raises ConfigError with the remedy where it is missing."""
    try:
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        remedy = f"{how_to_install('tokens')}, or --format npy"
        raise ConfigError(f"the parquet format needs pyarrow: {remedy}") from None
    return pq
