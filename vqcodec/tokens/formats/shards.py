"""Shards on disk: written row by row, they appear all at once; read, any row without the rest of its shard.

What a shard looks like is for its format to say (`FORMATS`). In names of files and members "." of an id is %2E. The
same rows give the same bytes.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.errors import TokensError
from vqcodec.output import output_errors, sync
from vqcodec.texts import MOST_LIST_BYTES, read_limited
from vqcodec.tokens.formats import format_of
from vqcodec.tokens.formats.shard_format import ShardReader, ShardWriter, reading
from vqcodec.tokens.index import index_path, shard_name, shard_path
from vqcodec.tokens.plan import ColumnType, Plan, Settings
from vqcodec.tokens.utterances import TokenizedUtterance


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
            writer = format_of(settings.format).writer(temporary, settings, columns, entropy)
            yield writer
            writer.close()
            if target.is_dir():  # finished but for its index, by a process that was then killed
                shutil.rmtree(target)
            _sync_all(temporary)
            os.replace(temporary, target)
            sync(target.parent)
        except BaseException:
            if writer is not None:
                with contextlib.suppress(OSError):
                    writer.discard()
            raise
        finally:
            _remove(temporary)


def _sync_all(path: Path) -> None:
    """Have a shard written to the disk, a file or a folder of files, before it gets its name."""
    for file in path.rglob("*") if path.is_dir() else ():
        sync(file)
    sync(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def open_shard(plan: Plan, shard: int, entropy: EntropyModel | None) -> ShardReader:
    """Open a shard that is finished. Raises TokensError where it is missing or damaged."""
    path = shard_path(plan.folder, shard, plan.settings.format)
    if not path.exists():
        raise TokensError(f"{path}: the shard is missing; vqcodec tokenize --resume makes it again")
    return format_of(plan.settings.format).reader(path, plan, entropy, lambda: row_lines(plan, shard))


def read_rows(
    plan: Plan, shard: int, entropy: EntropyModel | None, start: int = 0, stop: int | None = None
) -> Iterator[TokenizedUtterance]:
    """Yield the rows `start` to before `stop` (None: all) of a shard, in order."""
    if stop is None:
        stop = len(row_lines(plan, shard))
    with contextlib.closing(open_shard(plan, shard, entropy)) as reader:
        for index in range(start, stop):
            yield reader.row(index)


def row_lines(plan: Plan, shard: int) -> list[bytes]:
    """Return lines of a shard's index that stand for rows, not parsed: a thousand take a tenth of a millisecond."""
    path = index_path(plan.folder, shard)
    with reading(path):
        # No failure has the key, and inside a text the quotes would be escaped.
        return [line for line in read_limited(path, MOST_LIST_BYTES).split(b"\n") if b'"num_frames":' in line]
