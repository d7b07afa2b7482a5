"""Which formats of shards there are: one line each."""

FORMATS: dict[str, str] = {
    "parquet": "vqcodec.tokens.formats.parquet:PARQUET",
    "webdataset": "vqcodec.tokens.formats.webdataset:WEBDATASET",
    "npy": "vqcodec.tokens.formats.folder:NPY",
    "vqc": "vqcodec.tokens.formats.folder:VQC",
    "shar": "vqcodec.tokens.formats.shar:SHAR",
}
"""Where each format is, by the name that --format and plan.json say; the first is the default."""

DEFAULT_FORMAT = next(iter(FORMATS))
