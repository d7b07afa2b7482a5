"""Enhancers: their files, the codes that they find in pieces, and the ways in which commands and Python use them."""

import io
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

import vqcodec
from vqcodec.cli import main
from vqcodec.errors import ConfigError, ModelError, TrainingError
from vqcodec.models import zoo
from vqcodec.models.codec import Codec
from vqcodec.models.enhancers import FORMAT, add_enhancer, load_enhancer, save_enhancer
from vqcodec.models.weights import load_weights, save_weights
from vqcodec.training.config import load_run_config
from vqcodec.training.trainer import Trainer


@pytest.fixture(scope="module")
def weights(toy_config, tmp_path_factory):
    """An untrained model and, beside it, an enhancer with random weights."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("enhanced") / "toy.safetensors"
    save_weights(toy_config, Codec(toy_config).state_dict(), path)
    codec = load_weights(path)
    original = {name: value.clone() for name, value in codec.encoder.state_dict().items()}
    add_enhancer(codec, channels=8, kernels=[3, 5])
    state = {name: value + 0.1 * torch.randn(value.shape) for name, value in codec.encoder.state_dict().items()}
    save_enhancer(codec, state, original, path.with_suffix(".enhancer.safetensors"))
    return path


@pytest.fixture(scope="module")
def wave(speech):
    return speech[None, :8000]


def test_an_untrained_enhancer_changes_nothing(weights, wave):
    codec = load_weights(weights)
    samples = torch.from_numpy(wave[:, :6400])
    with torch.inference_mode():
        before = codec.encoder(samples)[0]
        add_enhancer(codec, channels=8, kernels=[3])
        torch.testing.assert_close(codec.encoder(samples)[0], before, rtol=0, atol=1e-5)  # a factor of 2 * sigmoid(0)


def test_a_stream_in_pieces_gives_the_codes_of_the_whole(weights, wave):
    codec = vqcodec.load(weights, enhance=True)
    assert codec.is_enhancing
    whole = codec.encode(torch.from_numpy(wave)[None])[0].numpy()
    assert (whole != vqcodec.load(weights).encode(torch.from_numpy(wave)[None])[0].numpy()).any()
    session = vqcodec.EncodeSession(codec)
    pieces = [session.push(piece) for piece in np.split(wave, [1, 1500, 1501, 5000], axis=1)]
    np.testing.assert_array_equal(np.concatenate([*pieces, session.flush()], axis=-1)[0], whole)


def test_files_and_bytes_are_enhanced_alike_and_any_decoder_plays_them(weights, wave, tmp_path):
    soundfile.write(tmp_path / "in.wav", wave[0], 16000, subtype="FLOAT")
    vqcodec.encode_file(tmp_path / "in.wav", tmp_path / "out.vqc", model=weights, enhance=True)
    data = (tmp_path / "out.vqc").read_bytes()
    assert data == vqcodec.compress(wave, 16000, model=vqcodec.load(weights, enhance=True))
    enhancer = weights.with_suffix(".enhancer.safetensors")
    assert data == vqcodec.compress(wave, 16000, model=vqcodec.load(weights, enhance=enhancer))
    assert data != vqcodec.compress(wave, 16000, model=weights)
    assert vqcodec.decompress(data, model=weights)[0].shape == wave.shape


def test_the_commands_enhance_files_and_streams_and_widen_what_is_narrow(weights, wave, tmp_path):
    soundfile.write(tmp_path / "in.wav", wave[0, ::2], 4000, subtype="FLOAT")
    named = ["--model", str(weights)]

    def run(*arguments):
        result = CliRunner().invoke(main, [*map(str, arguments), *named])
        assert result.exit_code == 0, result.output
        return result

    run("encode", tmp_path / "in.wav", tmp_path / "file.vqc", "--enhance")
    run("encode", tmp_path / "in.wav", tmp_path / "live.vqc", "--enhance", "--live", "--quiet")
    run("enhance", tmp_path / "in.wav", tmp_path / "out.wav")
    wide, rate_hz = soundfile.read(tmp_path / "out.wav", dtype="float32")
    assert (rate_hz, len(wide)) == (8000, 8000)
    for name in ("file.vqc", "live.vqc"):
        decoded = io.BytesIO()
        vqcodec.decode_file(tmp_path / name, decoded, model=weights, rate_hz=8000)
        decoded.seek(0)
        np.testing.assert_allclose(soundfile.read(decoded)[0][:8000], wide, atol=1e-4)  # 16 bits


def test_another_model_is_refused(weights, toy_config, tmp_path):
    other = tmp_path / "other.safetensors"
    save_weights(toy_config, Codec(toy_config).state_dict(), other)
    enhancer = weights.with_suffix(".enhancer.safetensors")
    with pytest.raises(ModelError, match=r"an enhancer for .* \(fingerprint .*\), not for"):
        vqcodec.load(other, enhance=enhancer)
    codec = load_weights(other)
    load_enhancer(codec, enhancer, of_others=True)  # as a start of training
    with pytest.raises(ModelError, match="has no enhancer"):
        vqcodec.load(other, enhance=True)
    soundfile.write(tmp_path / "in.wav", np.zeros(800, np.float32), 16000)
    arguments = ["encode", tmp_path / "in.wav", tmp_path / "out.vqc", "--model", other, "--enhancer", enhancer]
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == 1
    assert result.output.count("\n") == 1 and "not for" in result.output
    assert not (tmp_path / "out.vqc").exists()


def test_what_is_no_enhancer_is_refused(weights, tmp_path):
    enhancer = weights.with_suffix(".enhancer.safetensors")
    bad = tmp_path / "bad.safetensors"
    data = enhancer.read_bytes()
    for content in (b"", b"text", data[: len(data) // 2], weights.read_bytes()):
        bad.write_bytes(content)
        with pytest.raises(ModelError, match="not an enhancer"):
            vqcodec.load(weights, enhance=bad)
    tensors = load_file(enhancer)
    serves = load_weights(weights).fingerprint.hex()
    facts = {"model": "toy", "serves": serves, "channels": 8, "kernels": [3, 5]}
    for wrong in ({"channels": 1 << 40}, {"channels": "8"}, {"kernels": [3] * 1000}, {"kernels": 5}):
        save_file(tensors, bad, metadata={FORMAT: json.dumps(facts | wrong)})
        with pytest.raises(ModelError, match="not an enhancer"):
            vqcodec.load(weights, enhance=bad)
    save_file(tensors, bad, metadata={FORMAT: json.dumps(facts | {"channels": 9})})
    with pytest.raises(ModelError, match="does not fit"):
        vqcodec.load(weights, enhance=bad)
    with pytest.raises(ModelError, match="cannot read the enhancer"):
        vqcodec.load(weights, enhance=tmp_path / "none.safetensors")


def test_what_cannot_enhance_says_so(weights, wave, tmp_path):
    with pytest.raises(ConfigError, match="the onnx engine does not enhance"):
        vqcodec.load(weights, engine="onnx", enhance=True)
    soundfile.write(tmp_path / "in.wav", wave[0], 16000)
    with pytest.raises(ConfigError, match="loaded without an enhancer"):
        vqcodec.encode_file(tmp_path / "in.wav", tmp_path / "out.vqc", model=vqcodec.load(weights), enhance=True)


def test_a_bundled_enhancer_serves_the_bundled_model_and_none_is_said_to_be_missing():
    path = zoo.open_weights(zoo.DEFAULT_MODEL).path.with_suffix(".enhancer.safetensors")
    if path.exists():
        assert path.stat().st_size <= 8_000_000
        assert vqcodec.load(enhance=True).is_enhancing
    else:
        with pytest.raises(ModelError, match="speech-16k has no enhancer"):
            vqcodec.load(enhance=True)


@pytest.fixture
def enhancing_run(weights, toy_config, speech_path):
    """Function of overrides -> config of the recipe at toy size."""
    recipe = Path(__file__).parents[2] / "recipes" / "enhance.yaml"

    def make(*overrides):
        toy = [f"model.{name}={json.dumps(value)}" for name, value in asdict(toy_config).items()]
        small = [f"data.train=[{speech_path}]", f"data.valid=[{speech_path}]", "data.batch_size=2"]
        small += ["data.segment_seconds=0.4", "steps=2", "accelerator=cpu", "data.valid_clips=1"]
        return load_run_config(
            recipe, [*toy, *small, f"init={weights}", "enhancer.channels=8", "enhancer.kernels=[3, 5]", *overrides]
        )

    return make


@pytest.mark.slow
def test_the_recipe_trains_an_enhancer_and_goes_on_from_one(weights, enhancing_run, tmp_path):
    result = Trainer(enhancing_run(), tmp_path / "run").fit()
    assert result.weights.name == "enhancer.safetensors"
    tensors = load_file(result.weights)
    assert all(tensors[name].any() for name in ("to_mask.weight", "encoder.to_latent.weight"))
    codec = vqcodec.load(weights, enhance=result.weights)
    plain = load_weights(weights).state_dict()
    for name, value in codec.state_dict().items():
        if not name.startswith("encoder."):
            torch.testing.assert_close(value, plain[name], rtol=0, atol=0)
    again = Trainer(enhancing_run(f"enhancer.start={result.weights}"), tmp_path / "again")
    torch.testing.assert_close(again.codec.encoder.to_mask.weight, codec.encoder.to_mask.weight)
    with pytest.raises(ConfigError, match="set enhancer.channels"):
        Trainer(enhancing_run(f"enhancer.start={result.weights}", "enhancer.channels=4"), tmp_path / "third")
    with pytest.raises(TrainingError, match="give init"):
        Trainer(enhancing_run("init=null"), tmp_path / "fourth")
