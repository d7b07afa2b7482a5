"""The entropy model: exact, smaller where it fits, and what a model of the format may not be."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.bitstream import Header, VqcReader, VqcWriter, spec
from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.bitstream.payload import layer_bytes, pack_codes, split_layers, unpack_codes
from vqcodec.bitstream.rangecoder import RangeDecoder
from vqcodec.errors import BitstreamError, ModelError


def skewed_codes(shape, seed=0, size=32):
    return (np.random.default_rng(seed).random(shape) ** 6 * size).astype(np.uint16)


@given(st.integers(1, 3), st.integers(0, 50), st.integers(0, 1), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_codes_come_back(entropy, channels, frames, number, seed):
    codes = np.random.default_rng(seed).integers(0, 32, (channels, 2, frames)).astype(np.uint16)
    data = entropy.encode_layer(codes[:, number], codes[:, :number])
    assert np.array_equal(entropy.decode_layer(data, codes[:, :number]), codes[:, number])


@pytest.mark.parametrize("channels", [1, 2])
def test_the_first_frames_alone_are_those_of_the_whole(entropy, channels):
    codes = skewed_codes((channels, 2, 60))
    coding, payload = pack_codes(codes, 5, entropy)
    assert coding == spec.CODING_ENTROPY
    layers = split_layers(payload, coding, 2, layer_bytes(channels * 60, 5))
    for until in range(62):
        got = unpack_codes(layers, 5, channels=channels, frames=60, until=until, entropy=entropy)
        assert np.array_equal(got[:, :, :until], codes[:, :, :until])


def test_no_more_is_decoded_than_the_first_frames_need(entropy, monkeypatch):
    """65,535 frames of an entropy-coded chunk may take no bytes at all."""
    decoded = []
    monkeypatch.setattr(
        RangeDecoder,
        "take",
        lambda self, start, width, take=RangeDecoder.take: (decoded.append(1), take(self, start, width)),
    )
    unpack_codes([b"", b""], 5, channels=1, frames=65535, until=5, entropy=entropy)
    assert 10 <= len(decoded) <= 10 + max(entropy.tensors["1.lags"])


def test_tables_that_lack_a_layer_are_told_before_any_is_decoded(entropy, monkeypatch):
    monkeypatch.setattr(RangeDecoder, "__init__", lambda self, data: pytest.fail("decoded"))
    with pytest.raises(ModelError, match="tables that this model does not have"):
        unpack_codes([b""] * (entropy.num_layers + 1), 5, channels=1, frames=65535, entropy=entropy)


def test_many_blocks_of_frames_are_one_stream(entropy, monkeypatch):
    codes = skewed_codes((2, 2, 100))
    whole = entropy.encode_layer(codes[:, 1], codes[:, :1])
    monkeypatch.setattr("vqcodec.bitstream.entropy._BLOCK_ELEMENTS", 7 * 32)
    assert entropy.encode_layer(codes[:, 1], codes[:, :1]) == whole
    assert np.array_equal(entropy.decode_layer(whole, codes[:, :1]), codes[:, 1])


def test_the_weights_are_those_of_plain_integers(entropy):
    """The same network in numpy's 64-bit integers: BLAS must not round, with contexts as large as they get."""
    tensors = entropy.tensors
    codes = np.random.default_rng(0).integers(0, 32, (1, 500))
    contexts = entropy._contexts(1, codes).astype(np.int64)
    x = contexts
    for part, low, high in (("hidden", 0, 255), ("narrow", -127, 127), ("levels", -(1 << 31), 1 << 31)):
        x = x @ tensors[f"1.{part}.weight"].T.astype(np.int64) + tensors[f"1.{part}.bias"]
        x = np.clip(x >> tensors[f"1.{part}.shift"], low, high)
    below = np.minimum(x.max(axis=1, keepdims=True) - x, len(tensors["decay"]) - 1)
    assert np.array_equal(entropy._weights(1, contexts), tensors["decay"][below])


def write(header, codes, entropy, **kwargs):
    file = io.BytesIO()
    writer = VqcWriter(file, header, entropy=entropy, **kwargs)
    writer.write(codes)
    writer.close()
    return file.getvalue()


@given(st.integers(1, 90), st.integers(1, 2), st.integers(1, 4), st.integers(1, 60), st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_file_is_never_larger_for_it_and_gives_the_codes_back(
    entropy, frames, channels, layers, per_chunk, known, likely
):
    header = Header(b"test", 16000, 320, 16000, channels, 320 * frames if known else None, layers, 32)
    shape = (channels, layers, frames)
    codes = skewed_codes(shape) if likely else np.random.default_rng(1).integers(0, 32, shape).astype(np.uint16)
    fixed = write(header, codes, None, frames_per_chunk=per_chunk)
    coded = write(header, codes, entropy, frames_per_chunk=per_chunk)
    assert len(coded) <= len(fixed)
    for depth in range(1, layers + 1):
        chunks = VqcReader(io.BytesIO(coded)).chunks(num_codebooks=depth, entropy=entropy)
        assert np.array_equal(np.concatenate([c.codes for c in chunks], axis=2), codes[:, :depth])


def test_a_reader_without_the_model_says_so(entropy):
    header = Header(b"test", 16000, 320, 16000, 1, 320 * 90, 2, 32)
    data = write(header, skewed_codes((1, 2, 90)), entropy)
    with pytest.raises(ModelError, match="tables"):
        list(VqcReader(io.BytesIO(data)).chunks())
    other = Header(b"test", 16000, 320, 16000, 1, 320 * 90, 2, 64)
    with pytest.raises(ValueError, match="entropy model has 32"):
        VqcWriter(io.BytesIO(), other, entropy=entropy)


def test_any_bytes_in_a_layer_give_codes_or_our_error(entropy):
    random = np.random.default_rng(0)
    lower = skewed_codes((1, 1, 40))
    for length in (0, 1, 5, 20, 25):
        for _ in range(40):
            try:
                codes = entropy.decode_layer(random.bytes(length), lower)
            except BitstreamError:
                continue
            assert codes.shape == (1, 40)
            assert codes.max() < 32


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("embedding", lambda t: t.astype(np.int16)),
        ("embedding", lambda t: t[0]),
        ("decay", lambda t: t * 0),
        ("decay", lambda t: t * 64),
        ("0.lags", lambda t: t + 1),
        ("1.hidden.shift", lambda t: t + 32),
        ("1.hidden.weight", lambda t: t[:, 1:]),
        ("1.narrow.bias", lambda t: t + (1 << 30)),
        ("1.levels.weight", lambda t: t[1:]),
        ("1.levels.bias", lambda t: None),
    ],
)
def test_a_model_that_is_none_of_the_format_is_refused(entropy, name, change):
    with pytest.raises(ModelError, match="entropy model"):
        EntropyModel(entropy.tensors | {name: change(entropy.tensors[name])})


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "3"])
def test_the_bytes_do_not_depend_on_the_number_of_threads(speech_path, codec, threads, tmp_path):
    """The bundled model's codes of real speech, written by a process with another number of BLAS threads."""
    import torch

    import vqcodec

    wave = torch.from_numpy(__import__("soundfile").read(speech_path, dtype="float32")[0])[None, None]
    codes = codec.encode(wave)
    np.save(tmp_path / "codes.npy", codes.numpy())
    script = """
import io, sys, numpy as np, vqcodec
from vqcodec.bitstream import Header, VqcWriter
codes = np.load(sys.argv[1])
file = io.BytesIO()
header = Header(b"test", 16000, 320, 16000, 1, None, codes.shape[1], 1024)
writer = VqcWriter(file, header, entropy=vqcodec.load().entropy)
writer.write(codes)
writer.close()
print(file.getvalue().hex())
"""
    variables = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    command = [sys.executable, "-c", script, str(tmp_path / "codes.npy")]
    written = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=True).stdout
    file = io.BytesIO(bytes.fromhex(written.strip()))
    chunks = list(VqcReader(file).chunks(entropy=vqcodec.load().entropy))
    assert np.array_equal(np.concatenate([c.codes for c in chunks], axis=2), codes.numpy())
    here = write(Header(b"test", 16000, 320, 16000, 1, None, codes.shape[1], 1024), codes.numpy(), codec.entropy)
    assert file.getvalue() == here
