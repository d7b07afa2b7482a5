import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqcodec.bitstream import Header, VqcReader, VqcWriter, spec
from vqcodec.bitstream.payload import (
    VariedLayer,
    join_layers,
    join_varied,
    layer_bytes,
    pack_codes,
    pack_varied,
    split_layers,
    split_varied,
    unpack_codes,
    unpack_varied,
    varied_layer_bytes,
)
from vqcodec.bitstream.records import checksum, chunk_head
from vqcodec.bitstream.thin import thin
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
    layers = split_varied(pack_varied(codes, bits, model), num_codebooks, varied_layer_bytes(channels * frames, bits))
    assert model is None or any(layer.is_modelled for layer in layers) or codes.size < 40
    for depth in range(1, num_codebooks + 1):
        size = {"channels": channels, "frames": frames, "entropy": model}
        assert np.array_equal(unpack_varied(layers[:depth], bits, **size), codes[:, :depth])
        got = unpack_varied(layers[:depth], bits, **size, until=until)
        assert np.array_equal(got[:, :, :until], codes[:, :depth, :until])


def test_layers_that_no_frame_reaches_have_no_bytes_and_flags_hardly_any():
    codes = np.full((1, 12, 256), -1, np.int32)
    codes[:, 0] = 7
    first, second, *others = split_varied(pack_varied(codes, 10), 12, 1000)
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


@pytest.mark.parametrize(
    "payload", [b"", b"\x80", b"\x80\x00", b"\xff\xff\xff\x00", b"\x04a", b"\x02ab", b"\x16" + bytes(11)]
)
def test_sizes_of_varied_layers_that_cannot_be_are_refused(payload):
    with pytest.raises(BitstreamError):
        split_varied(payload, 1, 10)


def test_a_modelled_layer_without_its_model_is_refused(entropy):
    layers = split_varied(pack_varied(varied_codes((1, 2, 60, 5, 0), 32), 5, entropy), 2, 200)
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


def test_a_thinned_file_of_layers_as_long_as_can_be_is_read():
    """What thinning writes is within the bounds that a reader has: each layer has one of its own."""
    header = Header(b"test", 16000, 320, 16000, 1, 32000, 12, 1024)
    for size in (varied_layer_bytes(100, 10), varied_layer_bytes(100, 10) + 1):
        layers = [VariedLayer(bytes(size), is_modelled=False), *[VariedLayer(b"", is_modelled=False)] * 11]
        body = join_varied(layers)
        head = chunk_head(spec.CODING_DEPTHS, 100, len(body), is_last=False)
        data = header.to_bytes() + head.to_bytes() + body + checksum(head, body, position=0)
        thinned = io.BytesIO()
        if size == varied_layer_bytes(100, 10):
            thin(VqcReader(io.BytesIO(data)), thinned, 1)
            wanted = [chunk.codes[:, :1] for chunk in VqcReader(io.BytesIO(data)).chunks()]
            got = [chunk.codes for chunk in VqcReader(io.BytesIO(thinned.getvalue())).chunks()]
            assert np.array_equal(got, wanted)
        else:
            with pytest.raises(BitstreamError, match="over"):
                thin(VqcReader(io.BytesIO(data)), thinned, 1)


def test_a_chunk_of_few_bytes_tells_of_a_million_codes_at_most():
    """More than that are two chunks for a writer, and no chunk for a reader."""
    header = Header(b"test", 16000, 320, 16000, 127, None, 1, 2)
    assert header.varied_bytes(spec.MAX_VARIED_CODES // 127) > 0
    body = bytes(1)
    head = chunk_head(spec.CODING_DEPTHS, spec.MAX_VARIED_CODES // 127 + 1, len(body), is_last=False)
    data = header.to_bytes() + head.to_bytes() + body + checksum(head, body, position=0)
    with pytest.raises(BitstreamError, match="cannot be"):
        list(VqcReader(io.BytesIO(data)).chunks())
    frames = spec.MAX_VARIED_CODES // 127 + 2
    file = io.BytesIO()
    writer = VqcWriter(file, header, frames_per_chunk=frames, varied=True)
    writer.write(np.full((127, 1, frames), -1))
    writer.close()
    reader = VqcReader(io.BytesIO(file.getvalue()))
    assert (reader.scan().chunks, reader.scan().frames) == (2, frames)
