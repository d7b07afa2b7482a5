"""Every kind and arrangement in a whole codec: weights files, .vqc files, streams, ONNX graphs and training."""

import io
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import soundfile
import torch

import vqcodec
from vqcodec.bitstream import VqcReader
from vqcodec.bitstream.thin import thin
from vqcodec.models.architecture import CODEBOOKS
from vqcodec.models.codec import Codec
from vqcodec.models.export import export_onnx
from vqcodec.models.onnx_codec import OnnxCodec
from vqcodec.models.weights import load_weights, save_weights
from vqcodec.sessions.stream import DecodeSession, EncodeSession
from vqcodec.training.config import RunConfig, validate
from vqcodec.training.entropy import EntropyFit, fit_entropy, measured_bits
from vqcodec.training.trainer import Trainer

MODELS = {
    **{kind: {"codebook_kind": kind} for kind in CODEBOOKS},
    "single": {"codebook_kind": "gradient", "total_codebooks": 1},
    "grouped": {"groups": 2, "total_codebooks": 4},
    "multi-scale": {"strides": (2, 1), "hop_length": 160, "stft_hop": 40},
    "grouped-fsq": {"codebook_kind": "finite_scalar", "groups": 2, "total_codebooks": 2},
    "attention": {"attention_window": 6, "attention_heads": 2},
}


# Kinds that look codes up in different ways, and every arrangement, in two: an export takes 15 s.
EXPORTED = {
    "grouped-fsq-attention": MODELS["grouped-fsq"] | MODELS["attention"],
    "multi-scale-gumbel": MODELS["multi-scale"] | MODELS["gumbel"],
}


@pytest.fixture(params=MODELS)
def weights(request, toy_config, tmp_path):
    torch.manual_seed(0)
    config = replace(toy_config, name=request.param, **(MODELS | EXPORTED)[request.param])
    codec = Codec(config)
    wave = 0.1 * torch.randn(1, 1, 8000)
    with torch.no_grad():
        codec.quantizer.start_from(codec.encoder(wave[0])[0][0])
    path = tmp_path / f"{request.param}.safetensors"
    save_weights(config, codec.state_dict(), path)
    return path


@pytest.fixture
def model(weights):
    return load_weights(weights)


def test_codes_survive_the_container_bit_for_bit(model, noise):
    wave = noise(2, 5000)
    data = vqcodec.compress(wave, 8000, model=model)
    session = EncodeSession(model, batch=2)
    wanted = np.concatenate((session.push(wave), session.flush()), axis=2)
    codes = np.concatenate([chunk.codes for chunk in VqcReader(io.BytesIO(data)).chunks()], axis=2)
    assert np.array_equal(codes, wanted)
    assert len(np.unique(codes)) > 4
    assert vqcodec.decompress(data, model=model)[0].shape == wave.shape


def test_any_split_of_a_stream_has_the_codes_and_wave_of_the_whole(model, noise):
    wave = noise(1, 4000)
    codes = model.encode(torch.from_numpy(wave)[None])[0].numpy()
    whole = model.decode(torch.from_numpy(codes)[None])[0, 0].numpy()
    encoder, decoder = EncodeSession(model), DecodeSession(model)
    pieces = [encoder.push(wave[:, start : start + 333]) for start in range(0, 4000, 333)] + [encoder.flush()]
    assert np.array_equal(np.concatenate(pieces, axis=2)[0], codes)
    decoded = [decoder.push(codes[None, :, [frame]]) for frame in range(codes.shape[1])] + [decoder.flush()]
    assert np.allclose(np.concatenate(decoded, axis=1)[0], whole, atol=1e-5)


def test_a_thinned_file_decodes_as_fewer_codebooks(model, noise):
    wave = noise(1, 3000)
    whole, small = io.BytesIO(vqcodec.compress(wave, 8000, model=model)), io.BytesIO()
    thin(VqcReader(whole), small, 1)
    thinned, _ = vqcodec.decompress(small.getvalue(), model=model)
    assert np.array_equal(thinned, vqcodec.decompress(whole.getvalue(), model=model, num_codebooks=1)[0])


def test_an_excerpt_is_that_part_of_the_whole(model, noise, tmp_path):
    """What decoder_context_frames promises, attention and strides included."""
    wave = noise(1, 24000)
    data = io.BytesIO(vqcodec.compress(wave, 8000, model=model))
    whole = vqcodec.decompress(data.getvalue(), model=model)[0][0]
    target = io.BytesIO()
    vqcodec.decode_file(data, target, model=model, start_seconds=2.0, duration_seconds=0.5)
    target.seek(0)
    excerpt, _ = soundfile.read(target, dtype="float32")
    assert np.allclose(excerpt, whole[16000:20000], atol=1e-4)


def test_an_entropy_model_can_be_fitted(model, noise):
    codes = [model.encode(torch.from_numpy(noise(1, 8000 + n))[None])[0].numpy().astype(np.uint16) for n in range(3)]
    tensors = fit_entropy(model, codes, EntropyFit(epochs=1, hidden=8), report=lambda _: None)
    assert all(np.isfinite(measured_bits(tensors, codes)))


@pytest.mark.slow
@pytest.mark.parametrize("weights", EXPORTED, indirect=True)
def test_onnx_graphs_code_alike(weights, model, noise, tmp_path):
    export_onnx(weights, tmp_path / "graphs")
    onnx = OnnxCodec(tmp_path / "graphs" / weights.name)
    wave = noise(2, 1600)
    sessions = [EncodeSession(engine, batch=2) for engine in (model, onnx)]
    wanted, codes = (session.push(wave) for session in sessions)
    assert np.mean(codes == wanted) >= 0.99
    waves = [DecodeSession(engine, batch=2).push(wanted) for engine in (model, onnx)]
    assert np.abs(waves[0] - waves[1]).max() < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MODELS.keys() - {"single", "grouped-fsq"}))  # which add nothing to train
def test_120_steps_on_speech_keep_every_codebook_in_use(name, toy_config, speech, speech_path, tmp_path):
    soundfile.write(tmp_path / "valid.wav", speech[:16000], 16000)
    model = asdict(replace(toy_config, name=name, latent_dim=16, stft_channels=16, channels=32, **MODELS[name]))
    config = validate(
        RunConfig,
        {
            "model": model,
            "quantizer": {"start_step": 20, "kmeans_batches": 16},
            "data": {
                "train": [str(speech_path.parent)],
                "valid": [str(tmp_path / "valid.wav")],
                "batch_size": 4,
                "segment_seconds": 0.5,
                "valid_clips": 1,
            },
            "loss": {"entropy": 0.1 if name == "lookup_free" else 0.0},
            "optimizer": {"warmup_steps": 15, "learning_rate": 3e-3, "ema_decay": 0.9},
            "steps": 120,
            "log_every": 5,
            "validate_every": 120,
            "validate_codebooks": [1],
            "accelerator": "cpu",
        },
        where="test",
    )
    result = Trainer(config, tmp_path / "run").fit()
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    train = [record for record in log if record["kind"] == "train"]
    assert np.isfinite([record["loss"] for record in train]).all()
    assert np.mean([record["mel"] for record in train[-5:]]) < 0.7 * np.mean([record["mel"] for record in train[:5]])
    assert min(train[-1]["perplexity"]) > 0.2 * toy_config.codebook_size
    assert load_weights(result.weights).config == config.model
