"""Whatever a caller hands over is coded rightly or refused in words of ours, alike at every door."""

import numpy as np
import pytest
import soundfile
import torch

import vqcodec
from vqcodec.audio.reader import AudioReader
from vqcodec.audio.wavstream import SampleStream
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


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.uint16])
def test_codes_are_integers_of_any_size(toy_codec, wave, dtype):
    codes = toy_codec.encode(wave)
    assert torch.equal(toy_codec.decode(codes.to(dtype)), toy_codec.decode(codes))


@pytest.mark.parametrize("value", [1.5, 2.0, "2", None])
def test_counts_that_are_no_whole_numbers_are_told_by_name(toy_codec, wave, value):
    """Of the library's own doors, not of what lies behind them."""
    codes, data = toy_codec.encode(wave), vqcodec.compress(wave[0].numpy(), 8000, model=toy_codec)
    calls = {
        "frames": lambda: vqcodec.DecodeSession(toy_codec).conceal(value),
        "start_frame": lambda: vqcodec.DecodeSession(toy_codec, start_frame=value),
        "batch": lambda: vqcodec.EncodeSession(toy_codec, batch=value),
        "frames_per_packet": lambda: vqcodec.Packetizer(frames_per_packet=value),
        "redundancy": lambda: vqcodec.Packetizer(redundancy=value),
        "layers": lambda: vqcodec.Packetizer(layers=value),
        "codebook_size": lambda: vqcodec.Depacketizer(codebook_size=value),
        "channels": lambda: vqcodec.Depacketizer(channels=value),
        "reorder_packets": lambda: vqcodec.Depacketizer(reorder_packets=value),
    }
    if value is not None:
        calls |= {
            "length_samples": lambda: toy_codec.decode(codes, length_samples=value),
            "num_codebooks": lambda: toy_codec.encode(wave, num_codebooks=value),
            "first_frame": lambda: vqcodec.Packetizer(first_frame=value),
        }
        with pytest.raises(TypeError, match="^num_codebooks is .*, expected a whole number$"):
            vqcodec.decompress(data, model=toy_codec, num_codebooks=value)
    for name, call in calls.items():
        with pytest.raises(TypeError, match=f"^{name} is .*, expected a whole number$"):
            call()


@pytest.mark.parametrize("value", [-1, -(2**70)])
def test_counts_below_0_are_refused(toy_codec, value):
    for call in (
        lambda: vqcodec.DecodeSession(toy_codec).conceal(value),
        lambda: vqcodec.DecodeSession(toy_codec, start_frame=value),
    ):
        with pytest.raises(ValueError, match=f"{value} is not 0 or more"):
            call()


def test_masked_arrays_are_refused_with_the_remedy(toy_codec, wave):
    masked = np.ma.masked_array(wave[0].numpy(), mask=wave[0].numpy() > 0)
    with pytest.raises(AudioError, match=r"masked array.*filled\(0\)"):
        vqcodec.compress(masked, 8000, model=toy_codec)
    with pytest.raises(TypeError, match=r"masked array.*filled\(0\)"):
        vqcodec.EncodeSession(toy_codec).push(masked)


@pytest.mark.parametrize("peak", [1e3, 1e300])
def test_doubles_that_are_far_too_loud_are_told_by_their_peak(toy_codec, wave, peak):
    """Not as infinite, which they become as floats of 32 bits."""
    loud = wave.double() / wave.abs().amax() * peak
    message = r"a peak of 1(000|e\+300), where full scale is 1"
    with pytest.raises(ValueError, match=message):
        toy_codec.encode(loud)
    with pytest.raises(ValueError, match=message):
        vqcodec.EncodeSession(toy_codec).push(loud[0].numpy())
    with pytest.raises(AudioError, match=message):
        vqcodec.compress(loud[0].numpy(), 8000, model=toy_codec)


def test_denormal_samples_are_silence_at_every_door(toy_codec, wave, tmp_path):
    """A float WAV that fades out has them, and some processors compute a hundred times slower with them."""
    faint = (wave.numpy()[0] * np.float32(1e-39)).astype(np.float32)
    assert faint.any()
    heard = []
    hook = toy_codec.encoder.register_forward_pre_hook(lambda _, arguments: heard.append(arguments[0].numpy().copy()))
    vqcodec.EncodeSession(toy_codec).push(faint)
    vqcodec.compress(faint, 8000, model=toy_codec)
    toy_codec.encode(torch.from_numpy(faint)[None])
    hook.remove()
    soundfile.write(tmp_path / "a.wav", faint[0], 8000, subtype="FLOAT")
    with AudioReader(tmp_path / "a.wav") as audio, (tmp_path / "a.wav").open("rb") as file:
        heard += [*audio.blocks(1000), *SampleStream(file, name="it").blocks(1000)]
    assert sum(block.size for block in heard) >= 5 * 4000
    assert not any(block.any() for block in heard)


def test_sparse_tensors_are_told_by_name(toy_codec, wave):
    with pytest.raises(TypeError, match=r"wave is a tensor of another layout; wave.to_dense\(\) makes"):
        toy_codec.encode(wave.to_sparse())
    with pytest.raises(TypeError, match="codes is a tensor of another layout"):
        toy_codec.decode(toy_codec.encode(wave).to_sparse())
