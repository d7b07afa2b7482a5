"""Causal convolution over frames with explicit state, so that a stream and a whole file take one path.

`y, state = layer(x, state)`: the state of a layer is what it must remember of the past, a tensor of fixed shape;
`None` starts a stream and means zeros. Feeding x in pieces, each a multiple of the stride, and joining the outputs
equals feeding x at once.
"""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from vqcodec.nn.linear import linear

Pasts = list[Tensor]
"""What a chain of layers remembers between calls: a tensor for each of those that remember."""


class Streaming(nn.Module):
    """A layer with a past: `forward(x, past)` returns the output and the new past, of `past_shape` per stream."""

    past_shape: tuple[int, ...]


class CausalConv1d(Streaming):
    """Convolution whose output frame sees no later input: the past is padded with `kernel_size - stride` frames.

    Shape: x [B, F, in_channels], F a multiple of stride -> y [B, F / stride, out_channels].
    Past: the last `kernel_size - stride` input frames, [B, kernel_size - stride, in_channels].
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        # A 2-d convolution of width 1: its channels-last kernels read [B, F, C] in place and are 2 to 4 times
        # faster than Conv1d's for depthwise filters.
        conv = nn.Conv2d(in_channels, out_channels, (kernel_size, 1), stride=(stride, 1), groups=groups)
        conv.weight.data = conv.weight.data.contiguous(memory_format=torch.channels_last)
        self.conv = conv
        self.kernel_size, self.stride = kernel_size, stride
        self.context = kernel_size - stride
        self.past_shape = (self.context, in_channels)

    @override
    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Convolve `x` after the frames in `past`; see the class for shapes."""
        x = after(past, x, self.past_shape)
        return self._convolve(x), x[:, x.shape[1] - self.context :].detach().clone()  # a view would hold all of x

    def _convolve(self, x: Tensor) -> Tensor:
        weight, bias, groups = self.conv.weight, self.conv.bias, self.conv.groups
        if torch.is_grad_enabled() or groups > 1:
            # [B, F, C] with a dimension of 1 is [B, C, 1, F] in channels-last order: nothing is copied.
            columns = x.unsqueeze(1).permute(0, 3, 1, 2)
            weight = weight.transpose(2, 3)
            if groups == 1 and torch.is_autocast_enabled("cpu"):
                weight = weight.contiguous()  # where a processor has no AVX-512, the gradient in bf16 needs it
            y = F.conv2d(columns, weight, bias, stride=(1, self.stride), groups=groups)
            return y.squeeze(2).transpose(1, 2)
        # As a matrix product: the kernels of a convolution that mixes channels differ with the number of frames.
        rows = weight.squeeze(3).transpose(1, 2).flatten(1)
        return linear(overlapping(x, self.kernel_size, self.stride), rows, bias, owner=weight)


def after(past: Tensor | None, x: Tensor, past_shape: Sequence[int]) -> Tensor:
    """Return `past` [B, n, ...] and `x` [B, m, ...] joined to [B, n + m, ...]; no past is zeros."""
    if past is None:
        past = x.new_zeros(x.shape[0], *past_shape)
    return torch.cat((past, x), dim=1)


def overlapping(x: Tensor, length: int, step: int) -> Tensor:
    """Return the pieces of `length` frames, `step` apart: x [B, F, C] -> [B, (F - length) / step + 1, length * C].

    `length` and F are multiples of `step`.
    """
    steps = x.reshape(x.shape[0], -1, step * x.shape[2])
    count = steps.shape[1] - length // step + 1
    return torch.cat([steps[:, start : start + count] for start in range(length // step)], dim=2)


def overlap_add(frames: Tensor, hop: int, past: Tensor | None = None) -> Tensor:
    """Sum windows [B, S, window], `hop` apart, and the `past` [B, window - hop] to a wave [B, (S - 1) * hop + window].

    `window` is a multiple of `hop`.
    """
    batch, count, window = frames.shape
    overlap = window // hop - 1
    wave = sum(
        F.pad(piece, (0, 0, offset, overlap - offset)) for offset, piece in enumerate(torch.split(frames, hop, dim=-1))
    )
    assert isinstance(wave, Tensor)
    if past is not None:
        wave = wave + F.pad(past.view(batch, overlap, hop), (0, 0, 0, count))
    return wave.flatten(1)


def run_layers(layers: Iterable[nn.Module], x: Tensor, state: Pasts | None = None) -> tuple[Tensor, Pasts]:
    """Run `layers` in turn; the state of the chain has the pasts of its Streaming layers, in order."""
    pasts = None if state is None else iter(state)
    new_state = []
    for layer in layers:
        if isinstance(layer, Streaming):
            x, past = layer(x, None if pasts is None else next(pasts))
            new_state.append(past)
        else:
            x = layer(x)
    return x, new_state


def past_shapes(layers: Iterable[nn.Module]) -> list[tuple[int, ...]]:
    """Return the shapes of the tensors in the state of `layers`, without the batch."""
    return [layer.past_shape for layer in layers if isinstance(layer, Streaming)]
