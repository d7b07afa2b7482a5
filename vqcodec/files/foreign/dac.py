"""Files of descript-audio-codec, .dac, as DACFile.save in dac/model/base.py of descriptinc/descript-audio-codec writes
them: a .npy whose one object is a pickled dict, "codes" uint16 [C, K, F] and "metadata".

Only files in one piece. In chunks, DAC codes without padding: a chunk of 5 s at 44.1 kHz has 416 frames of 512 samples
but stands for 204650 samples, 399.7 frames, so that the frames of its chunks lie on no common grid.
"""

import math
from typing import Any

from vqcodec.errors import BitstreamError, VersionError
from vqcodec.files.foreign.codes import ForeignCodes
from vqcodec.files.foreign.npy import read_npy_header
from vqcodec.files.foreign.pickled import array_of, object_of, read_pickle, scalar_of

_VERSION = "1.0.0"
_METADATA = {"input_db", "original_length", "sample_rate", "chunk_length", "channels", "padding", "dac_version"}


def parse_dac(data: bytes) -> ForeignCodes:
    """Return the codes of a .dac. Its tag `input_db` is the loudness before DAC normalized it to -16 dB.

    Raises BitstreamError for other bytes, for anything that such a file does not hold, and for codes of chunks.
    """
    header = read_npy_header(data)
    if header.dtype != "|O" or header.shape:
        raise BitstreamError("not a .dac file (an array of numpy, but not of the kind that DAC saves)")
    content = object_of(read_pickle(data[header.data_at :]))
    if type(content) is not dict or content.keys() != {"codes", "metadata"} or type(content["metadata"]) is not dict:
        raise BitstreamError('not a .dac file (it does not hold "codes" and "metadata" alone)')
    metadata = content["metadata"]
    _check_version(metadata)
    if metadata.keys() != _METADATA:
        raise BitstreamError("its metadata are not those that DAC saves")
    codes = array_of(content["codes"])
    channels = _count(metadata, "channels")
    if codes.dtype.kind not in "iu" or codes.ndim != 3 or codes.shape[0] != channels:
        raise BitstreamError(f"its codes are {codes.dtype} {list(codes.shape)}, not integers [{channels}, K, F]")
    if metadata["padding"] is not True:
        raise BitstreamError(
            "DAC coded it in chunks, whose frames overlap and lie on no common grid; "
            "compress it again with a win_duration longer than the audio"
        )
    return ForeignCodes(
        codes,
        samples=_count(metadata, "original_length"),
        rate_hz=_count(metadata, "sample_rate"),
        is_length_floored=True,
        tags=_loudness(scalar_of(metadata["input_db"])),
    )


def _loudness(decibels: Any) -> dict[str, str]:
    """The tag of the loudness; none of silence, which has -inf."""
    return {"input_db": f"{decibels:.2f}"} if math.isfinite(decibels) else {}


def _check_version(metadata: dict[str, Any]) -> None:
    version = metadata.get("dac_version")
    if version != _VERSION:
        shown = repr(version[:20]) if type(version) is str else "none"
        raise VersionError(f"version {shown} of .dac is not known here, only {_VERSION!r}")


def _count(metadata: dict[str, Any], key: str) -> int:
    """A number of the metadata that cannot be negative or broken."""
    value = scalar_of(metadata[key])
    if type(value) is not int or value < 0:
        raise BitstreamError(f"{key!r} in its metadata is no count; it is damaged")
    return value
