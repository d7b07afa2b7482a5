"""Latent -> wave: the body at the frame rate, a few layers at the STFT rate, an inverse STFT as the last layer, or a
source and a filter (source_filter.py).

The head predicts the power-compressed complex spectrum (see encoder.py), after Vocos (Siuzdak 2023), whose frame-rate
network with an inverse STFT is an order of magnitude cheaper than transposed convolutions up to the sample rate.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from typing_extensions import override

from vqcodec.nn.attention import attention_layers
from vqcodec.nn.blocks import ConvNeXtBlock
from vqcodec.nn.conv import CausalConv1d, Pasts, Streaming, overlap_add, past_shapes, run_layers
from vqcodec.nn.encoder import fourier_basis
from vqcodec.nn.linear import Linear
from vqcodec.nn.sizes import Sizes
from vqcodec.nn.source_filter import NOISE_FRAMES, SourceFilter
from vqcodec.nn.speakers import SPEAKER_DIM, SpeakerNorm


class Upsample(nn.Module):
    """Each frame becomes `factor` frames by one linear layer. Shape: [B, F, in] -> [B, F * factor, out]."""

    def __init__(self, in_channels: int, out_channels: int, *, factor: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.linear = Linear(in_channels, factor * out_channels)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Upsample `x`."""
        y: Tensor = self.linear(x)
        return y.reshape(x.shape[0], -1, self.out_channels)


class InverseSpectrum(Streaming):
    """Features -> compressed complex spectrum -> inverse STFT by overlap-add.

    Shape: features [B, S, channels] -> wave [B, S * stft_hop], which lags the features' time by
    `delay_samples = window - stft_hop`: a sample is complete when the last window over it has arrived.
    Past: the unfinished `delay_samples` at the end, [B, delay_samples].
    """

    window: Tensor

    def __init__(self, channels: int, *, window_length: int, stft_hop: int) -> None:
        super().__init__()
        self.window_length, self.stft_hop = window_length, stft_hop
        self.delay_samples = window_length - stft_hop
        self.past_shape = (self.delay_samples,)
        self.context_samples = self.delay_samples
        self.norm = nn.LayerNorm(channels)
        self.to_spectrum = Linear(channels, window_length + 2)
        nn.init.normal_(self.to_spectrum.weight, std=0.02)
        nn.init.zeros_(self.to_spectrum.bias)
        window = torch.hann_window(window_length)
        envelope = overlap_add(window.square().expand(1, window_length // stft_hop, -1), stft_hop)[0]
        steady = envelope[self.delay_samples]
        self.register_buffer("window", window / steady, persistent=False)

    @override
    def forward(self, features: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Synthesize after the overlap in `past`; see the class for shapes."""
        parts = self.to_spectrum(self.norm(features)).float().unflatten(-1, (-1, 2))
        wave = overlap_add(self._frames(parts), self.stft_hop, past)
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


class Decoder(nn.Module):
    """Latent to wave.

    Shape: latent [B, F, latent_dim] -> wave [B, F * hop], hop = stft_hop * stride, late by `delay_samples`. The samples
    of the last latents come when some more follow: whoever has no more gives the last once more.
    source_hz: upper end of the band from which all above is excited; 0: the spectrum alone makes the wave.
    speakers: how many it can be told to speak as; 0: it is told none.
    """

    def __init__(self, sizes: Sizes, *, sample_rate_hz: int = 16000, source_hz: int = 0, speakers: int = 0) -> None:
        super().__init__()
        channels, stft_channels = sizes.channels, sizes.stft_channels
        self.stride = sizes.stride
        spectrum = {"window_length": sizes.window_length, "stft_hop": sizes.stft_hop}
        self.head = (
            SourceFilter(stft_channels, **spectrum, sample_rate_hz=sample_rate_hz, source_hz=source_hz)
            if source_hz
            else InverseSpectrum(stft_channels, **spectrum)
        )
        self.delay_samples = self.head.delay_samples
        attention = attention_layers(channels, heads=sizes.attention_heads, window=sizes.attention_window)
        self.layers = nn.ModuleList(
            [
                CausalConv1d(sizes.latent_dim, channels, kernel_size=5),
                *attention,
                *(ConvNeXtBlock(channels) for _ in range(sizes.blocks)),
                Upsample(channels, stft_channels, factor=sizes.stride),
                *(ConvNeXtBlock(stft_channels) for _ in range(sizes.stft_blocks)),
            ]
        )
        self.speaker_vectors: nn.Embedding | None = None
        if speakers:
            self.speaker_vectors = nn.Embedding(speakers, SPEAKER_DIM)
            for layer, norm in self._norms():
                layer.norm = SpeakerNorm(norm.normalized_shape[0])

    @property
    def past_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the tensors of a state, without the batch."""
        return past_shapes([*self.layers, self.head])

    @override
    def forward(
        self, latent: Tensor, state: Pasts | None = None, speakers: Tensor | None = None
    ) -> tuple[Tensor, Pasts]:
        """Decode `latent` after the past in `state`; see the class for shapes.

        speakers: [B] int64, who speaks in each item, of a decoder that can be told
        """
        vectors = None if speakers is None or self.speaker_vectors is None else self.speaker_vectors(speakers)
        told = [norm for _, norm in self._norms() if isinstance(norm, SpeakerNorm)]
        for norm in told:
            norm.vectors = vectors
        try:
            return run_layers([*self.layers, self.head], latent, state)
        finally:
            for norm in told:
                norm.vectors = None

    def speak_as(self, speaker: int) -> None:
        """Turn into a decoder of this one of its speakers, without any layer that is told who speaks."""
        assert self.speaker_vectors is not None
        for layer, norm in list(self._norms()):
            assert isinstance(norm, SpeakerNorm)
            layer.norm = norm.for_speaker(self.speaker_vectors.weight[speaker])
        self.speaker_vectors = None

    def _norms(self) -> Iterator[tuple[nn.Module, nn.LayerNorm]]:
        """Yield each layer whose norm can be told who speaks, with that norm."""
        for layer in (*self.layers, self.head):
            if isinstance(layer, ConvNeXtBlock | InverseSpectrum | SourceFilter):
                yield layer, layer.norm

    def start(self, batch: int, latents: int) -> Pasts:
        """Make the state of a stream whose first `latents` are left out: zeros, but for the place in the noise."""
        device = self.head.to_spectrum.weight.device
        state = [torch.zeros(batch, *shape, device=device) for shape in self.past_shapes]
        if isinstance(self.head, SourceFilter):
            state[-1][:, 0] = latents * self.stride % NOISE_FRAMES
        return state
