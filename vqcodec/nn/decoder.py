"""Latent -> wave: the body at the frame rate, a few layers at the STFT rate, an inverse STFT as the last layer.

The head predicts the power-compressed complex spectrum (see encoder.py), after Vocos (Siuzdak 2023), whose frame-rate
network with an inverse STFT is an order of magnitude cheaper than transposed convolutions up to the sample rate.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.nn.attention import attention_layers
from vqcodec.nn.blocks import ConvNeXtBlock
from vqcodec.nn.conv import CausalConv1d, State, Streaming, past_shapes, run_layers
from vqcodec.nn.encoder import fourier_basis
from vqcodec.nn.linear import Linear


class Upsample(nn.Module):
    """Each frame becomes `factor` frames by one linear layer. Shape: [B, F, in] -> [B, F * factor, out]."""

    def __init__(self, in_channels: int, out_channels: int, *, factor: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.linear = Linear(in_channels, factor * out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Upsample `x`."""
        y: Tensor = self.linear(x)
        return y.reshape(x.shape[0], -1, self.out_channels)


class InverseSpectrum(Streaming):
    """Features -> compressed complex spectrum -> inverse STFT by overlap-add.

    Shape: features [B, S, channels] -> wave [B, S * stft_hop], which lags the features' time by
    `delay_samples = window - stft_hop`: a sample is complete when the last window over it has arrived.
    Past: the unfinished `delay_samples` at the end, [B, delay_samples]; `finish` turns it into samples.
    """

    window: Tensor
    tail_gain: Tensor

    def __init__(self, channels: int, *, window_length: int, stft_hop: int) -> None:
        super().__init__()
        self.window_length, self.stft_hop = window_length, stft_hop
        self.delay_samples = window_length - stft_hop
        self.past_shape = (self.delay_samples,)
        self.norm = nn.LayerNorm(channels)
        self.to_spectrum = Linear(channels, window_length + 2)
        nn.init.normal_(self.to_spectrum.weight, std=0.02)
        nn.init.zeros_(self.to_spectrum.bias)
        window = torch.hann_window(window_length)
        envelope = _overlap_add(window.square().expand(1, window_length // stft_hop, -1), stft_hop)[0]
        steady = envelope[self.delay_samples]
        self.register_buffer("window", window / steady, persistent=False)
        tail = envelope[-self.delay_samples :] / steady
        # The last windows of a stream overlap nothing: undo their fade, but for the last few milliseconds,
        # where dividing by almost nothing would only raise noise.
        self.register_buffer("tail_gain", 1 / tail.clamp(min=0.1), persistent=False)

    def forward(self, features: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Synthesize after the overlap in `past`; see the class for shapes."""
        parts = self.to_spectrum(self.norm(features)).float().unflatten(-1, (-1, 2))
        wave = _overlap_add(self._frames(parts), self.stft_hop, past)
        return wave[:, : -self.delay_samples], wave[:, -self.delay_samples :].clone()

    def _frames(self, parts: Tensor) -> Tensor:
        """Windowed frames [B, S, window] of compressed real and imaginary parts [B, S, window / 2 + 1, 2]."""
        # Magnitudes were raised to 0.3, so this is about the inverse: |r|^3 with the phase of r.
        if torch.compiler.is_compiling():  # exported, as in the encoder
            spectrum = 0.2 * parts * (parts.square().sum(-1, keepdim=True) + 1e-8)
            # All bins but the first and the last stand for two.
            weights = torch.full((self.window_length + 2, 1), 2 / self.window_length)
            weights[[0, 1, -2, -1]] /= 2
            return spectrum.flatten(2) @ (fourier_basis(self.window) * weights)
        real, imaginary = parts.unbind(-1)
        gain = 0.2 * (real * real + imaginary * imaginary + 1e-8)
        frames: Tensor = torch.fft.irfft(torch.view_as_complex(parts) * gain, n=self.window_length)
        return frames * self.window

    def finish(self, past: Tensor) -> Tensor:
        """Samples [B, delay_samples] that remain when no features follow."""
        return past * self.tail_gain


class Decoder(nn.Module):
    """Latent to wave.

    Shape: latent [B, F, latent_dim] -> wave [B, F * hop], hop = stft_hop * stride, late by `delay_samples`.
    The last entry of the state, given to `finish`, yields the samples after the last latent.
    """

    def __init__(
        self,
        *,
        window_length: int,
        stft_hop: int,
        stride: int,
        stft_channels: int,
        channels: int,
        stft_blocks: int,
        blocks: int,
        latent_dim: int,
        attention_window: int = 0,
        attention_heads: int = 4,
    ) -> None:
        super().__init__()
        self.head = InverseSpectrum(stft_channels, window_length=window_length, stft_hop=stft_hop)
        self.delay_samples = self.head.delay_samples
        attention = attention_layers(channels, heads=attention_heads, window=attention_window)
        self.layers = nn.ModuleList(
            [
                CausalConv1d(latent_dim, channels, kernel_size=5),
                *attention,
                *(ConvNeXtBlock(channels) for _ in range(blocks)),
                Upsample(channels, stft_channels, factor=stride),
                *(ConvNeXtBlock(stft_channels) for _ in range(stft_blocks)),
            ]
        )

    @property
    def past_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the tensors of a state, without the batch."""
        return past_shapes([*self.layers, self.head])

    def forward(self, latent: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Decode `latent` after the past in `state`; see the class for shapes."""
        return run_layers([*self.layers, self.head], latent, state)

    def finish(self, state: State) -> Tensor:
        """The last `delay_samples` samples of a stream, [B, delay_samples]."""
        return self.head.finish(state[-1])


def _overlap_add(frames: Tensor, hop: int, past: Tensor | None = None) -> Tensor:
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
