"""A causal transformer (Vaswani et al. 2017) with keys and values kept between calls, so that a step costs a step.

Each layer sees the latest `window` steps, whatever came before; places are told by rotation (RoPE, Su et al. 2021),
which knows distances only. So a stream may be of any length, and a call with the past gives what one over all gives.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from vqcodec.nn.linear import Linear

_ROTATION_BASE = 10_000.0


class Seen(NamedTuple):
    """What a transformer keeps of a stream: steps so far, and of each layer keys and values [B, heads, n, dim]."""

    steps: int
    layers: list[tuple[Tensor, Tensor]]


class CausalTransformer(nn.Module):
    """Pre-norm layers of windowed attention and a perceptron four times as wide, and a norm.

    Shape: x [B, T, channels] -> y [B, T, channels], T of any size.
    heads:   of each layer, a divisor of `channels` that leaves an even number
    window:  steps that a layer sees, with the one that it is at
    dropout: of what each layer adds, in training
    """

    def __init__(self, channels: int, *, layers: int, heads: int, window: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.window, self.head_dim = window, channels // heads
        self.layers = nn.ModuleList(_Layer(channels, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(channels)

    @override
    def forward(self, x: Tensor, seen: Seen | None = None) -> tuple[Tensor, Seen]:
        """Compute the next steps after those that were `seen`; see the class for shapes."""
        begun = 0 if seen is None else seen.steps
        kept = 0 if seen is None else seen.layers[0][0].shape[2]
        rotation = _rotation(begun, x.shape[1], self.head_dim, x.device)
        mask = _mask(x.shape[1], kept, self.window, x.device)
        pasts: list[tuple[Tensor, Tensor]] = []
        for index, layer in enumerate(self.layers):
            x, keys, values = layer(x, None if seen is None else seen.layers[index], rotation, mask)
            last = max(0, keys.shape[2] - self.window + 1)
            pasts.append((keys[:, :, last:].detach(), values[:, :, last:].detach()))
        return self.norm(x), Seen(begun + x.shape[1], pasts)


class _Layer(nn.Module):
    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.to_attention = Linear(channels, 3 * channels)
        self.mix = Linear(channels, channels)
        self.inner_norm = nn.LayerNorm(channels)
        self.expand = Linear(channels, 4 * channels)
        self.shrink = Linear(4 * channels, channels)
        self.dropout = nn.Dropout(dropout)
        for last in (self.mix, self.shrink):  # a layer begins as nothing
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    @override
    def forward(
        self, x: Tensor, past: tuple[Tensor, Tensor] | None, rotation: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        batch, steps, channels = x.shape
        parts = self.to_attention(self.norm(x)).view(batch, steps, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, keys, values = _rotated(parts[0], rotation), _rotated(parts[1], rotation), parts[2]
        if past is not None:
            keys, values = torch.cat((past[0], keys), dim=2), torch.cat((past[1], values), dim=2)
        heard = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
        x = x + self.dropout(self.mix(heard.transpose(1, 2).reshape(batch, steps, channels)))
        x = x + self.dropout(self.shrink(self.expand(self.inner_norm(x), gelu=True)))
        return x, keys, values


def _mask(steps: int, kept: int, window: int, device: torch.device) -> Tensor | None:
    """Which of the `kept` steps and the new ones each new one sees, [steps, kept + steps]; None: all of them."""
    if steps == 1:
        return None
    step = torch.arange(kept, kept + steps, device=device)[:, None]
    other = torch.arange(kept + steps, device=device)
    return (other <= step) & (other > step - window)


def _rotation(begun: int, steps: int, dim: int, device: torch.device) -> Tensor:
    """Cosines and sines of the angles of each step, [2, steps, dim / 2]; in float64 first, for streams of days."""
    rates = _ROTATION_BASE ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    angles = torch.arange(begun, begun + steps, dtype=torch.float64)[:, None] * rates
    return torch.stack((angles.cos(), angles.sin())).float().to(device)


def _rotated(x: Tensor, rotation: Tensor) -> Tensor:
    """Turn each pair of x [B, heads, T, dim], a number of the first half and one of the second."""
    (cosine, sine), (first, second) = rotation.to(x.dtype), x.chunk(2, dim=3)
    return torch.cat((first * cosine - second * sine, first * sine + second * cosine), dim=3)
