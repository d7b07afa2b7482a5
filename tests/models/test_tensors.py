"""Whatever a caller hands over is coded rightly or refused in words of ours, alike at every door."""

import numpy as np
import pytest
import torch

import vqcodec
from vqcodec.errors import AudioError
from vqcodec.models.tensors import checked_waves


@pytest.fixture
def wave(noise):
    return torch.from_numpy(noise(1, 4000))[None]


def test_other_floats_have_the_codes_of_float32(toy_codec, wave):
    codes = toy_codec.encode(wave)
    assert torch.equal(toy_codec.encode(wave.double()), codes)
    half = wave.half()
    assert torch.equal(toy_codec.encode(half), toy_codec.encode(half.float()))
    assert checked_waves(half).dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.uint8, torch.bool, torch.complex64])
def test_what_is_no_float_is_refused_with_the_remedy(toy_codec, wave, dtype):
    with pytest.raises(ValueError, match=r"wave is (int|uint|bool|complex).*floats in \[-1, 1\].*/ 32768"):
        toy_codec.encode((wave * 100).to(dtype))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_is_refused(toy_codec, wave, value):
    wave[0, 0, 7] = value
    with pytest.raises(ValueError, match="NaN or infinite"):
        toy_codec.encode(wave)


def test_arrays_and_tensors_that_are_mistaken_for_each_other_are_told(toy_codec, wave):
    array = wave.numpy()
    with pytest.raises(TypeError, match=r"wave is numpy.ndarray, expected a tensor"):
        toy_codec.encode(array)
    with pytest.raises(TypeError, match=r"codes are numpy.ndarray, expected a tensor"):
        toy_codec.decode(toy_codec.encode(wave).numpy())
    with pytest.raises(AudioError, match="wave is a Tensor; give an array of numpy"):
        vqcodec.compress(wave[0], 8000, model=toy_codec)
    with pytest.raises(AudioError, match="wave is a list"):
        vqcodec.compress([0.0, 1.0], 8000, model=toy_codec)
    with pytest.raises(TypeError, match="wave is a Tensor, expected an array"):
        vqcodec.EncodeSession(toy_codec).push(wave[0])
    with pytest.raises(TypeError, match="codes is a Tensor, expected an array"):
        vqcodec.DecodeSession(toy_codec).push(torch.zeros(1, 3, 1, dtype=torch.int64))


def test_integers_are_refused_by_arrays_too(toy_codec, wave):
    samples = (wave[0].numpy() * 32767).astype(np.int16)
    with pytest.raises(AudioError, match=r"wave is int16 .*give floats"):
        vqcodec.compress(samples, 8000, model=toy_codec)
    with pytest.raises(ValueError, match=r"wave is int16 .*expected floats"):
        vqcodec.EncodeSession(toy_codec).push(samples)


def test_a_model_still_compiles_and_has_shapes(toy_codec, wave):
    """A check that looks at values would break the graph."""
    exported = torch.export.export(Checking(), (wave,))
    assert torch.equal(exported.module()(wave), wave)
    assert checked_waves(torch.zeros(2, 1, 400, device="meta")).shape == (2, 1, 400)


class Checking(torch.nn.Module):
    def forward(self, wave):
        return checked_waves(wave) + 0
