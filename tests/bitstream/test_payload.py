import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqcodec.bitstream import spec
from vqcodec.bitstream.payload import join_layers, layer_bytes, pack_codes, split_layers, unpack_codes
from vqcodec.errors import BitstreamError, ModelError

shapes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 40), st.integers(1, 16), st.integers(0, 99))


def random_codes(shape):
    channels, layers, frames, bits, seed = shape
    codes = np.random.default_rng(seed).integers(0, 2**bits, (channels, layers, frames))
    return codes.astype(np.uint16), bits


@given(shapes)
def test_codes_come_back_and_fewer_layers_are_a_prefix(shape):
    codes, bits = random_codes(shape)
    channels, num_codebooks, frames = codes.shape
    coding, payload = pack_codes(codes, bits)
    size = layer_bytes(channels * frames, bits)
    assert (coding, len(payload)) == (spec.CODING_FIXED, num_codebooks * size)
    layers = split_layers(payload, coding, num_codebooks, size)
    for depth in range(1, num_codebooks + 1):
        assert b"".join(layers[:depth]) == payload[: depth * size]
        assert np.array_equal(unpack_codes(layers[:depth], bits, channels=channels, frames=frames), codes[:, :depth])


@given(shapes)
def test_a_layer_is_its_codes_written_as_one_binary_number(shape):
    codes, bits = random_codes(shape)
    channels, layers, frames = codes.shape
    size = layer_bytes(channels * frames, bits)
    _, payload = pack_codes(codes, bits)
    for k in range(layers):
        text = "".join(f"{code:0{bits}b}" for channel in codes for code in channel[k]).ljust(8 * size, "0")
        assert payload[k * size : (k + 1) * size] == int(text, 2).to_bytes(size, "big")


def test_bits_that_fill_up_a_layer_must_be_zero():
    with pytest.raises(BitstreamError, match="not zero"):
        unpack_codes([bytes([0, 0b00111111])], 10, channels=1, frames=1)


@given(st.lists(st.integers(0, 40_000), min_size=1, max_size=5))
def test_layers_of_any_size_come_apart_again(saved):
    layers = [bytes([number + 1]) * (40_000 - less) for number, less in enumerate(saved)]
    assert split_layers(join_layers(layers, 40_000), spec.CODING_ENTROPY, len(layers), 40_000) == layers


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x80", b"\x80\x00" + bytes(10), b"\xff\xff\xff\x00", b"\x0b", b"\x01" + bytes(10), b"\x01" + bytes(8)],
    ids=["nothing", "half a size", "needless byte", "four bytes", "too much saved", "too long", "too short"],
)
def test_sizes_that_cannot_be_are_refused(payload):
    with pytest.raises(BitstreamError):
        split_layers(payload, spec.CODING_ENTROPY, 1, 10)


def test_an_entropy_coded_layer_without_its_model_is_refused():
    with pytest.raises(ModelError, match="tables"):
        unpack_codes([b"short"], 10, channels=1, frames=10)


def test_a_layer_that_entropy_coding_makes_no_smaller_is_fixed_width(entropy):
    """Readers tell the two by length: at equal length only the fixed-width layer will do."""
    ties = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        codes = np.stack([random.random(40) ** 6 * 32, random.random(40) ** 2 * 32])[None].astype(np.uint16)
        fixed_bytes = layer_bytes(40, 5)
        coding, payload = pack_codes(codes, 5, entropy)
        layers = split_layers(payload, coding, 2, fixed_bytes)
        assert np.array_equal(unpack_codes(layers, 5, channels=1, frames=40, entropy=entropy), codes)
        equal = len(entropy.encode_layer(codes[:, 1], codes[:, :1])) == fixed_bytes
        ties += equal and coding == spec.CODING_ENTROPY
    assert ties > 0
