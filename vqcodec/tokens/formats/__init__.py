"""The formats of shards: one file each, with its writer and its reader, and one line in the table of `table.py`."""

from importlib import import_module
from typing import TYPE_CHECKING

from vqcodec.tokens.formats.table import DEFAULT_FORMAT, FORMATS

if TYPE_CHECKING:
    from vqcodec.tokens.formats.shard_format import ShardFormat

__all__ = ["DEFAULT_FORMAT", "FORMATS", "format_of"]


def format_of(name: str) -> "ShardFormat":
    """Return the format called `name`, a key of `FORMATS`."""
    module, _, attribute = FORMATS[name].partition(":")
    shard_format: ShardFormat = getattr(import_module(module), attribute)
    return shard_format
