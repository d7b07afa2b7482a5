"""What an arrangement of codebooks does for a codec, and what a training step gives it and gets."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

BEAMS = 4
"""Beams of the search for codes, unless it is told otherwise."""


@dataclass  # not frozen: Fabric rebuilds inputs and outputs when it casts them
class Draw:
    """What a training step draws or schedules for the quantizer.

    depths:      [B] or [B, F] int64, how many codebooks each item or frame uses
    unquantized: [B] bool, items that keep their latent: the encoder is never cut off from the reconstruction loss
    blend:       share of the quantized latent in what the decoder reads; the rest is the latent
    temperature: of soft and random choices
    entropies:   whether to measure the entropies of assignments
    """

    depths: Tensor
    unquantized: Tensor
    blend: float = 1.0
    temperature: float = 1.0
    entropies: bool = False


@dataclass
class Quantized:
    """What a quantizer returns while training. All but `latent` and `codes` are statistics or losses.

    latent:             [B, F * steps, dim] with the gradient that the codebooks let through
    codes:              [B, K, F] int64
    commitment_loss:    scalar, mean over layers and used items
    codebook_loss:      scalar, mean over codebooks
    residual_energy:    [K], energy left after each layer relative to the latent's variance
    revived:            [K], dead codes replaced in this step
    assignment_entropy: scalar, mean over codebooks, see `Codebook.entropies`; 0 if not asked for
    usage_entropy:      scalar, likewise
    """

    latent: Tensor
    codes: Tensor
    commitment_loss: Tensor
    codebook_loss: Tensor
    residual_energy: Tensor
    revived: Tensor
    assignment_entropy: Tensor
    usage_entropy: Tensor


class Quantizer(nn.Module):
    """Latents <-> codes. Abstract.

    total_codebooks: codes per frame, K
    steps:           latents per frame of codes
    """

    total_codebooks: int
    steps: int

    def encode(self, latent: Tensor, num_codebooks: int, *, beams: int = BEAMS) -> Tensor:
        """Return the codes [B, num_codebooks, F] (int64) of `latent` [B, F * steps, dim].

        `beams`: of a search for the codes whose sum is nearest, where the codebooks allow one. With 1 each takes what
        is nearest to the rest, so that fewer codes are a prefix of more.
        """
        raise NotImplementedError

    def encode_for(self, latent: Tensor, num_codebooks: Tensor, *, beams: int = BEAMS) -> Tensor:
        """Return the codes [B, total_codebooks, F] of `encode`, -1 above `num_codebooks` [], an input of graphs."""
        return only_first(self.encode(latent, self.total_codebooks, beams=beams), num_codebooks)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the quantized latent [B, F * steps, dim] of `codes` [B, any K, F]."""
        raise NotImplementedError

    @override
    def forward(self, latent: Tensor, draw: Draw) -> Quantized:
        """Quantize `latent` [B, F * steps, dim] for training, and let the codebooks learn when in training mode."""
        raise NotImplementedError

    def start_from(self, latent: Tensor) -> None:
        """Begin every codebook anew, fit for what the ones before it leave of `latent` [N * steps, dim]."""
        raise NotImplementedError

    def table(self) -> Tensor:
        """Give what a code adds to the latents of its frame, [K * codebook_size, steps * dim]: `decode` sums rows."""
        raise NotImplementedError


def only_first(codes: Tensor, num_codebooks: Tensor) -> Tensor:
    """Return `codes` [B, K, F] with -1 in all but the first codebooks."""
    is_kept = torch.arange(codes.shape[1], device=codes.device)[:, None] < num_codebooks
    return torch.where(is_kept, codes, -1)
