import pytest
import torch

from vqcodec.training.losses.discriminators import Discriminators, discriminator_loss, generator_losses


@pytest.mark.parametrize("level", [1, 0.01])
def test_discriminators_learn_to_tell_noise_from_tones_at_any_level(level):
    torch.manual_seed(0)
    model = Discriminators([256, 64], channels=4)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    time = torch.arange(2048) / 16000
    losses = []
    for _ in range(60):
        real = torch.sin(2 * torch.pi * (200 + 400 * torch.rand(4, 1)) * time) * 0.5
        loss = discriminator_loss(model(level * real), model(level * 0.3 * torch.randn(4, 2048)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 1.5
    assert losses[-1] < 0.5


def test_features_match_for_equal_waves_only():
    torch.manual_seed(0)
    model = Discriminators([256, 64], channels=4)
    wave = torch.randn(2, 2048)
    assert generator_losses(model(wave), model(wave))[1] == 0
    assert generator_losses(model(wave), model(0.5 * wave))[1] > 0.01


def test_the_adversarial_loss_has_a_gradient_to_the_wave():
    torch.manual_seed(0)
    model = Discriminators([256], channels=4)
    wave_hat = torch.randn(1, 2048, requires_grad=True)
    adversarial, matching = generator_losses(model(torch.randn(1, 2048)), model(wave_hat))
    for loss in (adversarial, matching):
        (gradient,) = torch.autograd.grad(loss, wave_hat, retain_graph=True)
        assert gradient.abs().sum() > 0
