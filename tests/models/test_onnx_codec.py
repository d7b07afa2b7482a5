import io
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

import vqcodec
from vqcodec.bitstream import VqcReader
from vqcodec.errors import ConfigError, ModelError
from vqcodec.files.convert import compress, decode_file, decompress, encode_file
from vqcodec.models.onnx_codec import OnnxCodec
from vqcodec.models.weights import save_weights
from vqcodec.models.weightsfile import WeightsFile
from vqcodec.models.zoo import load_engine, open_weights
from vqcodec.sessions.stream import DecodeSession, EncodeSession


def len_of(text):
    """A short name for a test on a text of any length."""
    return f"{len(text or '')}-characters"


@pytest.fixture(scope="module")
def onnx_codec():
    return vqcodec.load_onnx()


def test_codes_and_samples_equal_those_of_torch(onnx_codec, codec, speech, agreement):
    """The graphs in the package are made from the layers and weights that are in it."""
    wave = speech[None]
    codes = EncodeSession(onnx_codec).push(wave)
    wanted = EncodeSession(codec).push(wave)
    assert codes.shape == wanted.shape
    assert agreement(wave, codes, wanted) >= 0.999
    assert np.abs(DecodeSession(onnx_codec).push(wanted) - DecodeSession(codec).push(wanted)).max() < 1e-3


def test_both_engines_tell_the_same_of_a_model(onnx_codec, codec):
    for fact in (
        "model_name",
        "sample_rate_hz",
        "hop_length",
        "total_codebooks",
        "codebook_size",
        "delay_samples",
        "algorithmic_delay_samples",
        "decoder_context_frames",
        "fingerprint",
        "encoder_shapes",
        "decoder_shapes",
    ):
        assert getattr(onnx_codec, fact) == getattr(codec, fact), fact


@pytest.mark.parametrize("piece_samples", [1, 7, 320, 641, 5000])
def test_pieces_have_the_codes_and_samples_of_the_whole(onnx_codec, speech, piece_samples):
    wave = speech[None, : 9600 if piece_samples == 1 else None]
    session = EncodeSession(onnx_codec, kbps=3)
    whole = np.concatenate((session.push(wave), session.flush()), axis=2)
    pieces = np.split(wave, range(piece_samples, wave.shape[1], piece_samples), axis=1)
    codes = np.concatenate([*(session.push(piece) for piece in pieces), session.flush()], axis=2)
    assert np.array_equal(codes, whole)
    decoding = DecodeSession(onnx_codec)
    whole_wave = np.concatenate((decoding.push(whole), decoding.flush()), axis=1)
    frames = max(1, piece_samples // 320)
    pieces = np.split(codes, range(frames, codes.shape[2], frames), axis=2)
    joined = np.concatenate([*(decoding.push(piece) for piece in pieces), decoding.flush()], axis=1)
    assert np.abs(joined - whole_wave).max() < 1e-5


def test_a_session_saved_by_one_engine_goes_on_with_the_other(onnx_codec, codec, speech, agreement):
    wave = np.stack((speech[:32000], speech[32000:64000]))
    whole = EncodeSession(codec, batch=2).push(wave)
    for first, second in ((codec, onnx_codec), (onnx_codec, codec)):
        before, after = EncodeSession(first, batch=2), EncodeSession(second, batch=2)
        codes = before.push(wave[:, :10000])
        after.restore(before.save())
        codes = np.concatenate((codes, after.push(wave[:, 10000:])), axis=2)
        assert agreement(wave, codes, whole) >= 0.999
        before, after = DecodeSession(first, batch=2), DecodeSession(second, batch=2)
        head = before.push(whole[:, :, :20])
        after.restore(before.save())
        decoding = DecodeSession(codec, batch=2)
        joined = np.concatenate((head, after.push(whole[:, :, 20:]), after.flush()), axis=1)
        wanted = np.concatenate((decoding.push(whole), decoding.flush()), axis=1)
        assert np.abs(joined - wanted).max() < 1e-3


def codes_in(data, codec):
    """The codes [C, K, F] of a file in memory."""
    chunks = VqcReader(io.BytesIO(data)).chunks(entropy=codec.entropy)
    return np.concatenate([chunk.codes for chunk in chunks], axis=2)


def test_files_of_one_engine_are_read_by_the_other(onnx_codec, codec, speech, speech_path, tmp_path):
    stereo = np.stack((speech, speech[::-1]))
    found, wanted = (codes_in(compress(stereo, 16000, model=model), codec) for model in (onnx_codec, codec))
    # Two float engines add in other orders: where two vectors are as near, they may choose differently.
    assert np.mean(found == wanted) >= 0.999
    encode_file(speech_path, tmp_path / "a.vqc", engine="onnx")
    decode_file(tmp_path / "a.vqc", tmp_path / "onnx.wav", engine="onnx")
    data = (tmp_path / "a.vqc").read_bytes()
    by_torch, by_onnx = decompress(data)[0], decompress(data, engine="onnx")[0]
    assert by_onnx.shape == (1, len(speech))
    assert np.abs(by_torch - by_onnx).max() < 1e-3


def test_nothing_imports_torch(tmp_path, speech_path):
    """Where torch is not installed the commands work all the same."""
    program = (
        "import sys; sys.modules.update(torch=None, pydantic=None, yaml=None)\n"
        "from vqcodec.cli import main\n"
        "main(sys.argv[1:])"
    )
    for arguments in (
        ["encode", speech_path, "a.vqc", "--engine", "onnx"],
        ["decode", "a.vqc", "a.wav", "--engine", "onnx"],
        ["info", "a.vqc"],
        ["verify", "a.vqc"],
        ["thin", "a.vqc", "b.vqc", "--codebooks", "2"],
        ["models"],
    ):
        command = [sys.executable, "-c", program, *map(str, arguments)]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
    command = [sys.executable, "-c", program, "encode", str(speech_path), "c.vqc", "--engine", "torch"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: the torch engine needs torch")
    assert result.stderr.count("\n") == 1


def test_what_is_missing_or_of_other_weights_is_named(tmp_path, toy_weights, toy_config, monkeypatch):
    with pytest.raises(ModelError, match=r"toy\.encoder\.onnx: no such graph; vqcodec export"):
        EncodeSession(OnnxCodec(toy_weights)).push(np.zeros((1, 160), np.float32))
    weights = open_weights("speech-16k").path
    other = tmp_path / "other.safetensors"
    save_weights(toy_config, vqcodec.Codec(toy_config).state_dict(), other)
    shutil.copy(weights.with_suffix(".encoder.onnx"), tmp_path / "other.encoder.onnx")
    with pytest.raises(ModelError, match=r"other\.encoder\.onnx"):
        EncodeSession(OnnxCodec(other)).push(np.zeros((1, 160), np.float32))
    (tmp_path / "other.decoder.onnx").write_bytes(b"junk")
    with pytest.raises(ModelError, match="cannot load"):
        DecodeSession(OnnxCodec(other)).push(np.zeros((1, 3, 1), np.int64))
    with pytest.raises(ModelError, match="speech-99k"):
        vqcodec.load_onnx("speech-99k")
    with pytest.raises(ModelError, match="SHA-256"):
        OnnxCodec(WeightsFile(toy_weights, expected_sha256="0" * 64))
    with pytest.raises(ConfigError, match="onnx engine runs on cpu"):
        load_engine(engine="onnx", device="cuda")
    with pytest.raises(ConfigError, match="none of torch, onnx"):
        load_engine(engine="abacus")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"pip install -c lock.txt '\.\[onnx\]'"):
        EncodeSession(vqcodec.load_onnx()).push(np.zeros((1, 320), np.float32))


@pytest.mark.parametrize("has_entropy", [True, False])
def test_graphs_of_other_weights_are_refused(tmp_path, codec, has_entropy):
    weights = open_weights("speech-16k").path
    changed = {name: value * 1.001 for name, value in codec.state_dict().items()}
    entropy = codec.entropy.tensors if has_entropy else None  # without, the tensors lie elsewhere
    save_weights(codec.config, changed, tmp_path / weights.name, entropy=entropy)
    shutil.copy(weights.with_suffix(".encoder.onnx"), tmp_path)
    with pytest.raises(ModelError, match="run vqcodec export again"):
        EncodeSession(OnnxCodec(tmp_path / weights.name)).push(np.zeros((1, 320), np.float32))


def test_graphs_of_weights_by_another_name_are_refused(tmp_path):
    """They would compute with whatever lies under the name that they were made for."""
    weights = open_weights("speech-16k").path
    shutil.copy(weights, tmp_path / "renamed.safetensors")
    shutil.copy(weights, tmp_path)
    shutil.copy(weights.with_suffix(".encoder.onnx"), tmp_path / "renamed.encoder.onnx")
    with pytest.raises(ModelError, match="run vqcodec export again"):
        EncodeSession(OnnxCodec(tmp_path / "renamed.safetensors")).push(np.zeros((1, 320), np.float32))


def test_the_graph_of_the_other_part_is_refused(tmp_path):
    weights = open_weights("speech-16k").path
    shutil.copy(weights, tmp_path)
    shutil.copy(weights.with_suffix(".decoder.onnx"), tmp_path / "speech-16k.encoder.onnx")
    with pytest.raises(ModelError, match="not the encoder of the weights"):
        EncodeSession(OnnxCodec(tmp_path / weights.name)).push(np.zeros((1, 320), np.float32))


@pytest.mark.parametrize(
    "facts",
    [None, "", "{", "[]", "[" * 100_000, "{}", '{"noise": null, "delay_samples": "x", "decoder_context_frames": 3}'],
    ids=len_of,
)
def test_graphs_with_other_metadata_are_refused(tmp_path, facts):
    weights = open_weights("speech-16k").path
    shutil.copy(weights, tmp_path)
    graph = onnx.load(weights.with_suffix(".encoder.onnx"), load_external_data=False)
    onnx.helper.set_model_props(graph, {} if facts is None else {"vqcodec": facts})
    (tmp_path / "speech-16k.encoder.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(ModelError, match="not the encoder of the weights"):
        EncodeSession(OnnxCodec(tmp_path / weights.name)).push(np.zeros((1, 320), np.float32))


@pytest.mark.parametrize("config", ["[" * 100_000, "[]", "{"], ids=len_of)
def test_an_unreadable_config_is_refused(tmp_path, config):
    save_file({"a": np.zeros(1)}, tmp_path / "a.safetensors", metadata={"vqcodec-weights-1": config})
    with pytest.raises(ModelError, match="is damaged"):
        OnnxCodec(tmp_path / "a.safetensors")


@pytest.mark.parametrize("config", ['{"sample_rate_hz": true}', '{"codebook_size": "x"}'])
def test_an_impossible_config_is_refused(tmp_path, config):
    save_file({"a": np.zeros(1)}, tmp_path / "a.safetensors", metadata={"vqcodec-weights-1": config})
    with pytest.raises(ConfigError, match="is not an integer in"):
        OnnxCodec(tmp_path / "a.safetensors")
