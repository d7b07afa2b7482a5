"""Wave -> latent: a power-compressed short-time spectrum, a few layers at its rate, the body at the frame rate.

Starting from a windowed Fourier basis whose output magnitudes are raised to 0.3 learned several times faster than
strided convolutions on samples (the front end of speech enhancement; StreamCodec and FreqCodec start alike).
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from vqcodec.nn.attention import attention_layers
from vqcodec.nn.blocks import ConvNeXtBlock
from vqcodec.nn.conv import CausalConv1d, Pasts, Streaming, after, overlapping, past_shapes, run_layers
from vqcodec.nn.linear import Linear
from vqcodec.nn.sizes import Sizes

COMPRESSION = 0.3
"""Exponent of spectral magnitudes on both sides of the codec: roughly loudness, and well scaled for a network."""


class CompressedSpectrum(Streaming):
    """Causal STFT with magnitudes raised to 0.3 and phases kept, as real and imaginary parts.

    Shape: wave [B, T], T a multiple of stft_hop -> [B, T / stft_hop, 2 * (window / 2 + 1)].
    Past: the last `window - stft_hop` samples. Frame f sees samples up to (f + 1) * stft_hop, none after.
    """

    window: Tensor

    def __init__(self, window_length: int, stft_hop: int) -> None:
        super().__init__()
        self.window_length, self.stft_hop = window_length, stft_hop
        self.past_shape = (window_length - stft_hop,)
        self.register_buffer("window", torch.hann_window(window_length), persistent=False)

    @override
    def forward(self, wave: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Analyse `wave` after the samples in `past`."""
        wave = after(past, wave, self.past_shape)
        frames = overlapping(wave.unsqueeze(2), self.window_length, self.stft_hop)
        return self._compressed(frames), wave[:, wave.shape[1] - self.past_shape[0] :].detach().clone()

    def _compressed(self, frames: Tensor) -> Tensor:
        """Real and imaginary parts in turn, [B, S, window + 2], of frames [B, S, window]."""
        if torch.compiler.is_compiling():  # exported: no runtime has a transform as fast as its matrix product
            parts = frames @ fourier_basis(self.window).T
            parts = parts.view(*parts.shape[:2], -1, 2)
            # Without a last dimension of 1, with which onnxruntime takes ten times as long.
            gain = _gain(parts.square().sum(-1))
            return (parts * gain[..., None]).flatten(2)
        spectrum = torch.fft.rfft(frames * self.window)
        # By way of complex numbers: a factor for pairs of reals is several times slower, and so is their sum.
        real, imaginary = torch.view_as_real(spectrum).unbind(-1)
        return torch.view_as_real(spectrum * _gain(real * real + imaginary * imaginary)).flatten(2)


def _gain(power: Tensor) -> Tensor:
    """What compresses a number whose square of the magnitude is `power`."""
    # A power, but several times faster.
    return 2 * torch.exp(torch.log(power.clamp(min=1e-8)) * ((COMPRESSION - 1) / 2))


class Encoder(nn.Module):
    """Wave to latent.

    Shape: wave [B, T], T a multiple of hop = stft_hop * stride -> latent [B, T / hop, latent_dim].
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        channels, stft_channels = sizes.channels, sizes.stft_channels
        self.stride = sizes.stride
        down = CausalConv1d(stft_channels, channels, kernel_size=2 * sizes.stride, stride=sizes.stride)
        self.layers = nn.ModuleList(
            [
                CompressedSpectrum(sizes.window_length, sizes.stft_hop),
                CausalConv1d(sizes.window_length + 2, stft_channels, kernel_size=3),
                *(ConvNeXtBlock(stft_channels) for _ in range(sizes.stft_blocks)),
                down,
                *(ConvNeXtBlock(channels) for _ in range(sizes.blocks)),
                *attention_layers(channels, heads=sizes.attention_heads, window=sizes.attention_window),
            ]
        )
        self.norm = nn.LayerNorm(channels)
        self.to_latent = Linear(channels, sizes.latent_dim)

    @property
    def past_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the tensors of a state, without the batch."""
        return past_shapes(self.layers)

    @override
    def forward(self, wave: Tensor, state: Pasts | None = None) -> tuple[Tensor, Pasts]:
        """Encode `wave` after the past in `state`; see the class for shapes."""
        features, state = run_layers(self.layers, wave, state)
        return self.to_latent(self.norm(features)), state


def fourier_basis(window: Tensor) -> Tensor:
    """Make the windowed Fourier transform, a matrix [window + 2, window]: rows of real and imaginary parts in turn."""
    length = len(window)
    turns = torch.outer(torch.arange(length // 2 + 1), torch.arange(length)) % length
    angles = turns.double() * (2 * torch.pi / length)
    return (torch.stack((angles.cos(), -angles.sin()), dim=1).flatten(0, 1) * window).float()
