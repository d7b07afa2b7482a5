"""A random prior of the toy model's codes, in a file."""

import pytest
import torch

from vqcodec.models.weights import load_weights
from vqcodec.tokens.prior.network import Prior, PriorSizes
from vqcodec.tokens.prior.priorfile import save_prior


@pytest.fixture(scope="session")
def sizes():
    return PriorSizes(num_codebooks=3, codebook_size=16, dim=8, channels=16, layers=2, heads=2, window=7)


@pytest.fixture(scope="session")
def prior_path(sizes, toy_weights, tmp_path_factory):
    torch.manual_seed(0)
    values = {name: value + 0.3 * torch.randn(value.shape) for name, value in Prior(sizes).state_dict().items()}
    path = tmp_path_factory.mktemp("prior") / "prior.safetensors"
    save_prior(sizes, values, path, model="toy", fingerprint=load_weights(toy_weights).fingerprint.hex())
    return path
