import dataclasses
import hashlib

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.overrides import TorchFunctionMode

from vqcodec.errors import ModelError
from vqcodec.models.codec import Codec
from vqcodec.models.weights import load_weights, save_weights
from vqcodec.models.weightsfile import WeightsFile


def test_weights_come_back_in_half_precision(toy_config, tmp_path):
    codec = Codec(toy_config).eval()
    digest = save_weights(toy_config, codec.state_dict(), tmp_path / "a.safetensors")
    assert digest == hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()
    loaded = load_weights(WeightsFile(tmp_path / "a.safetensors", expected_sha256=digest))
    assert loaded.config == toy_config
    assert loaded.fingerprint.hex() == digest
    assert not loaded.training
    for name, value in codec.named_parameters():
        assert torch.equal(loaded.get_parameter(name), value.half().float()), name


def test_codebooks_go_on_learning_from_what_was_loaded(toy_weights):
    """Statistics of use are not stored; what stands in for them must agree with the vectors."""
    for codebook in load_weights(toy_weights).quantizer.codebooks:
        before = codebook.weight.clone()
        for _ in range(20):
            codebook.learn(before, torch.arange(codebook.size))
        torch.testing.assert_close(codebook.weight, before)


def test_the_same_weights_give_the_same_bytes(toy_config, tmp_path):
    state = Codec(toy_config).state_dict()
    first = save_weights(toy_config, state, tmp_path / "a.safetensors")
    assert save_weights(toy_config, state, tmp_path / "b.safetensors") == first


def test_a_wrong_hash_is_refused(toy_weights):
    with pytest.raises(ModelError, match="SHA-256"):
        WeightsFile(toy_weights, expected_sha256="0" * 64)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(toy_weights, tmp_path, value):
    tensors = load_file(toy_weights)
    name = next(name for name in tensors if name.startswith("decoder"))
    tensors[name] = torch.full_like(tensors[name], value)
    with safe_open(toy_weights, "pt") as file:
        save_file(tensors, tmp_path / "a.safetensors", metadata=file.metadata())
    with pytest.raises(ModelError, match=rf"a\.safetensors: {name} has values that are NaN or infinite"):
        load_weights(tmp_path / "a.safetensors")


def test_what_is_no_weights_file_is_refused(tmp_path, toy_weights):
    text = tmp_path / "a.safetensors"
    text.write_text("not weights")
    with pytest.raises(ModelError, match="not a weights file"):
        load_weights(text)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(toy_weights.read_bytes()[:-10])
    with pytest.raises(ModelError, match="not a weights file"):
        load_weights(cut)
    with pytest.raises(ModelError, match="cannot read"):
        load_weights(tmp_path / "none.safetensors")


def test_other_and_unfitting_weights_are_refused(tmp_path, toy_weights, toy_config):
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    with pytest.raises(ModelError, match="no 'vqcodec-weights-1'"):
        load_weights(other)
    tensors = load_file(toy_weights)
    tensors.pop("encoder.norm.weight")
    meta = {"vqcodec-weights-1": toy_config.to_json()}
    save_file(tensors, other, metadata=meta)
    with pytest.raises(ModelError, match="do not fit"):
        load_weights(other)
    tensors["encoder.norm.weight"] = torch.zeros(3)
    save_file(tensors, other, metadata=meta)
    with pytest.raises(ModelError, match="do not fit"):
        load_weights(other)
    save_file({**tensors, "encoder.norm.weight": torch.zeros(16, dtype=torch.int32)}, other, metadata=meta)
    with pytest.raises(ModelError, match=r"encoder.norm.weight is of torch.int32, no floats"):
        load_weights(other)
    save_file(tensors, other, metadata={"vqcodec-weights-1": "{"})
    with pytest.raises(ModelError, match="config"):
        load_weights(other)


@pytest.mark.parametrize(
    "claims",
    [
        {"total_codebooks": 255, "codebook_size": 65536, "latent_dim": 8192},
        {"channels": 8192, "encoder_blocks": 256},
        {"channels": 8192, "decoder_blocks": 256},
        {"stft_channels": 8192, "encoder_stft_blocks": 256},
        {"codebook_kind": "gradient", "codebook_size": 65536, "latent_dim": 8192},
        {"codebook_kind": "simvq", "total_codebooks": 255, "codebook_size": 65536, "latent_dim": 8192},
        {"codebook_kind": "lookup_free", "channels": 8192, "latent_dim": 8192, "total_codebooks": 255},
        {"attention_window": 4096, "channels": 8192},
    ],
)
def test_weights_that_claim_a_giant_are_refused_before_memory_is_taken(tmp_path, toy_weights, toy_config, claims):
    path, most = tmp_path / "a.safetensors", 1 << 23
    meta = {"vqcodec-weights-1": dataclasses.replace(toy_config, **claims).to_json()}
    save_file(load_file(toy_weights), path, metadata=meta)
    with _Counting(most) as counted, pytest.raises(ModelError, match="fit the config .its model has .* values"):
        load_weights(path)
    assert 0 < counted.values <= most


class _Counting(TorchFunctionMode):
    """Counts the values of the tensors that are made, and makes no more than `most`."""

    def __init__(self, most):
        super().__init__()
        self.most, self.values = most, 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in (torch.empty, torch.randn, torch.rand, torch.ones, torch.zeros, torch.eye, torch.full):
            self.values += func(*args, **{**(kwargs or {}), "device": "meta"}).numel()
            assert self.values <= self.most
        return func(*args, **(kwargs or {}))
