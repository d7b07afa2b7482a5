"""Self-attention over the latest frames (Vaswani et al. 2017): causal and windowed, it streams like a convolution."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from vqcodec.nn.conv import Streaming, after, overlapping
from vqcodec.nn.linear import Linear


class WindowedAttention(Streaming):
    """x + scale * attention(LayerNorm(x)): each frame sees itself and the `window - 1` frames before it.

    Shape: x [B, F, channels] -> [B, F, channels]. Past: keys and values, [B, window - 1, 2 * channels]. Each head
    adds a learned bias for each distance. Before the beginning keys and values are zero, as a convolution sees zeros.
    """

    def __init__(self, channels: int, *, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.context = window - 1
        self.past_shape = (self.context, 2 * channels)
        self.norm = nn.LayerNorm(channels)
        self.to_query = Linear(channels, channels)
        self.to_keys_and_values = Linear(channels, 2 * channels)
        self.mix = Linear(channels, channels)
        self.distance_bias = nn.Parameter(torch.zeros(window, heads))
        self.scale = nn.Parameter(torch.full((channels,), 0.1))

    @override
    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Attend from `x` to it and the frames in `past`."""
        y = self.norm(x)
        seen = after(past, self.to_keys_and_values(y), self.past_shape)
        # [B, F, window, 2, heads, channels / heads]; sums instead of matrix products, whose kernels change with F.
        batch, frames, _ = x.shape
        windows = overlapping(seen, self.window, 1)
        keys, values = windows.reshape(batch, frames, self.window, 2, self.heads, -1).unbind(3)
        query = self.to_query(y).reshape(batch, frames, 1, self.heads, -1)
        scores = (query * keys).sum(-1) * keys.shape[-1] ** -0.5 + self.distance_bias
        mixed = (torch.softmax(scores, dim=2)[..., None] * values).sum(2).flatten(2)
        return x + self.scale * self.mix(mixed), seen[:, seen.shape[1] - self.context :].detach().clone()


def attention_layers(channels: int, *, heads: int, window: int) -> list[WindowedAttention]:
    """Make one layer, or none for a window of 0."""
    return [WindowedAttention(channels, heads=heads, window=window)] if window else []
