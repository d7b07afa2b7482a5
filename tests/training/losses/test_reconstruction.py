import pytest
import torch

from vqcodec.training.config import LossConfig
from vqcodec.training.losses.reconstruction import grid_loss, loudness_loss, reconstruction_losses

ALL = LossConfig(
    mel=1, magnitude=1, complex=1, compressed=1, level=1, perceptual=1, loudness=1, grid=1, sampled_scales=False
)


def total(wave, wave_hat, weights=ALL):
    return torch.stack(list(reconstruction_losses(wave, wave_hat, 16000, weights).values())).sum()


def test_every_term_is_zero_for_a_perfect_copy_and_grows_with_noise(speech):
    wave = torch.from_numpy(speech[20000:28000])[None]
    noise = torch.randn_like(wave)
    losses = [reconstruction_losses(wave, wave + level * noise, 16000, ALL) for level in (0, 0.001, 0.01, 0.1)]
    for name in ("mel", "magnitude", "complex", "compressed", "level", "loudness", "perceptual"):
        values = [float(loss[name]) for loss in losses]
        assert values[0] == 0
        assert values == sorted(values), name
        assert values[-1] > values[1], name
    assert losses[0]["grid"] == 0  # noise has no grid: the test of that is below


def test_phases_above_the_limit_are_free(speech):
    """Another phase of what lies above 3 kHz costs nothing in `complex` below a limit of 1.5, and much without."""
    wave = torch.from_numpy(speech[20000:28000])[None]
    spectrum = torch.fft.rfft(wave)
    spectrum[:, 3000:] *= -1
    turned = torch.fft.irfft(spectrum)
    weights = ALL.model_copy(update={"phase_hz": 1500.0})
    limited, free = (reconstruction_losses(wave, turned, 16000, w)["complex"] for w in (weights, ALL))
    assert limited < 0.02 * free


def test_loudness_counts_a_lost_band_where_the_original_is_loud(speech):
    wave = torch.from_numpy(speech[20000:36000])[None]
    spectrum = torch.fft.rfft(wave)
    hz = torch.linspace(0, 8000, spectrum.shape[1])
    quieter = torch.fft.irfft(spectrum * torch.where(hz > 4250, 0.5, 1.0))
    # Half of the bands are 6 dB, 0.6 in log10 of power, too quiet; silence that follows changes nothing.
    loss = loudness_loss(wave, quieter, 16000)
    assert 0.2 < float(loss) < 0.4
    longer = (torch.cat((x, torch.zeros(1, 16000)), dim=1) for x in (wave, quieter))
    assert float(loudness_loss(*longer, 16000)) == pytest.approx(float(loss), rel=0.1)


def test_the_grid_is_what_repeats_every_20_ms():
    torch.manual_seed(0)
    wave = torch.randn(4, 32000)
    time = torch.arange(32000) / 16000
    at_50, at_37 = (wave * (1 + 0.3 * torch.cos(2 * torch.pi * hz * time)) for hz in (50, 37))
    assert grid_loss(wave, at_50, 16000) > 10 * grid_loss(wave, at_37, 16000)


@pytest.mark.parametrize("level", [0.0, 1e-20, 1e-4, 1.0, 100.0])
def test_losses_and_gradients_are_finite_at_any_level(level):
    torch.manual_seed(0)
    wave = level * torch.randn(2, 4096)
    wave_hat = (0.5 * wave).requires_grad_(True)
    loss = total(wave, wave_hat)
    loss.backward()
    assert torch.isfinite(loss)
    assert loss < 200
    assert torch.isfinite(wave_hat.grad).all()


def test_sampled_scales_have_the_same_expectation(speech):
    wave = torch.from_numpy(speech[20000:28000])[None]
    wave_hat = wave + 0.01 * torch.randn_like(wave)
    sampled = ALL.model_copy(update={"sampled_scales": True})
    mean = torch.stack([total(wave, wave_hat, sampled) for _ in range(100)]).mean()
    assert float(mean) == pytest.approx(float(total(wave, wave_hat)), rel=0.1)


def test_a_weight_of_zero_switches_a_term_off(speech):
    wave = torch.from_numpy(speech[20000:28000])[None]
    weights = LossConfig(mel=0, magnitude=0, complex=0, compressed=2)
    losses = reconstruction_losses(wave, 0.5 * wave, 16000, weights)
    assert losses["mel"] == losses["complex"] == losses["magnitude"] == 0
    assert losses["compressed"] > 0
