"""An encoder that hears clean, full-band speech in what is noisy, reverberant, clipped or of a telephone.

A net in front of a trained encoder sees the magnitudes of its compressed spectrum, longer into the past than the
encoder does. It gives a factor per bin (a mask, as in Braun and Tashev 2021) before the encoder, and a correction of
the latent after it, for what no mask can bring back, such as a missing upper band. Both begin as nothing: mask 1,
correction 0. So the whole is the trained encoder at first, and what is clean can stay as it is.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from vqcodec.nn.blocks import ConvNeXtBlock
from vqcodec.nn.conv import CausalConv1d, Pasts, past_shapes, run_layers
from vqcodec.nn.encoder import CompressedSpectrum, Encoder
from vqcodec.nn.linear import Linear

MOST_GAIN = 2.0
"""The largest factor of compressed magnitudes: 20 dB."""


class EnhancingEncoder(nn.Module):
    """Wave to latent, as the `encoder` in it, of what speech there is. No later: mask and latent are of one frame.

    Shape: wave [B, T], T a multiple of hop -> latent [B, T / hop, latent_dim].
    channels: width of the net in front
    kernels:  of its blocks, each in latents that it sees
    """

    def __init__(self, encoder: Encoder, *, channels: int, kernels: Sequence[int]) -> None:
        super().__init__()
        self.encoder = encoder
        self.channels, self.kernels = channels, list(kernels)
        spectrum, stride = encoder.layers[0], encoder.stride
        assert isinstance(spectrum, CompressedSpectrum)
        self.bins = spectrum.window_length // 2 + 1
        self.layers = nn.ModuleList(
            [
                CausalConv1d(self.bins, channels, kernel_size=2 * stride, stride=stride),
                *(ConvNeXtBlock(channels, kernel_size=size) for size in kernels),
            ]
        )
        self.norm = nn.LayerNorm(channels)
        self.to_mask = Linear(channels, stride * self.bins)
        self.to_correction = Linear(channels, encoder.to_latent.out_features)
        for parameter in (*self.to_mask.parameters(), *self.to_correction.parameters()):
            nn.init.zeros_(parameter)

    @property
    def past_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the tensors of a state, without the batch."""
        return past_shapes([*self.encoder.layers[:1], *self.layers, *self.encoder.layers[1:]])

    @override
    def forward(self, wave: Tensor, state: Pasts | None = None) -> tuple[Tensor, Pasts]:
        """Encode `wave` after the past in `state`; see the class for shapes."""
        first, last = self.encoder.layers[:1], self.encoder.layers[1:]
        ends = 1, 1 + len(self.layers)
        pasts = [None] * 3 if state is None else [state[: ends[0]], state[ends[0] : ends[1]], state[ends[1] :]]
        spectrum, past = run_layers(first, wave, pasts[0])
        parts = spectrum.view(*spectrum.shape[:2], -1, 2)
        magnitudes = (parts.square().sum(-1) + 1e-6).sqrt()
        hidden, net_past = run_layers(self.layers, magnitudes, pasts[1])
        hidden = self.norm(hidden)
        mask = MOST_GAIN * torch.sigmoid(self.to_mask(hidden)).reshape(magnitudes.shape)
        features, last_past = run_layers(last, (parts * mask[..., None]).flatten(2), pasts[2])
        latent = self.encoder.to_latent(self.encoder.norm(features)) + self.to_correction(hidden)
        return latent, [*past, *net_past, *last_past]
