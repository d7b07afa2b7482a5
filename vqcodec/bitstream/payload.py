"""Codes of one chunk <-> its fixed-width payload, layer by layer (see `spec`)."""

import numpy as np
from numpy.typing import NDArray

from vqcodec.errors import BitstreamError
from vqcodec.frames import ceil_div


def layer_bytes(codes_per_layer: int, bits: int) -> int:
    """Bytes of one layer: ceil(codes_per_layer * bits / 8), with codes_per_layer = channels * frames."""
    return ceil_div(codes_per_layer * bits, 8)


def pack_codes(codes: NDArray[np.uint16], bits: int) -> bytes:
    """Pack codes uint16 `[C, K, F]`, each below 2 ** bits, into K layers of C * F codes."""
    channels, num_codebooks, frames = codes.shape
    by_layer = codes.transpose(1, 0, 2).reshape(num_codebooks, channels * frames)
    code_bits = np.empty((*by_layer.shape, bits), np.uint8)
    for place in range(bits):
        code_bits[:, :, place] = by_layer >> (bits - 1 - place) & 1
    return np.packbits(code_bits.reshape(num_codebooks, -1), axis=1).tobytes()


def unpack_codes(payload: bytes, bits: int, *, channels: int, num_codebooks: int, frames: int) -> NDArray[np.uint16]:
    """Codes uint16 `[C, num_codebooks, F]` of the first `num_codebooks` layers of `payload`.

    Raises BitstreamError if bits that fill up a layer are not zero, ValueError if `payload` is too short.
    """
    codes_per_layer = channels * frames
    size = layer_bytes(codes_per_layer, bits)
    layers = np.frombuffer(payload, np.uint8, count=num_codebooks * size).reshape(num_codebooks, size)
    all_bits = np.unpackbits(layers, axis=1)
    if all_bits[:, codes_per_layer * bits :].any():
        raise BitstreamError("a layer of codes ends in bits that are not zero")
    code_bits = all_bits[:, : codes_per_layer * bits].reshape(num_codebooks, codes_per_layer, bits)
    by_layer = np.zeros((num_codebooks, codes_per_layer), np.uint16)
    for place in range(bits):
        by_layer <<= 1
        by_layer |= code_bits[:, :, place]
    return by_layer.reshape(num_codebooks, channels, frames).transpose(1, 0, 2).copy()
