"""EnCodec's own files, .ecdc, as encodec/compress.py and encodec/binary.py of facebookresearch/encodec write them.

    bytes  field, integers big-endian
    4      magic "ECDC"
    1      version, 0
    4      n
    n      JSON: "m" the model's name, "al" samples at the model's rate, "nc" codebooks, "lm" coded by a language model
    ..     codes, for frame 0, 1 .. for codebook 0, 1 .., 10 bits each, least significant bit first, without gaps

Only encodec_24khz without its language model: its file is one segment and has no scales.
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.errors import BitstreamError, TruncatedError, VersionError
from vqcodec.files.foreign.codes import ForeignCodes, ModelFacts
from vqcodec.frames import bits_per_code, ceil_div, num_frames
from vqcodec.texts import parse_object

_HEAD = struct.Struct("!4sBI")
_MAGIC = b"ECDC"
_MAX_METADATA_BYTES = 1 << 16
_MODEL = ModelFacts("encodec_24khz", sample_rate_hz=24000, hop_length=320, codebook_size=1024)
_MAX_CODEBOOKS = 32
_CODES_AT_ONCE = 1 << 20
"""A multiple of 8, so that a run of so many codes ends on a whole byte."""


def parse_ecdc(data: bytes) -> ForeignCodes:
    """Return the codes of an .ecdc, one channel.

    Raises BitstreamError for other bytes and for what a .vqc cannot hold, TruncatedError, and VersionError.
    """
    if not data.startswith(_MAGIC[: len(data)]):
        raise BitstreamError(f"not an .ecdc file (it starts with {data[:4]!r})")
    if len(data) < _HEAD.size:
        raise TruncatedError(f"the .ecdc ends inside its header, after {len(data)} bytes")
    _, version, metadata_bytes = _HEAD.unpack_from(data)
    if version != 0:
        raise VersionError(f".ecdc version {version} is not known here, only version 0")
    if metadata_bytes > _MAX_METADATA_BYTES:
        raise BitstreamError(f"the .ecdc claims {metadata_bytes} bytes of metadata; it is damaged")
    codes_at = _HEAD.size + metadata_bytes
    if len(data) < codes_at:
        raise TruncatedError(f"the .ecdc ends inside its metadata, after {len(data)} bytes")
    samples, num_codebooks = _checked(_metadata(data[_HEAD.size : codes_at]))
    frames = num_frames(samples, _MODEL.hop_length)
    codes = _unpacked(data, codes_at, frames * num_codebooks)
    return ForeignCodes(codes.reshape(frames, num_codebooks).T[None], samples, _MODEL.sample_rate_hz, _MODEL)


def _metadata(text: bytes) -> dict[str, Any]:
    try:
        return parse_object(text)
    except ValueError:
        raise BitstreamError("the metadata of the .ecdc is no JSON object; it is damaged") from None


def _checked(metadata: dict[str, Any]) -> tuple[int, int]:
    """Samples and codebooks. Raises BitstreamError for metadata whose codes cannot be taken over."""
    model, samples, num_codebooks = (metadata.get(key) for key in ("m", "al", "nc"))
    if model == "encodec_48khz":
        raise BitstreamError(
            "encodec_48khz codes overlapping segments with a scale each, which fixed frames cannot hold; "
            "decode it with encodec and encode the audio again"
        )
    if model != _MODEL.name:
        shown = repr(model[:60]) if isinstance(model, str) else "without a name"
        raise BitstreamError(f"made by the model {shown}; only {_MODEL.name} is known here")
    if metadata.get("lm") is not False:
        raise BitstreamError(
            "its codes are compressed by EnCodec's language model, which only encodec can undo; "
            "decode it with encodec and write it again without --lm"
        )
    if type(samples) is not int or samples < 0:
        raise BitstreamError('"al" in the metadata of the .ecdc is no length; it is damaged')
    if type(num_codebooks) is not int or not 1 <= num_codebooks <= _MAX_CODEBOOKS:
        raise BitstreamError(f'"nc" in the metadata of the .ecdc is not in 1..{_MAX_CODEBOOKS}; it is damaged')
    return samples, num_codebooks


def _unpacked(data: bytes, start: int, count: int) -> NDArray[np.uint16]:
    """`count` codes, which must be all that follows `start`."""
    bits = bits_per_code(_MODEL.codebook_size)
    needed, present = ceil_div(count * bits, 8), len(data) - start
    if present < needed:
        raise TruncatedError(f"the .ecdc has {present} bytes of codes, its metadata ask for {needed}")
    if present > needed:
        raise BitstreamError(f"{present - needed} bytes follow the codes of the .ecdc; it is damaged")
    packed = np.frombuffer(data, np.uint8, offset=start)
    spare_bits = 8 * needed - count * bits
    if spare_bits and int(packed[-1]) >> (8 - spare_bits):
        raise BitstreamError("the last byte of the .ecdc has bits behind the last code; it is damaged")
    codes = np.empty(count, np.uint16)
    weights = (1 << np.arange(bits)).astype(np.uint16)
    for first in range(0, count, _CODES_AT_ONCE):
        last = min(count, first + _CODES_AT_ONCE)
        part = packed[first * bits // 8 : ceil_div(last * bits, 8)]
        bits_of_codes = np.unpackbits(part, bitorder="little", count=(last - first) * bits)
        codes[first:last] = bits_of_codes.reshape(-1, bits) @ weights
    return codes
