"""How many codebooks each frame of a training step uses: one model serves every rate, and rates that vary in a file."""

import torch
from torch import Tensor

from vqcodec.training.config import QuantizerConfig

_CHANGE = 0.1
"""Probability that a frame begins another number, where it varies: after 0.2 s on average at 50 frames per second."""


def draw_depths(items: int, frames: int, total: int, config: QuantizerConfig) -> Tensor:
    """Draw the numbers of codebooks [items, frames] (int64, 1 to `total`) from torch's generator.

    Of `config.dropout` of the items a random number for all frames (SoundStream's quantizer dropout, Zeghidour et al.
    2021), of `config.varied` a random one for each of the pieces of random length, and all `total` for the rest.
    """
    kind = torch.rand(items, 1)
    begins = torch.rand(items, frames) < torch.where(kind < config.varied, _CHANGE, 0.0)
    drawn = torch.randint(1, total + 1, (items, frames + 1)).gather(1, begins.long().cumsum(1))
    return torch.where(kind < config.varied + config.dropout, drawn, total)
