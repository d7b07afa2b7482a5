"""Signs of life of a codec in training: use of every codebook, and how many directions of the latent live.

A falling loss hides collapse; these do not. With a commitment loss summed over depths the covariance of a latent kept
two directions, codebooks from the third on carried nothing, and quality did not rise with bitrate.
"""

import torch
from torch import Tensor


@torch.no_grad()
def perplexity(codes: Tensor, codebook_size: int) -> list[float]:
    """Return exp(entropy) of each codebook's codes [B, K, F]: `codebook_size` if all are used alike, 1 if one is."""
    counts = torch.stack([torch.bincount(c.flatten(), minlength=codebook_size) for c in codes.unbind(1)])
    shares = counts / counts.sum(1, keepdim=True)
    return torch.exp(-torch.special.xlogy(shares, shares).sum(1)).tolist()


@torch.no_grad()
def live_directions(latent: Tensor) -> tuple[float, list[float]]:
    """Return the participation ratio and the largest 8 eigenvalues' shares, of the covariance of `latent` [B, F, dim].

    The participation ratio, (sum of eigenvalues)^2 / sum of squares, is dim for white latents and 1 for a line.
    """
    vectors = latent.flatten(0, 1).float().cpu()
    eigenvalues = torch.linalg.eigvalsh(torch.cov(vectors.t())).clamp(min=0).flip(0)
    total = eigenvalues.sum().clamp(min=1e-12)
    ratio = total.square() / eigenvalues.square().sum().clamp(min=1e-24)
    return float(ratio), (eigenvalues[:8] / total).tolist()
