"""The residual block of the codec's body: ConvNeXt in one dimension (Liu et al. 2022, as in Vocos 2023), causal."""

from torch import Tensor, full, nn
from typing_extensions import override

from vqcodec.nn.conv import CausalConv1d, Streaming
from vqcodec.nn.linear import Linear


class ConvNeXtBlock(Streaming):
    """x + scale * MLP(LayerNorm(depthwise causal convolution of x)).

    Shape: x [B, F, channels] -> [B, F, channels]. The per-channel `scale` starts at 0.1, so that a deep stack
    begins close to the identity.
    """

    def __init__(self, channels: int, *, kernel_size: int = 7, expansion: int = 3) -> None:
        super().__init__()
        self.depthwise = CausalConv1d(channels, channels, kernel_size=kernel_size, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.widen = Linear(channels, expansion * channels)
        self.narrow = Linear(expansion * channels, channels)
        self.scale = nn.Parameter(full((channels,), 0.1))
        self.past_shape = self.depthwise.past_shape

    @override
    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the block after the frames in `past`."""
        y, past = self.depthwise(x, past)
        y = self.narrow(self.widen(self.norm(y), gelu=True))
        return x + self.scale * y, past
