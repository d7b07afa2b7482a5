"""Frames of fewer codebooks than others: what is chosen, coded and heard of them, by both engines."""

import io

import numpy as np
import pytest
import soundfile
import torch

import vqcodec
from vqcodec.bitstream import VqcReader
from vqcodec.bitstream.spec import CODING_DEPTHS
from vqcodec.bitstream.thin import thin
from vqcodec.errors import BitstreamError, ConfigError, ModelError
from vqcodec.files.convert import compress, decode_file, decompress, encode_file
from vqcodec.files.live import encode_live
from vqcodec.metrics import estoi
from vqcodec.sessions.depths import VariedEncoder, depths_at, price_of
from vqcodec.sessions.search import cut_errors
from vqcodec.sessions.stream import DecodeSession


def depths_in(data, engine):
    """Codes [C, K, F] of a file, and the depth of each frame [C, F]."""
    codes = np.concatenate([c.codes for c in VqcReader(io.BytesIO(data)).chunks(entropy=engine.entropy)], axis=2)
    return codes, (codes >= 0).sum(axis=1)


def cut(codes, seed=0):
    """`codes` [C, K, F] of depths that change at random places; and these."""
    channels, layers, frames = codes.shape
    depths = np.repeat(np.random.default_rng(seed).integers(0, layers + 1, (channels, frames)), 5, axis=1)[:, :frames]
    return np.where(np.arange(layers)[:, None] < depths[:, None], codes, -1), depths


def choose_depths(codes, vectors, weights, price):
    return depths_at((weights * cut_errors(codes, vectors))[None], price)[0]


@pytest.fixture(scope="module")
def onnx_codec():
    return vqcodec.load_onnx()


def test_a_depth_for_all_frames_sounds_as_fewer_codebooks(codec, speech):
    codes = codec.encode(torch.from_numpy(speech)[None, None])
    for depth in (1, 5):
        left_out = codes.clone()
        left_out[:, depth:] = -1
        assert torch.allclose(codec.decode(left_out), codec.decode(codes[:, :depth]), atol=1e-5)
    with pytest.raises(ValueError, match="above one that is -1"):
        codec.decode(codes.index_fill(1, torch.tensor([3]), -1))


def test_both_engines_decode_depths_whole_and_in_pieces(codec, onnx_codec, speech):
    codes, _ = cut(vqcodec.EncodeSession(codec).push(speech[None, :32000]))
    wanted = codec.decode(torch.from_numpy(codes)).numpy()[:, 0]
    for engine in (codec, onnx_codec):
        session = DecodeSession(engine)
        pieces = [session.push(codes[:, :, start : start + 7]) for start in range(0, codes.shape[2], 7)]
        joined = np.concatenate([*pieces, session.flush()], axis=1)
        assert np.abs(joined - wanted).max() < 1e-3  # float engines, as in test_onnx_codec


def test_graphs_that_know_no_depths_are_told_to_be_made_again(monkeypatch):
    engine = vqcodec.load_onnx()
    monkeypatch.delitem(engine._decoder.facts, "is_varied")
    engine.decode_block(np.zeros((1, 12, 1), np.int64))
    with pytest.raises(ModelError, match="export again"):
        engine.decode_block(np.full((1, 12, 1), -1))


def test_both_engines_know_the_same_vectors(codec, onnx_codec, toy_weights):
    assert np.array_equal(codec.code_vectors(), onnx_codec.code_vectors())
    codes = codec.encode(torch.randn(1, 1, 3200) / 10)[0].numpy()
    latent = codec.quantizer.decode(torch.from_numpy(codes[None]))[0].numpy()
    summed = sum(codec.code_vectors()[layer][row] for layer, row in enumerate(codes))
    assert np.allclose(summed, latent, atol=1e-4)


def test_a_frame_keeps_the_codes_that_are_worth_their_price():
    """Vectors of length 4, 2 and 1 in a line: what is left out costs (what is behind them)."""
    vectors = np.array([[[4.0]], [[2.0]], [[1.0]]], np.float32)
    codes = np.zeros((3, 5), np.int64)
    even = np.ones(5)
    # Costs of depths 1, 2, 3: (2 + 1)^2 + p, 1 + 2 p, 3 p
    assert choose_depths(codes, vectors, even, 0.9).tolist() == [3] * 5
    assert choose_depths(codes, vectors, even, 1.1).tolist() == [2] * 5
    assert choose_depths(codes, vectors, even, 8.1).tolist() == [1] * 5
    assert choose_depths(codes, vectors, np.array([1, 1, 0.01, 0.01, 0.01]), 1.1).tolist() == [2, 2, 1, 1, 1]
    assert choose_depths(codes[:, :0], vectors, even[:0], 1.0).shape == (0,)
    # A third code is worth 1.35 - 1.1, not the two changes of .2 * 1.1 that it takes; for two frames it is.
    for alone, depths in (([1.35], [2]), ([1.6], [3]), ([1.35, 1.35], [3, 3])):
        weights = np.array([1.0] * 5 + alone + [1.0] * 5)
        assert choose_depths(np.zeros((3, len(weights)), np.int64), vectors, weights, 1.1).tolist() == (
            [2] * 5 + depths + [2] * 5
        )
    assert price_of(5, vectors) / price_of(10, vectors) == pytest.approx(8)


@pytest.mark.parametrize("name", ["torch", "onnx"])
def test_better_quality_is_more_bytes_and_better_sound(codec, onnx_codec, speech, name):
    engine = {"torch": codec, "onnx": onnx_codec}[name]
    sizes, scores = [], []
    for quality in (0, 5, 10):
        data = compress(speech, 16000, model=engine, vbr=quality)
        _, depths = depths_in(data, codec)
        assert depths.min() >= 1
        assert len(set(depths[0].tolist())) > 2
        sizes.append(len(data))
        scores.append(estoi(speech, decompress(data, model=engine)[0][0], 16000))
    assert sizes == sorted(sizes)
    assert scores == sorted(scores)
    assert scores[0] > 0.6


def test_it_is_nearer_than_as_many_codes_of_one_depth(codec, speech):
    """To the latent of all codebooks, where all frames weigh alike; between two depths, their mean."""
    codes = codec.encode(torch.from_numpy(speech)[None, None]).numpy()[0]
    latents = np.stack([codec.code_vectors()[layer][row] for layer, row in enumerate(codes)]).cumsum(axis=0)
    left_over = np.square(latents - latents[-1]).sum(axis=2)
    frames = np.arange(codes.shape[1])
    depths = choose_depths(codes, codec.code_vectors(), np.ones(len(frames)), price_of(4, codec.code_vectors()))
    constant = np.interp(depths.mean(), np.arange(1, 13), left_over.mean(axis=1))
    assert left_over[depths - 1, frames].mean() < 0.9 * constant


def test_pauses_cost_little_and_silence_nearly_nothing(codec, speech):
    """At most 0.1 kbps in silence; the room 40 dB below speech has at most a third of its codebooks."""
    silent = compress(np.zeros(160_000, np.float32), 16000, model=codec, vbr=10)
    assert 8 * len(silent) / 10 <= 100
    room = (np.random.default_rng(0).standard_normal(48000) * 1e-3).astype(np.float32)
    _, depths = depths_in(compress(np.concatenate((speech, room)), 16000, model=codec, vbr=5), codec)
    border = len(speech) // 320
    assert depths[0, border + 10 :].mean() < depths[0, :border].mean() / 3


@pytest.mark.parametrize("is_searched", [True, False])
@pytest.mark.parametrize("piece_samples", [160, 333, 5000, 20_000])
def test_any_split_gives_the_same_depths(toy_codec, speech, piece_samples, is_searched, monkeypatch):
    """Speech, a pause, and softer speech, in one channel; in the other, what is not to matter."""
    monkeypatch.setattr(type(toy_codec), "is_searched", is_searched)
    first = np.concatenate((speech[:24000], np.zeros(8000, np.float32), 0.05 * speech[:24000]))
    wave = np.stack((first, first[::-1]))

    def encoded(some, size):
        encoder = VariedEncoder(toy_codec, 8, num_codebooks=3, batch=len(some))
        pieces = [encoder.push(some[:, start : start + size]) for start in range(0, some.shape[1], size)]
        return np.concatenate([*pieces, encoder.flush()], axis=2)

    whole = encoded(wave, wave.shape[1])
    assert whole.shape == (2, 3, 350)
    assert len(set((whole[0] >= 0).sum(axis=0).tolist())) > 1
    assert np.array_equal(encoded(wave, piece_samples), whole)
    assert np.array_equal(encoded(wave[:1], piece_samples), whole[:1])


def test_excerpts_thinned_files_and_damage_are_as_of_any_file(codec, speech, tmp_path):
    path = tmp_path / "a.vqc"
    summary = encode_file(_wav(tmp_path, speech), path, model=codec, vbr=5)
    data = path.read_bytes()
    assert VqcReader(io.BytesIO(data)).scan().entropy_coded_chunks > 0
    assert data[path_of_first_chunk(data)] >> 1 & 31 == CODING_DEPTHS
    whole = decompress(data, model=codec)[0][0]
    assert len(whole) == len(speech) == round(summary.duration_seconds * 16000)
    decode_file(path, tmp_path / "part.wav", model=codec, start_seconds=1.0, duration_seconds=0.5)
    part = soundfile.read(tmp_path / "part.wav", dtype="float32")[0]
    assert np.abs(part - whole[16000:24000]).max() < 2e-4
    small = io.BytesIO()
    thin(VqcReader(io.BytesIO(data)), small, 3)
    thinned, layers = (decompress(some, model=codec, **which)[0] for some, which in (
        (small.getvalue(), {}), (data, {"num_codebooks": 3})
    ))  # fmt: skip
    assert np.array_equal(thinned, layers)
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 1
    with pytest.raises(BitstreamError):
        decompress(bytes(damaged), model=codec)


def path_of_first_chunk(data):
    """Where the head of the first chunk is, behind the header of a file without tags."""
    return len(VqcReader(io.BytesIO(data)).header.to_bytes())


def _wav(folder, wave):
    soundfile.write(folder / "in.wav", wave, 16000, subtype="FLOAT")
    return folder / "in.wav"


def test_what_several_channels_cost_is_told_as_the_most(toy_codec, noise, tmp_path):
    soundfile.write(tmp_path / "in.wav", noise(2, 4000).T, 16000)
    told = []
    encode_file(
        tmp_path / "in.wav", tmp_path / "a.vqc", model=toy_codec, vbr=5, on_remark=lambda _, text: told.append(text)
    )
    assert any("each coded by itself: at most 2 x " in text for text in told)


def test_what_cannot_have_depths_says_so(toy_codec, noise, tmp_path, monkeypatch):
    wave = noise(1, 4000)
    for bad in (-0.1, 10.5, float("nan"), "5", True):
        with pytest.raises(ConfigError, match=r"vbr .* is not in 0\.\.10"):
            compress(wave, 16000, model=toy_codec, vbr=bad)
    with pytest.raises(ConfigError, match="live stream"):
        encode_live(io.BytesIO(), tmp_path / "a.vqc", model=toy_codec, vbr=5)
    data = compress(wave, 8000, model=toy_codec, vbr=0)
    monkeypatch.setattr(type(toy_codec), "has_depths", False)
    with pytest.raises(ConfigError, match="as many codebooks in all frames"):
        compress(wave, 8000, model=toy_codec, vbr=5)
    with pytest.raises(BitstreamError, match="fewer codebooks"):
        decompress(data, model=toy_codec)
    with pytest.raises(ValueError, match="codes span -1"):
        DecodeSession(toy_codec).push(np.full((1, 1, 1), -1))
