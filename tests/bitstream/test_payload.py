import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqcodec.bitstream import Header, VqcWriter, spec
from vqcodec.bitstream.payload import (
    join_layers,
    join_varied,
    layer_bytes,
    pack_codes,
    pack_varied,
    split_layers,
    split_varied,
    unpack_codes,
    unpack_varied,
)
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


def varied_codes(shape, size):
    """Codes below `size`, of depths that are held for some frames."""
    channels, layers, frames, _, seed = shape
    random = np.random.default_rng(seed)
    codes = (random.random((channels, layers, frames)) ** 6 * size).astype(np.int32)
    depths = np.repeat(random.integers(0, layers + 1, (channels, 1, frames)), 4, axis=2)[:, :, :frames]
    codes[np.arange(layers)[:, None] >= depths] = -1
    return codes


@given(shapes, st.booleans(), st.integers(0, 40))
def test_codes_of_varied_depth_come_back_and_fewer_layers_are_a_prefix(entropy, shape, modelled, until):
    bits, model = (5, entropy) if modelled else (shape[3], None)
    codes = varied_codes(shape, 1 << bits)
    channels, num_codebooks, frames = codes.shape
    layers = split_varied(pack_varied(codes, bits, model), num_codebooks)
    assert model is None or any(layer.is_modelled for layer in layers) or codes.size < 40
    for depth in range(1, num_codebooks + 1):
        size = {"channels": channels, "frames": frames, "entropy": model}
        assert np.array_equal(unpack_varied(layers[:depth], bits, **size), codes[:, :depth])
        got = unpack_varied(layers[:depth], bits, **size, until=until)
        assert np.array_equal(got[:, :, :until], codes[:, :depth, :until])


def test_layers_that_no_frame_reaches_have_no_bytes_and_flags_hardly_any():
    codes = np.full((1, 12, 256), -1, np.int32)
    codes[:, 0] = 7
    first, second, *others = split_varied(pack_varied(codes, 10), 12)
    assert not any(layer.data for layer in others)
    assert len(first.data) + len(second.data) <= 320 + 8


def test_the_deepest_leaps_stay_within_the_bound_of_the_format():
    """Frames that do what the weights of their flags least expect, in codes of one bit."""
    for layers in (1, 12):
        header = Header(b"test", 16000, 320, 16000, 1, None, layers, 2)
        codes = np.ones((1, layers, 900), np.int32)
        codes[:, :, ::30] = -1
        assert len(pack_varied(codes, 1)) <= header.varied_bytes(900)
        codes[:, layers // 2 :, ::2] = -1
        assert len(pack_varied(codes, 1)) <= header.varied_bytes(900)


@pytest.mark.parametrize("payload", [b"", b"\x80", b"\x80\x00", b"\xff\xff\xff\x00", b"\x04a", b"\x02ab"])
def test_sizes_of_varied_layers_that_cannot_be_are_refused(payload):
    with pytest.raises(BitstreamError):
        split_varied(payload, 1)


def test_a_modelled_layer_without_its_model_is_refused(entropy):
    layers = split_varied(pack_varied(varied_codes((1, 2, 60, 5, 0), 32), 5, entropy), 2)
    assert layers[0].is_modelled
    assert join_varied(layers) == pack_varied(varied_codes((1, 2, 60, 5, 0), 32), 5, entropy)
    with pytest.raises(ModelError, match="tables"):
        unpack_varied(layers, 5, channels=1, frames=60)


def test_a_writer_takes_depths_only_where_it_is_told_to_and_only_from_above():
    header = Header(b"test", 16000, 320, 16000, 1, None, 3, 1024)
    cut = np.array([[[5, 5, -1], [5, -1, -1], [-1, -1, -1]]])
    with pytest.raises(ValueError, match="0 to 1023"):
        VqcWriter(io.BytesIO(), header).write(cut)
    writer = VqcWriter(io.BytesIO(), header, varied=True)
    with pytest.raises(ValueError, match="above one"):
        writer.write(cut[:, ::-1])
    with pytest.raises(ValueError, match="-1 to 1023"):
        writer.write(cut - 1)
    writer.write(cut)


def test_chunks_where_all_frames_have_all_layers_are_as_without_depths(entropy):
    header = Header(b"test", 16000, 320, 16000, 1, 19200, 2, 32)
    codes = (np.random.default_rng(0).random((1, 2, 60)) ** 6 * 32).astype(int)
    files = [io.BytesIO(), io.BytesIO()]
    for file, varied in zip(files, (False, True), strict=True):
        writer = VqcWriter(file, header, entropy=entropy, varied=varied)
        writer.write(codes)
        writer.close()
    assert files[0].getvalue() == files[1].getvalue()
