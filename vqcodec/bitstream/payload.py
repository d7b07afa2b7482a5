"""Codes of one chunk <-> its payload, layer by layer: fixed-width, entropy-coded, or of varied depth (see `spec`)."""

from collections import deque
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import NO_CODE, StoredCodes
from vqcodec.bitstream import spec
from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.bitstream.rangecoder import RangeDecoder, RangeEncoder
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
    fixed = [index for index in range(len(layers)) if index not in coded]
    codes[:, fixed] = _unpack_fixed([layers[index] for index in fixed], bits, channels=channels, frames=frames)
    for index in coded:
        assert entropy is not None
        codes[:, index] = entropy.decode_layer(layers[index], codes[:, :index], until=needed[index])
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


class VariedLayer(NamedTuple):
    """The bytes of a layer of varied depth, and whether the weights of its codes are the model's."""

    data: bytes
    is_modelled: bool


def pack_varied(codes: NDArray[Any], bits: int, entropy: EntropyModel | None = None) -> bytes:
    """Return the payload of varied depth of codes `[C, K, F]`, -1 from the depth of a frame on."""
    layers = []
    for index in range(codes.shape[1]):
        layer = VariedLayer(_encode_varied(codes, index, bits, None), is_modelled=False)
        if entropy is not None and index < entropy.num_layers:
            modelled = VariedLayer(_encode_varied(codes, index, bits, entropy), is_modelled=True)
            layer = min(layer, modelled, key=lambda each: len(each.data))
        layers.append(layer)
    return join_varied(layers)


def join_varied(layers: list[VariedLayer]) -> bytes:
    """Return a payload of varied depth: what each layer is, then the layers."""
    return b"".join(_varint(2 * len(data) + is_modelled) for data, is_modelled in layers) + b"".join(
        data for data, _ in layers
    )


def varied_layer_bytes(codes_per_layer: int, bits: int) -> int:
    """Count the most bytes of a layer of varied depth; codes_per_layer = channels * frames."""
    return layer_bytes(codes_per_layer, bits + 8) + 8


def split_varied(payload: bytes, num_codebooks: int, most_bytes: int) -> list[VariedLayer]:
    """Return the layers of a payload of varied depth, each of at most `most_bytes`; raises BitstreamError otherwise."""
    sizes, position = [], 0
    for _ in range(num_codebooks):
        size, position = _read_varint(payload, position)
        if size // 2 > most_bytes:
            raise BitstreamError(f"a layer of {size // 2} bytes is over {most_bytes}, what its frames can need")
        sizes.append(size)
    layers = []
    for size in sizes:
        layers.append(VariedLayer(payload[position : position + size // 2], bool(size % 2)))
        position += size // 2
    if position != len(payload):
        raise BitstreamError("the layers of a chunk do not add up to its size")
    return layers


def unpack_varied(
    layers: list[VariedLayer],
    bits: int,
    *,
    channels: int,
    frames: int,
    until: int | None = None,
    entropy: EntropyModel | None = None,
) -> NDArray[np.int32]:
    """Return the codes int32 `[C, len(layers), F]` of the first layers of a payload, from `split_varied`.

    They are -1 from the depth of a frame on; else as `unpack_codes`, but from `until` on -1 also where there are codes.
    """
    codes = np.full((channels, len(layers), frames), NO_CODE, np.int32)
    modelled = [index for index, layer in enumerate(layers) if layer.is_modelled]
    needed = [frames if until is None else min(until, frames)] * len(layers)
    if modelled:
        if entropy is None or modelled[-1] >= entropy.num_layers or entropy.codebook_size != 1 << bits:
            raise ModelError("the .vqc is entropy-coded with tables that this model does not have")
        below = entropy.frames_needed(modelled[-1] + 1, needed[0])
        needed[: len(below)] = below
    reached = np.ones((channels, frames), bool)
    for index, (data, is_modelled) in enumerate(layers):
        coder = RangeDecoder(data)
        for channel_index, channel in enumerate(codes):
            reached[channel_index] = goes_on = _decode_flags(coder, reached[channel_index])
            end = frames if channel_index < channels - 1 else min(frames, needed[index])
            present = np.flatnonzero(goes_on[:end])
            if is_modelled:
                assert entropy is not None
                entropy.decode_channel(coder, channel[index], channel[:index], present)
            else:
                channel[index, present] = [_decode_equal(coder, 1 << bits) for _ in range(len(present))]
    return codes


class Comfort:
    """What stands in for frames without codes: one of the last frames with codes, at random, and never twice in a row.

    `start`: number of the frame at which it begins. See "Pauses" in `spec`.
    """

    def __init__(self, start: int) -> None:
        self._frames: deque[NDArray[Any]] = deque(maxlen=spec.COMFORT_FRAMES)
        self._state = start % 65536
        self._place = 0

    def add(self, frame: NDArray[Any]) -> None:
        """Take in the codes of a frame that has some."""
        self._frames.append(frame)

    def draw(self) -> NDArray[Any] | None:
        """Return the codes for the next frame without; None where no frame before it has any."""
        count = len(self._frames)
        if count > 1:
            self._state = (25173 * self._state + 13849) % 65536
            self._place += 1 + (self._state >> 8) % (count - 1)
        return self._frames[self._place % count] if count else None


def fill_pauses(codes: NDArray[Any], start_frame: int) -> NDArray[Any]:
    """Return the codes `[C, K, F]` of a whole chunk with those that stand in where a frame has none.

    They stay -1 where no frame of the channel before it, in the chunk, has any.
    """
    if codes[:, 0].min(initial=0) >= 0:
        return codes
    filled = codes.copy()
    for channel in filled:
        comfort = Comfort(start_frame)
        for frame in channel.T:
            if frame[0] >= 0:
                comfort.add(frame.copy())
            elif (drawn := comfort.draw()) is not None:
                frame[:] = drawn
    return filled


# After a frame that ends before this layer, one that ends here, and one that goes on: how likely the next goes on.
_GOES_ON_AT_FIRST = (1024, 1024, 512, 512, 3584, 3584)
_FLAG_TOTAL = 4096
_FLAG_SHIFT = 5


class _Flags:
    """The adaptive weights with which a layer of one channel says which frames go on."""

    def __init__(self, reached: NDArray[np.bool_]) -> None:
        self._weights = list(_GOES_ON_AT_FIRST)
        self._after: list[bool] = [*reached[1:].tolist(), False]
        self._before = self._context = 0

    def weight(self, frame: int) -> int:
        """Tell the weight of a yes."""
        self._context = 2 * self._before + self._after[frame]
        return self._weights[self._context]

    def learn(self, goes_on: bool) -> None:
        """Take in what the frame did that `weight` was asked for."""
        weight = self._weights[self._context]
        change = (_FLAG_TOTAL - weight) >> _FLAG_SHIFT if goes_on else -(weight >> _FLAG_SHIFT)
        self._weights[self._context] = weight + change
        self._before = 2 if goes_on else 1

    def end_before(self) -> None:
        """Take in a frame that ends before this layer."""
        self._before = 0


def _encode_varied(codes: NDArray[Any], index: int, bits: int, entropy: EntropyModel | None) -> bytes:
    """The bytes of layer `index` of codes [C, K, F], their weights from `entropy` or all the same."""
    coder = RangeEncoder()
    for channel in codes:
        layer = channel[index]
        reached = channel[index - 1] >= 0 if index else np.ones(len(layer), bool)
        flags = _Flags(reached)
        for frame, (is_reached, goes_on) in enumerate(zip(reached.tolist(), (layer >= 0).tolist(), strict=True)):
            if not is_reached:
                flags.end_before()
                continue
            weight = flags.weight(frame)
            coder.encode(*((0, weight) if goes_on else (weight, _FLAG_TOTAL - weight)), _FLAG_TOTAL)
            flags.learn(goes_on)
        if entropy is not None:
            entropy.encode_channel(coder, layer, channel[:index])
        else:
            for code in layer[layer >= 0].tolist():
                coder.encode(code, 1, 1 << bits)
    return coder.finish()


def _decode_flags(coder: RangeDecoder, reached: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the frames [F] that this layer has `reached` go on."""
    if not reached.any():
        return reached.copy()
    flags = _Flags(reached)
    all_on = []
    for frame, is_reached in enumerate(reached.tolist()):
        goes_on = False
        if is_reached:
            weight = flags.weight(frame)
            goes_on = coder.find(_FLAG_TOTAL) < weight
            coder.take(*((0, weight) if goes_on else (weight, _FLAG_TOTAL - weight)))
            flags.learn(goes_on)
        else:
            flags.end_before()
        all_on.append(goes_on)
    return np.array(all_on, bool)


def _decode_equal(coder: RangeDecoder, codebook_size: int) -> int:
    code = coder.find(codebook_size)
    coder.take(code, 1)
    return code


def _pack_fixed(codes: StoredCodes, bits: int) -> list[bytes]:
    """One byte string per codebook."""
    channels, num_codebooks, frames = codes.shape
    by_layer = codes.transpose(1, 0, 2).reshape(num_codebooks, channels * frames)
    code_bits = np.empty((*by_layer.shape, bits), np.uint8)
    for bit in range(bits):
        code_bits[:, :, bit] = by_layer >> (bits - 1 - bit) & 1
    return [layer.tobytes() for layer in np.packbits(code_bits.reshape(num_codebooks, -1), axis=1)]


def _unpack_fixed(layers: list[bytes], bits: int, *, channels: int, frames: int) -> StoredCodes:
    """Codes [C, L, F] of L fixed-width layers, all at once: a live chunk has few frames and many layers."""
    joined = np.frombuffer(b"".join(layers), np.uint8)
    all_bits = np.unpackbits(joined.reshape(len(layers), layer_bytes(channels * frames, bits)), axis=1)
    used = channels * frames * bits
    if all_bits[:, used:].any():
        raise BitstreamError("a layer of codes ends in bits that are not zero")
    code_bits = np.zeros((len(layers), channels, frames, 16), np.uint8)
    code_bits[..., 16 - bits :] = all_bits[:, :used].reshape(len(layers), channels, frames, bits)
    return np.packbits(code_bits, axis=-1).view(">u2")[..., 0].transpose(1, 0, 2)


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
