"""Bits per code: what a prior, and what the entropy model of a codec, needs for the codes of speech."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vqcodec.tokens.patterns import Delayed
from vqcodec.tokens.prior.network import Prior

_BLOCK_STEPS = 512


@torch.no_grad()
def bits_per_code(prior: Prior, utterances: Iterable[NDArray[np.uint16]]) -> list[float]:
    """Return the mean bits of a code of each codebook, of utterances [K, F] of any length; each begins anew."""
    sizes, device = prior.sizes, prior.codebook_bias.device
    pattern = Delayed(sizes.num_codebooks, sizes.codebook_size)
    sums, frames = torch.zeros(sizes.num_codebooks, dtype=torch.float64), 0
    for codes in utterances:
        tokens = torch.from_numpy(pattern.flatten(codes[: sizes.num_codebooks])).to(device)[None]
        read = torch.cat((torch.full_like(tokens[..., :1], pattern.pad), tokens[..., :-1]), dim=2)
        seen = None
        for start in range(0, tokens.shape[2], _BLOCK_STEPS):
            logits, seen = prior(read[..., start : start + _BLOCK_STEPS], seen)
            losses = token_losses(logits, tokens[..., start : start + _BLOCK_STEPS])
            sums += losses.sum((0, 1)).double().cpu()
        frames += codes.shape[1]
    return (sums / max(1, frames) / math.log(2)).tolist()


def token_losses(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return -ln of how likely each token was, [B, T, K]; 0 for pads. logits [B, T, K, size], tokens [B, K, T]."""
    wanted = tokens.transpose(1, 2)
    size = logits.shape[-1]
    losses = F.cross_entropy(logits.float().reshape(-1, size), wanted.reshape(-1), ignore_index=size, reduction="none")
    return losses.view(wanted.shape)


def mean_bits(bits: Sequence[float]) -> float:
    """Return the mean over codebooks."""
    return sum(bits) / len(bits)
