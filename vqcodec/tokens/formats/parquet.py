"""Parquet: columns id, codes (list<list<uint16>>, [K, F]), num_frames, samples, original_rate_hz, source and the
carried ones; settings in the schema's metadata. Entropy-coded, it has a column vqc with the bytes of a .vqc instead.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.errors import ConfigError, TokensError, how_to_install
from vqcodec.tokens.formats.blobs import codes_to_vqc, decoded
from vqcodec.tokens.formats.shard_format import ShardFormat, ShardReader, ShardWriter, as_type, reading, utterance_of
from vqcodec.tokens.plan import ColumnType, Plan, Settings
from vqcodec.tokens.utterances import TokenizedUtterance

if TYPE_CHECKING:
    import pyarrow as pa

_ROW_GROUP_ROWS, _ROW_GROUP_CODES = 128, 1 << 22


class _ParquetWriter(ShardWriter):
    """One row group per 128 rows, or fewer of long rows, so that a row is read without the rest."""

    def __init__(
        self, path: Path, settings: Settings, columns: Mapping[str, ColumnType], entropy: EntropyModel | None
    ) -> None:
        pq = _require_pyarrow()
        self._settings, self._entropy, self._columns = settings, entropy, columns
        self._schema = _schema(settings, columns)
        # A dictionary of codes, fewer than 65,536, takes 10 bits for one of 1024, where plain numbers take 14 (zstd).
        coded = [] if settings.entropy_coded else ["codes.list.element.list.element"]
        self._file = pq.ParquetWriter(
            str(path), self._schema, compression="zstd", use_dictionary=coded, write_page_checksum=True
        )
        self._rows: list[TokenizedUtterance] = []
        self._codes = 0

    @override
    def add(self, row: TokenizedUtterance) -> dict[str, Any]:
        self._rows.append(row)
        self._codes += row.codes.size
        if len(self._rows) == _ROW_GROUP_ROWS or self._codes >= _ROW_GROUP_CODES:
            self._flush()
        return {}

    @override
    def close(self) -> None:
        self._flush()
        self._file.close()

    @override
    def discard(self) -> None:
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
            values = [as_type(row.columns.get(name), kind) for row in rows]
            arrays.append(pa.array(values, self._schema.field(name).type))
        self._file.write_table(pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=len(rows))


def _schema(settings: Settings, columns: Mapping[str, ColumnType]) -> "pa.Schema":
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
    metadata = {**settings.stored(), "frame_rate": settings.frame_rate}
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


class _ParquetReader(ShardReader):
    """Holds the row group read last."""

    def __init__(self, path: Path, plan: Plan, entropy: EntropyModel | None, _lines: Callable[[], list[bytes]]) -> None:
        self._path, self._plan, self._entropy = path, plan, entropy
        pq = _require_pyarrow()
        with reading(path):
            self._file = pq.ParquetFile(str(path), pre_buffer=False, page_checksum_verification=True)
            _check_schema(self._file.schema_arrow, _schema(plan.settings, plan.columns))
            groups = range(self._file.num_row_groups)
            self._ends = list(accumulate(self._file.metadata.row_group(group).num_rows for group in groups))
        self._group = -1
        self._columns: dict[str, Any] = {}

    @override
    def row(self, index: int) -> TokenizedUtterance:
        with reading(self._path):
            group = bisect_right(self._ends, index)
            if group != self._group:
                table = self._file.read_row_group(group, use_threads=False).combine_chunks()
                self._columns = {name: table[name].chunk(0) for name in table.column_names}
                self._group = group
            row = index - (self._ends[group - 1] if group else 0)
            tokens = "vqc" if self._plan.settings.entropy_coded else "codes"
            facts = {name: column[row].as_py() for name, column in self._columns.items() if name != tokens}
            if tokens == "codes":
                codes = _codes_of_lists(self._columns["codes"][row].values)
            else:
                codes = decoded(self._columns["vqc"][row].as_py(), self._plan, self._entropy)
            return utterance_of(facts, codes, self._plan)

    @override
    def close(self) -> None:
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


def _require_pyarrow(instead: str = "") -> Any:
    """pyarrow.parquet. Raises ConfigError with the remedy where it is missing, or `instead` of it."""
    try:
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise ConfigError(f"the parquet format needs pyarrow: {how_to_install('tokens')}{instead}") from None
    return pq


PARQUET = ShardFormat(
    _ParquetWriter, _ParquetReader, suffix=".parquet", require=partial(_require_pyarrow, ", or --format npy")
)
"""A file that pyarrow, pandas, DuckDB and Hugging Face `datasets` open. It needs pyarrow."""
