"""The residual block of the codec's body: ConvNeXt in one dimension (Liu et al. 2022, as in Vocos 2023), causal."""

import torch.nn.functional as F
from torch import Tensor, full, nn

from vqcodec.nn.conv import CausalConv1d, State


class ConvNeXtBlock(nn.Module):
    """x + scale * MLP(LayerNorm(depthwise causal convolution of x)).

    Shape: x [B, F, channels] -> [B, F, channels]. The per-channel `scale` starts at 0.1, so that a deep stack
    begins close to the identity.
    """

    def __init__(self, channels: int, *, kernel_size: int = 7, expansion: int = 3) -> None:
        super().__init__()
        self.depthwise = CausalConv1d(channels, channels, kernel_size=kernel_size, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, expansion * channels)
        self.narrow = nn.Linear(expansion * channels, channels)
        self.scale = nn.Parameter(full((channels,), 0.1))

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Apply the block after the frames in `state`."""
        y, state = self.depthwise(x, state)
        y = self.narrow(F.gelu(self.widen(self.norm(y))))
        return x + self.scale * y, state
