"""Residual vector quantization: each codebook quantizes what the ones before it left over.

SoundStream (Zeghidour et al. 2021, algorithm 1) with its quantizer dropout, and a gradual start: a share of the
items passes through unquantized while training, so that the encoder is never cut off from the reconstruction loss.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from vqcodec.nn.quantizer import Codebook


@dataclass  # not frozen: Fabric rebuilds outputs when it casts them
class Quantized:
    """What the stack returns while training. All but `latent` and `codes` are statistics or losses.

    latent:          [B, F, dim] with a straight-through gradient
    codes:           [B, K, F] int64
    commitment_loss: scalar, mean squared distance of the latent to its quantized self, averaged over depths
    codebook_loss:   scalar, 0 for EMA codebooks
    residual_energy: [K], energy left after each codebook relative to the latent's variance
    revived:         [K], dead codes replaced in this step
    """

    latent: Tensor
    codes: Tensor
    commitment_loss: Tensor
    codebook_loss: Tensor
    residual_energy: Tensor
    revived: Tensor


class ResidualQuantizer(nn.Module):
    """A stack of codebooks over a latent of the same dimension."""

    def __init__(self, codebooks: list[Codebook]) -> None:
        super().__init__()
        self.codebooks = cast(list[Codebook], nn.ModuleList(codebooks))  # typed by what it holds

    def encode(self, latent: Tensor, num_codebooks: int) -> Tensor:
        """Codes [B, num_codebooks, F] (int64) of `latent` [B, F, dim]."""
        residual, codes = latent.flatten(0, 1), []
        for codebook in self.codebooks[:num_codebooks]:
            code = codebook.nearest(residual)
            residual = residual - codebook.lookup(code)
            codes.append(code.view(latent.shape[:2]))
        return torch.stack(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Quantized latent [B, F, dim] of `codes` [B, K, F]: the sum of the codebook vectors."""
        layers = zip(self.codebooks, codes.unbind(1), strict=False)
        return torch.stack([codebook.lookup(code) for codebook, code in layers]).sum(0)

    def forward(self, latent: Tensor, depths: Tensor, unquantized: Tensor) -> Quantized:
        """Quantize `latent` [B, F, dim] for training, and let the codebooks learn when in training mode.

        depths [B] (int64) is how many codebooks each item uses; items where `unquantized` [B] (bool) is true keep
        their latent.
        """
        residual = latent.detach().flatten(0, 1)
        variance = residual.var(dim=0).sum().clamp(min=1e-8)
        quantized = torch.zeros_like(latent)
        codes, commitments, codebook_losses, energies, revived = [], [], [], [], []
        for k, codebook in enumerate(self.codebooks):
            code = codebook.nearest(residual)
            # Looked up before the codebook learns: the decoder must see the vectors that made the codes.
            chosen = codebook.lookup(code).detach()
            if self.training:
                loss, dead = codebook.learn(residual, code)
                codebook_losses.append(loss)
                revived.append(dead)
            residual = residual - chosen
            used = (k < depths).to(latent.dtype)[:, None, None]
            quantized = quantized + used * chosen.view(latent.shape)
            commitments.append((used * (latent - quantized).square()).mean())
            codes.append(code.view(latent.shape[:2]))
            energies.append(residual.square().sum(1).mean() / variance)
        straight_through = latent + (quantized - latent).detach()
        zero = latent.new_zeros(())
        return Quantized(
            latent=torch.where(unquantized[:, None, None], latent, straight_through),
            codes=torch.stack(codes, dim=1),
            commitment_loss=torch.stack(commitments).mean(),
            codebook_loss=torch.stack(codebook_losses).mean() if codebook_losses else zero,
            residual_energy=torch.stack(energies),
            revived=torch.stack(revived) if revived else torch.zeros(len(codes), device=latent.device),
        )

    @torch.no_grad()
    def start_from(self, latent: Tensor) -> None:
        """Initialise every codebook by k-means on what the ones before it leave of `latent` [N, dim]."""
        residual = latent
        for codebook in self.codebooks:
            codebook.start_from(residual)
            residual = residual - codebook.lookup(codebook.nearest(residual))
