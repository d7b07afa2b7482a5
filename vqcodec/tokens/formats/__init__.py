"""The formats of shards: one file each, with its writer and its reader, and one line in the table here."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vqcodec.tokens.formats.shard_format import ShardFormat

FORMATS: dict[str, str] = {
    "parquet": "vqcodec.tokens.formats.parquet:Parquet",
    "webdataset": "vqcodec.tokens.formats.webdataset:WebDataset",
    "npy": "vqcodec.tokens.formats.folder:NpyFolder",
    "vqc": "vqcodec.tokens.formats.folder:VqcFolder",
}
"""Where each format is, by the name that --format and plan.json say; the first is the default."""

DEFAULT_FORMAT = next(iter(FORMATS))


def format_of(name: str) -> "ShardFormat":
    """Return the format called `name`, a key of `FORMATS`."""
    module, _, kind = FORMATS[name].partition(":")
    shard_format: ShardFormat = getattr(import_module(module), kind)()
    return shard_format
