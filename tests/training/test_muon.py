from dataclasses import replace

import pytest
import torch

from vqcodec.models.codec import Codec
from vqcodec.training.muon import muon, orthogonalized


@pytest.mark.parametrize("shape", [(5, 5), (3, 40), (40, 3), (1, 7), (64, 192)])
def test_singular_values_become_one_and_the_directions_stay(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    result = orthogonalized(matrix)
    new = left.T @ result @ right.T
    kept = values > 0.05 * values.norm()
    assert torch.allclose(new.diagonal()[kept], torch.ones(int(kept.sum())), atol=0.3)
    assert (new - torch.diag(new.diagonal())).abs().max() < 1e-3
    assert torch.allclose(orthogonalized(1000 * matrix), result, atol=1e-4), "the scale does not matter"


def test_no_gradient_is_no_update():
    assert torch.equal(orthogonalized(torch.zeros(3, 4)), torch.zeros(3, 4))


def test_it_solves_an_ill_conditioned_problem():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, 16, generator=generator) * torch.logspace(0, -1, 16)
    target = x @ torch.randn(16, 8, generator=generator) + 1
    layer = torch.nn.Linear(16, 8)
    optimizer = muon(layer, lr=0.0, betas=(0.9, 0.99), weight_decay=0.0)
    losses = []
    for step in range(300):
        for group in optimizer.param_groups:
            group["lr"] = 0.2 * (1 - step / 300)
        loss = (layer(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 1e-3 * losses[0]


def test_matrices_that_mix_channels_and_nothing_else_get_it(toy_config):
    codec = Codec(replace(toy_config, codebook_kind="gradient"))
    optimizer = muon(codec, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.0)
    matrices, others = ({id(p) for p in group["params"]} for group in optimizer.param_groups)
    names = {name: id(parameter) for name, parameter in codec.named_parameters()}
    assert set(names.values()) == matrices | others
    for name, number in names.items():
        is_matrix = number in matrices
        assert not (is_matrix and ("depthwise" in name or "codebook" in name or name.endswith("bias"))), name
    assert any("codebook" in name for name in names)
    assert len(matrices) > 5
