from dataclasses import replace

import numpy as np
import pytest
import torch

from vqcodec.errors import ConfigError
from vqcodec.frames import ceil_div
from vqcodec.models.architecture import CODEBOOKS, ModelConfig
from vqcodec.models.codec import Codec
from vqcodec.nn.quantizers.quantizer import Draw


def test_the_default_model_is_what_the_readme_says(codec):
    assert (codec.sample_rate_hz, codec.hop_length, codec.frame_rate) == (16000, 320, 50)
    assert (codec.total_codebooks, codec.codebook_size) == (12, 1024)
    assert 6e6 < sum(parameter.numel() for parameter in codec.parameters()) < 8e6


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 161, 1999])
def test_lengths_are_exact(toy_codec, samples):
    wave = torch.randn(2, 1, samples)
    codes = toy_codec.encode(wave, num_codebooks=2)
    assert codes.shape == (2, 2, ceil_div(samples, 160))
    assert codes.dtype == torch.int64
    assert toy_codec.decode(codes, length_samples=samples).shape == wave.shape
    assert toy_codec.decode(codes).shape == (2, 1, codes.shape[2] * 160)


def test_kbps_is_the_highest_depth_not_above_it(codec):
    wave = torch.zeros(1, 1, 320)
    depths = [codec.encode(wave, kbps=kbps).shape[1] for kbps in (0.2, 0.5, 1.4, 1.5, 3, 6, 24)]
    assert depths == [1, 1, 2, 3, 6, 12, 12]


@pytest.mark.parametrize("bad", [{"kbps": 0}, {"kbps": float("nan")}, {"num_codebooks": 13}, {"num_codebooks": 0}])
def test_impossible_rates_are_config_errors(codec, bad):
    with pytest.raises(ConfigError):
        codec.encode(torch.zeros(1, 1, 320), **bad)
    with pytest.raises(ConfigError, match="not both"):
        codec.encode(torch.zeros(1, 1, 320), kbps=3, num_codebooks=3)


def test_wrong_shapes_and_codes_are_value_errors(toy_codec):
    for wave in (torch.zeros(320), torch.zeros(1, 2, 320)):
        with pytest.raises(ValueError, match="expected"):
            toy_codec.encode(wave)
    for codes in (torch.zeros(1, 4, 5).long(), torch.zeros(1, 2, 5), torch.full((1, 2, 5), 16), torch.zeros(5).long()):
        with pytest.raises(ValueError, match="expected"):
            toy_codec.decode(codes)
    with pytest.raises(ValueError, match="length_samples"):
        toy_codec.decode(torch.zeros(1, 2, 5).long(), length_samples=801)


def test_a_padded_batch_gives_the_codes_of_each_clip_alone(codec, speech):
    clips = [speech[:16000], speech[20000:27777], speech[40000:40100]]
    batch = torch.zeros(3, 1, 16000)
    for row, clip in zip(batch, clips, strict=True):
        row[0, : len(clip)] = torch.from_numpy(clip)
    together = codec.encode(batch)
    for row, clip in zip(together, clips, strict=True):
        alone = codec.encode(torch.from_numpy(clip)[None, None])[0]
        assert torch.equal(row[:, : alone.shape[1]], alone)


def test_codes_see_no_later_sample(codec, speech):
    wave = torch.from_numpy(speech[:32000])[None, None]
    changed = wave.clone()
    changed[:, :, 16000:] = 0
    assert torch.equal(codec.encode(wave)[:, :, :50], codec.encode(changed)[:, :, :50])


def test_more_codebooks_reconstruct_better(codec, speech):
    wave = torch.from_numpy(speech)[None, None]
    codes = codec.encode(wave)
    errors = []
    for depth in (1, 3, 6, 12):
        difference = codec.decode(codes[:, :depth], length_samples=len(speech)) - wave
        errors.append(float(difference.square().mean() / wave.square().mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.6, "an untrained or broken model has an error of 1 or more"


def test_decoded_speech_is_aligned_with_the_original(codec, speech):
    codes = codec.encode(torch.from_numpy(speech)[None, None])
    decoded = codec.decode(codes, length_samples=len(speech))[0, 0].numpy()
    shifts = range(-40, 41)
    scores = [float(np.dot(speech[100:-100], np.roll(decoded, shift)[100:-100])) for shift in shifts]
    assert shifts[int(np.argmax(scores))] == 0


@pytest.mark.parametrize(
    "changes",
    [
        *({"codebook_kind": kind} for kind in CODEBOOKS),
        {"codebook_kind": "factorized", "groups": 2, "total_codebooks": 4},
        {"codebook_kind": "gradient", "strides": [2, 1]},
        {"attention_window": 5, "attention_heads": 2},
    ],
    ids=str,
)
def test_every_parameter_receives_a_gradient(toy_config, changes):
    torch.manual_seed(0)
    codec = Codec(replace(toy_config, **changes))
    wave = torch.randn(4, 1, 800)
    out = codec(wave, Draw(torch.full((4,), codec.total_codebooks), torch.zeros(4, dtype=torch.bool)))
    loss = (out.wave_hat - wave).abs().mean() + out.quantized.commitment_loss + out.quantized.codebook_loss
    loss.backward()
    for name, parameter in codec.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_training_and_decoding_synthesize_the_same_wave(toy_codec, monkeypatch):
    monkeypatch.setattr(toy_codec, "effort", "fast")  # training takes codes in turn
    wave = torch.randn(2, 1, 1600)
    with torch.no_grad():
        out = toy_codec(wave, Draw(torch.full((2,), 3), torch.zeros(2, dtype=torch.bool)))
    assert torch.allclose(out.wave_hat, toy_codec.decode(toy_codec.encode(wave)), atol=1e-5)


def test_silence_and_extreme_levels_stay_finite(codec):
    for level in (0.0, 1e-30, 1.0, 100.0):
        wave = torch.full((1, 1, 3200), level) * torch.sign(torch.randn(1, 1, 3200))
        assert torch.isfinite(codec.decode(codec.encode(wave))).all()


@pytest.mark.parametrize("peak", [101.0, 32768.0, 1e6])
def test_samples_in_the_range_of_integers_are_refused(codec, peak):
    with pytest.raises(ValueError, match=f"wave has a peak of {peak:.0f}, where full scale is 1; divide"):
        codec.encode(torch.full((1, 1, 3200), peak))


def test_a_config_changes_the_shape_of_the_model():
    codec = Codec(ModelConfig(sample_rate_hz=24000, hop_length=480, window_length=480, stft_hop=120, total_codebooks=2))
    assert codec.encode(torch.zeros(1, 1, 24000)).shape == (1, 2, 50)
