"""What a format of shards does, and what all formats share: facts of rows, rows made of parts, errors of reading."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.errors import ConfigError, ModelError, TokensError, VqcodecError
from vqcodec.tokens.plan import ColumnType, Plan, Settings
from vqcodec.tokens.utterances import ColumnValue, TokenizedUtterance


class ShardWriter(Protocol):
    """Writes one shard into `path`, a name that nobody reads yet."""

    def add(self, row: TokenizedUtterance) -> dict[str, Any]:
        """Append a row; returns where it is, for the index."""

    def close(self) -> None:
        """Complete the shard."""

    def discard(self) -> None:
        """Let go of the file, which is about to be removed; nothing more is written."""


class ShardReader(Protocol):
    """An open shard; for one thread of one process. Methods raise TokensError for damage."""

    def row(self, index: int) -> TokenizedUtterance:
        """Return a row, counted from 0 without failures."""

    def close(self) -> None:
        """Close its files."""


@dataclass(frozen=True)
class ShardFormat:
    """A format of shards.

    writer:    begins a shard at a path, of some settings, with columns (names and types of what rows carry) and the
               entropy model for .vqc
    reader:    opens the shard at a path, of a plan, with the entropy model and what gives the lines of its index
    suffix:    of a shard that is a file; "" where it is a folder of a file per utterance
    holds_vqc: whether an utterance is always a .vqc in it, entropy-coded where the model can
    manifest:  name of a file in each shard whose lines make one for all; None without
    uncoded:   why an utterance cannot be asked to be a .vqc in it; "" where it can
    require:   raises ConfigError where it cannot be written here
    """

    writer: Callable[[Path, Settings, Mapping[str, ColumnType], EntropyModel | None], ShardWriter]
    reader: Callable[[Path, Plan, EntropyModel | None, Callable[[], list[bytes]]], ShardReader]
    suffix: str = ""
    holds_vqc: bool = False
    manifest: str | None = None
    uncoded: str = ""
    require: Callable[[], object] = lambda: None

    def check(self, entropy_coded: bool) -> None:
        """Raise ConfigError where it cannot be written here, or not `entropy_coded`."""
        if entropy_coded and self.uncoded:
            raise ConfigError(self.uncoded)
        self.require()


def facts_of(row: TokenizedUtterance, columns: Mapping[str, ColumnType]) -> dict[str, Any]:
    """Return everything of a row but its codes, for JSON."""
    return {
        "id": row.id,
        "num_frames": row.num_frames,
        "samples": row.samples,
        "original_rate_hz": row.original_rate_hz,
        "source": row.source,
        **{name: as_type(row.columns.get(name), kind) for name, kind in columns.items()},
    }


def as_type(value: ColumnValue, kind: ColumnType) -> ColumnValue:
    """Return `value` as a column of `kind` holds it: a column of mixed types is text."""
    if value is None:
        return None
    if kind == "string":
        return value if isinstance(value, str) else json.dumps(value)
    return float(value) if kind == "float64" else value


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


def utterance_of(facts: Mapping[str, Any], codes: NDArray[np.uint16], plan: Plan) -> TokenizedUtterance:
    """Make a row of its parts, once they agree. Raises TokensError otherwise."""
    utterance_id, settings = facts["id"], plan.settings
    shape = (settings.num_codebooks, facts["num_frames"])
    if codes.shape != shape:
        raise TokensError(f"{utterance_id!r} has codes {list(codes.shape)}, not {list(shape)}")
    if codes.size and int(codes.max()) >= settings.codebook_size:
        raise TokensError(f"{utterance_id!r} has a code {codes.max()}, not in 0..{settings.codebook_size - 1}")
    columns = {name: facts.get(name) for name in plan.columns}
    samples, rate_hz = int(facts["samples"]), int(facts["original_rate_hz"])
    return TokenizedUtterance(utterance_id, codes, samples, rate_hz, facts["source"], columns)
