"""Codes of one chunk <-> its payload, fixed-width or entropy-coded, layer by layer (see `spec`)."""

import numpy as np

from vqcodec.arrays import StoredCodes
from vqcodec.bitstream import spec
from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.errors import BitstreamError, ModelError
from vqcodec.frames import ceil_div


def layer_bytes(codes_per_layer: int, bits: int) -> int:
    """Count the bytes of a fixed-width layer: ceil(codes_per_layer * bits / 8); codes_per_layer = channels * frames."""
    return ceil_div(codes_per_layer * bits, 8)


def pack_codes(codes: StoredCodes, bits: int, entropy: EntropyModel | None = None) -> tuple[int, bytes]:
    """Return the coding and the payload of codes uint16 `[C, K, F]`, each below 2 ** bits.

    The coding is `spec.CODING_ENTROPY` where `entropy` makes the chunk smaller, else `spec.CODING_FIXED`.
    """
    fixed = _pack_fixed(codes, bits)
    if entropy is not None:
        # At equal length the fixed-width layer, which min prefers as the first: readers tell it by its length.
        layers = [
            min(layer, entropy.encode_layer(codes[:, index], codes[:, :index]), key=len)
            if index < entropy.num_layers
            else layer
            for index, layer in enumerate(fixed)
        ]
        payload = join_layers(layers, len(fixed[0]))
        if len(payload) + spec.SIZE_BYTES < sum(map(len, fixed)):
            return spec.CODING_ENTROPY, payload
    return spec.CODING_FIXED, b"".join(fixed)


def unpack_codes(
    layers: list[bytes],
    bits: int,
    *,
    channels: int,
    frames: int,
    until: int | None = None,
    entropy: EntropyModel | None = None,
) -> StoredCodes:
    """Return the codes uint16 `[C, len(layers), F]` of the first layers of a payload, from `split_layers`.

    From frame `until` on (None: nowhere) the codes may be zeros: of the last channel of an entropy-coded layer no more
    is decoded than that, and the layers above, ask for. Raises BitstreamError if they are not what a writer makes,
    ModelError if the layers need an entropy model and `entropy` is none of theirs.
    """
    size = layer_bytes(channels * frames, bits)
    codes = np.zeros((channels, len(layers), frames), np.uint16)
    coded = [index for index, layer in enumerate(layers) if len(layer) != size]
    if not coded:
        needed: list[int] = []
    elif entropy is None or coded[-1] >= entropy.num_layers or entropy.codebook_size != 1 << bits:
        raise ModelError("the .vqc is entropy-coded with tables that this model does not have")
    else:
        needed = entropy.frames_needed(coded[-1] + 1, frames if until is None else min(until, frames))
    for index, layer in enumerate(layers):
        if index in coded:
            assert entropy is not None
            codes[:, index] = entropy.decode_layer(layer, codes[:, :index], until=needed[index])
        else:
            codes[:, index] = _unpack_fixed(layer, bits, channels=channels, frames=frames)
    return codes


def join_layers(layers: list[bytes], fixed_bytes: int) -> bytes:
    """Return an entropy-coded payload: what each layer saves of its `fixed_bytes`, then the layers."""
    return b"".join(_varint(fixed_bytes - len(layer)) for layer in layers) + b"".join(layers)


def split_layers(payload: bytes, coding: int, num_codebooks: int, fixed_bytes: int) -> list[bytes]:
    """Return layers of a payload; a fixed-width one has `fixed_bytes` bytes. Raises BitstreamError if they misfit."""
    sizes, position = [fixed_bytes] * num_codebooks, 0
    if coding == spec.CODING_ENTROPY:
        for index in range(num_codebooks):
            saved, position = _read_varint(payload, position)
            sizes[index] -= saved
    if min(sizes) < 0 or position + sum(sizes) != len(payload):
        raise BitstreamError("the layers of a chunk do not add up to its size")
    layers = []
    for size in sizes:
        layers.append(payload[position : position + size])
        position += size
    return layers


def _pack_fixed(codes: StoredCodes, bits: int) -> list[bytes]:
    """One byte string per codebook."""
    channels, num_codebooks, frames = codes.shape
    by_layer = codes.transpose(1, 0, 2).reshape(num_codebooks, channels * frames)
    code_bits = np.empty((*by_layer.shape, bits), np.uint8)
    for bit in range(bits):
        code_bits[:, :, bit] = by_layer >> (bits - 1 - bit) & 1
    return [layer.tobytes() for layer in np.packbits(code_bits.reshape(num_codebooks, -1), axis=1)]


def _unpack_fixed(layer: bytes, bits: int, *, channels: int, frames: int) -> StoredCodes:
    """Codes [C, F] of a fixed-width layer."""
    all_bits = np.unpackbits(np.frombuffer(layer, np.uint8))
    used = channels * frames * bits
    if all_bits[used:].any():
        raise BitstreamError("a layer of codes ends in bits that are not zero")
    code_bits = all_bits[:used].reshape(-1, bits)
    codes = np.zeros(len(code_bits), np.uint16)
    for bit in range(bits):
        codes <<= 1
        codes |= code_bits[:, bit]
    return codes.reshape(channels, frames)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the high bit says that another byte follows (LEB128)."""
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at `position`, and the position after it. Raises BitstreamError for none of the shortest form."""
    value = 0
    for shift in range(0, 7 * spec.MAX_VARINT_BYTES, 7):
        byte = data[position : position + 1]
        position += 1
        value |= int.from_bytes(byte) << shift & 0x7F << shift
        if byte and byte[0] < 0x80 and (byte[0] > 0 or shift == 0):
            return value, position
    raise BitstreamError("a chunk has a layer without a size")
