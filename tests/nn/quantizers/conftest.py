import pytest
import torch


@pytest.fixture
def latents():
    """[2000, 12]: correlated, of unequal variance and with a mean, as those of an encoder are."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(12, 12, generator=generator)
    scales = torch.linspace(0.2, 2, 12)
    return torch.randn(2000, 12, generator=generator) * scales @ directions / 3 + 1
