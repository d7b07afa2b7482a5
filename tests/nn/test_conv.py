import pytest
import torch
from torch.nn import functional

from vqcodec.nn.conv import CausalConv1d, run_layers


@pytest.mark.parametrize(("kernel_size", "stride", "groups"), [(7, 1, 8), (3, 1, 1), (8, 4, 1), (4, 4, 1)])
def test_equals_conv1d_over_a_zero_padded_past(kernel_size, stride, groups):
    torch.manual_seed(0)
    layer = CausalConv1d(8, 16, kernel_size=kernel_size, stride=stride, groups=groups)
    x = torch.randn(2, 24, 8)
    y, _ = layer(x)
    padded = functional.pad(x.transpose(1, 2), (kernel_size - stride, 0))
    wanted = functional.conv1d(padded, layer.conv.weight[..., 0], layer.conv.bias, stride, groups=groups)
    assert torch.allclose(y, wanted.transpose(1, 2), atol=1e-5)


@pytest.mark.parametrize(("kernel_size", "stride"), [(7, 1), (8, 4)])
def test_pieces_joined_equal_the_whole(kernel_size, stride):
    torch.manual_seed(0)
    layers = [CausalConv1d(4, 4, kernel_size=kernel_size, stride=stride), CausalConv1d(4, 4, kernel_size=3)]
    x = torch.randn(1, 40, 4)
    whole, _ = run_layers(layers, x)
    state, pieces = None, []
    for piece in x.split([4, 8, 4, 24], dim=1):
        y, state = run_layers(layers, piece, state)
        pieces.append(y)
    assert torch.allclose(torch.cat(pieces, dim=1), whole, atol=1e-6)


def test_a_later_input_changes_no_earlier_output():
    torch.manual_seed(0)
    layer = CausalConv1d(4, 4, kernel_size=5)
    x = torch.randn(1, 20, 4)
    changed = x.clone()
    changed[:, 12:] += 1
    before, after = layer(x)[0], layer(changed)[0]
    assert torch.equal(before[:, :12], after[:, :12])
    assert not torch.allclose(before[:, 12], after[:, 12])
