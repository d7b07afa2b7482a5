"""Sizes of an encoder or a decoder."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Everything that the shape of the weights of an encoder or a decoder depends on.

    window_length, stft_hop:           of the spectral window, in samples
    stride:                            STFT frames per latent
    stft_channels, stft_blocks:        width and ConvNeXt blocks at the rate of STFT frames
    channels, blocks:                  the same at the rate of latents
    latent_dim:                        numbers in a latent
    attention_window, attention_heads: latents that self-attention sees, and its heads; a window of 0: there is none
    """

    window_length: int
    stft_hop: int
    stride: int
    stft_channels: int
    channels: int
    stft_blocks: int
    blocks: int
    latent_dim: int
    attention_window: int = 0
    attention_heads: int = 4
