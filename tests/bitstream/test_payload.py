import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqcodec.bitstream.payload import layer_bytes, pack_codes, unpack_codes
from vqcodec.errors import BitstreamError

shapes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 40), st.integers(1, 16), st.integers(0, 99))


def random_codes(shape):
    channels, layers, frames, bits, seed = shape
    codes = np.random.default_rng(seed).integers(0, 2**bits, (channels, layers, frames))
    return codes.astype(np.uint16), bits


@given(shapes)
def test_codes_come_back_and_fewer_layers_are_a_prefix(shape):
    codes, bits = random_codes(shape)
    channels, layers, frames = codes.shape
    payload = pack_codes(codes, bits)
    assert len(payload) == layers * layer_bytes(channels * frames, bits)
    for depth in range(1, layers + 1):
        cut = payload[: depth * layer_bytes(channels * frames, bits)]
        back = unpack_codes(cut, bits, channels=channels, num_codebooks=depth, frames=frames)
        assert np.array_equal(back, codes[:, :depth])


@given(shapes)
def test_a_layer_is_its_codes_written_as_one_binary_number(shape):
    codes, bits = random_codes(shape)
    channels, layers, frames = codes.shape
    size = layer_bytes(channels * frames, bits)
    payload = pack_codes(codes, bits)
    for k in range(layers):
        text = "".join(f"{code:0{bits}b}" for channel in codes for code in channel[k]).ljust(8 * size, "0")
        assert payload[k * size : (k + 1) * size] == int(text, 2).to_bytes(size, "big")


def test_bits_that_fill_up_a_layer_must_be_zero():
    payload = bytes([0, 0b00111111])
    with pytest.raises(BitstreamError, match="not zero"):
        unpack_codes(payload, 10, channels=1, num_codebooks=1, frames=1)
