"""The formats of shards: one file each, with its writer and its reader, and one line in the table here."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vqcodec.tokens.formats.shard_format import ShardFormat

FORMATS: dict[str, str] = {
    "parquet": "vqcodec.tokens.formats.parquet:PARQUET",
    "webdataset": "vqcodec.tokens.formats.webdataset:WEBDATASET",
    "npy": "vqcodec.tokens.formats.folder:NPY",
    "vqc": "vqcodec.tokens.formats.folder:VQC",
    "shar": "vqcodec.tokens.formats.shar:SHAR",
}
"""Where each format is, by the name that --format and plan.json say; the first is the default."""

DEFAULT_FORMAT = next(iter(FORMATS))


def format_of(name: str) -> "ShardFormat":
    """Return the format called `name`, a key of `FORMATS`."""
    module, _, attribute = FORMATS[name].partition(":")
    shard_format: ShardFormat = getattr(import_module(module), attribute)
    return shard_format
