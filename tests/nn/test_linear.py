from copy import deepcopy

import numpy as np
import pytest
import torch
from torch.nn import functional

from vqcodec.nn.linear import Linear, linear


def shapes(codec):
    """[out, in] of every matrix product of a model."""
    found = {tuple(m.weight.shape) for m in codec.modules() if isinstance(m, torch.nn.Linear)}
    found |= {(len(m.weight), m.weight[0].numel()) for m in codec.modules() if isinstance(m, torch.nn.Conv2d)}
    return found | {(codec.codebook_size, codec.config.latent_dim)}


@torch.no_grad()
def test_a_row_is_the_same_to_the_bit_whatever_rows_come_with_it(codec):
    """What rules out that a stream and a file choose different codes; a change of kernels would show here."""
    torch.manual_seed(0)
    for out, inputs in sorted(shapes(codec)):
        layer = Linear(inputs, out)
        x = torch.randn(1100, inputs)
        whole = layer(x, gelu=True)
        for rows in (*range(1, 20), 31, 32, 33, 64, 100, 256, 257, 1024):
            first = 1100 - rows
            assert torch.equal(layer(x[first:].clone(), gelu=True), whole[first:]), (out, inputs, rows)


@pytest.mark.parametrize("shape", [(5,), (1, 5), (2, 3, 5), (0, 5)])
@pytest.mark.parametrize("gelu", [False, True])
def test_equals_torchs_layer(shape, gelu):
    torch.manual_seed(0)
    layer, x = Linear(5, 7), torch.randn(shape)
    wanted = functional.linear(x, layer.weight, layer.bias)
    wanted = functional.gelu(wanted) if gelu else wanted
    with torch.inference_mode():
        fast = layer(x, gelu=gelu)
        assert torch.equal(layer(x, gelu=gelu), fast)
    assert fast.shape == wanted.shape
    assert torch.allclose(fast, wanted, atol=1e-6)
    assert torch.equal(layer(x, gelu=gelu), wanted)


def test_gradients_reach_input_and_weights():
    x, weight = torch.randn(3, 5, requires_grad=True), torch.randn(7, 5, requires_grad=True)
    linear(x, weight, None, gelu=True).sum().backward()
    assert np.all(x.grad.numpy() != 0)
    assert np.all(weight.grad.numpy() != 0)


@torch.no_grad()
@pytest.mark.parametrize("change", ["in place", "data", "load_state_dict", "to"])
def test_what_is_kept_of_weights_follows_them(change):
    """The packed weights of the fast kernel are made again when the weights change, however that happens."""
    layer, x = Linear(64, 64), torch.randn(8, 64)
    layer(x)
    if change == "in place":
        layer.weight.mul_(2)
    elif change == "data":
        layer.weight.data = layer.weight.data * 2
    elif change == "load_state_dict":
        layer.load_state_dict(Linear(64, 64).state_dict())
    else:
        layer.to(torch.float64)
        layer.weight.add_(1)
        layer.to(torch.float32)
    assert torch.allclose(layer(x), functional.linear(x, layer.weight, layer.bias), atol=1e-5)


@torch.no_grad()
def test_a_copy_of_a_module_keeps_nothing_of_the_original():
    layer, x = Linear(16, 16), torch.randn(8, 16)
    layer(x)
    copy = deepcopy(layer)
    copy.weight.mul_(2)
    assert torch.allclose(copy(x), functional.linear(x, copy.weight, copy.bias), atol=1e-5)
    assert torch.allclose(layer(x), functional.linear(x, layer.weight, layer.bias), atol=1e-5)
