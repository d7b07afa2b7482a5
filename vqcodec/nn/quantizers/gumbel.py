"""Categorical sampling: a code is drawn, the nearer the likelier, with the Gumbel-softmax gradient (Jang et al. 2017).

Logits are scaled distances, as in Sønderby et al. 2017 and SQ-VAE (Takida et al. 2022): those of a layer of their own
(vq-wav2vec, DALL-E) do not follow the codebook, and in a residual stack the errors of a draw add up.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from vqcodec.nn.processes import mean_over_processes
from vqcodec.nn.quantizers.codebook import Assigned, Learning
from vqcodec.nn.quantizers.vector import GradientCodebook

_SHARPNESS = 40.0
"""Standard deviation of the logits at the start: noise of deviation 1.3 then draws among the nearest vectors."""


class GumbelCodebook(GradientCodebook):
    """code ~ softmax(-s |r - e_j|^2 / 2), q = e_code; without training the nearest e_j. s is learned.

    The gradient of q is that of softmax((logits + noise) / T) @ e; codebook loss = |sg(r) - q|^2.
    """

    def __init__(self, size: int, dim: int, learning: Learning = Learning()) -> None:  # noqa: B008 - frozen
        super().__init__(size, dim, learning)
        self.log_sharpness = nn.Parameter(torch.zeros(()))

    @override
    def forward(self, vectors: Tensor, temperature: float = 1.0) -> Assigned:
        scores = self.scores(vectors)
        if not self.training:
            codes = scores.detach().argmax(1)
            return Assigned(codes, self.lookup(codes), None, vectors.new_zeros(()), codes.new_zeros(()))
        choice = F.gumbel_softmax(scores * self.log_sharpness.exp(), tau=temperature, hard=True)
        codes = choice.detach().argmax(1)
        loss = F.mse_loss(self.lookup(codes), vectors.detach())
        return Assigned(codes, choice @ self.weight, None, loss, self.revive(vectors.detach(), codes))

    @override
    @torch.no_grad()
    def start_from(self, vectors: Tensor, *, iterations: int = 15) -> None:
        """Start the vectors, then choose s so that the logits are `_SHARPNESS` wide."""
        super().start_from(vectors, iterations=iterations)
        spread = float(mean_over_processes(self.scores(vectors).std(1).mean()))
        self.log_sharpness.fill_(math.log(_SHARPNESS / max(spread, 1e-3)))
