import pytest
import torch

from vqcodec.training.monitoring.health import live_directions, perplexity


def test_perplexity_counts_the_codes_in_use():
    even = torch.arange(16).repeat(10).view(1, 1, -1)
    one = torch.zeros(1, 1, 160, dtype=torch.long)
    codes = torch.cat((even, one), dim=1)
    assert perplexity(codes, 16) == pytest.approx([16, 1])


def test_live_directions_see_a_collapsed_latent():
    torch.manual_seed(0)
    white = torch.randn(10, 500, 8)
    line = torch.randn(10, 500, 1) * torch.ones(8)
    assert live_directions(white)[0] == pytest.approx(8, abs=0.2)
    ratio, shares = live_directions(line)
    assert ratio == pytest.approx(1, abs=1e-3)
    assert shares[0] == pytest.approx(1, abs=1e-3)
