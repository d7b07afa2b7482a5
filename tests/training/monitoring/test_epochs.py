import pytest
import torch

from vqcodec.training.config import LOSS_WEIGHTS, LossConfig
from vqcodec.training.losses.reconstruction import reconstruction_losses
from vqcodec.training.monitoring.epochs import EpochMeans


def test_an_epoch_ends_with_the_means_of_both_halves_of_the_loss():
    epochs = EpochMeans(2)
    assert epochs.add(1, {"mel": 1.0, "complex": 1.0, "commitment": 0.5}) is None
    means = epochs.add(2, {"mel": 3.0, "complex": 1.0, "commitment": 0.1, "codebook": 0.2, "gradient_norm": 99.0})
    assert means == {"epoch": 1, "reconstruction": pytest.approx(3.0), "latent": pytest.approx(0.4)}
    assert epochs.add(3, {"mel": 5.0}) is None
    assert epochs.add(4, {"mel": 5.0}) == {"epoch": 2, "reconstruction": 5.0, "latent": 0.0}, "the first is forgotten"


def test_every_loss_that_has_a_weight_counts():
    weights = LossConfig(**{name: 1.0 for name in LOSS_WEIGHTS})
    torch.manual_seed(0)
    wave, wave_hat = (0.1 * torch.randn(2, 2, 16000)).unbind()
    losses = reconstruction_losses(wave, wave_hat, 16000, weights)
    assert set(losses) == {"mel", "magnitude", "complex", "compressed", "level", "loudness", "grid", "perceptual"}
    means = EpochMeans(1).add(1, {name: value.item() for name, value in losses.items()})
    assert means["reconstruction"] == pytest.approx(sum(value.item() for value in losses.values()))
