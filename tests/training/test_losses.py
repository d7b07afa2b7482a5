import pytest
import torch

from vqcodec.config import LossConfig
from vqcodec.training.losses import reconstruction_losses

ALL = LossConfig(mel=1, magnitude=1, complex=1, compressed=1, level=1, perceptual=1, sampled_scales=False)


def total(wave, wave_hat, weights=ALL):
    return torch.stack(list(reconstruction_losses(wave, wave_hat, 16000, weights).values())).sum()


def test_every_term_is_zero_for_a_perfect_copy_and_grows_with_noise(speech):
    wave = torch.from_numpy(speech[20000:28000])[None]
    noise = torch.randn_like(wave)
    losses = [reconstruction_losses(wave, wave + level * noise, 16000, ALL) for level in (0, 0.001, 0.01, 0.1)]
    for name in ("mel", "magnitude", "complex", "compressed", "level", "perceptual"):
        values = [float(loss[name]) for loss in losses]
        assert values[0] == 0
        assert values == sorted(values), name
        assert values[-1] > values[1], name


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
