"""Categorical sampling: a code is drawn from learned logits, with the Gumbel-softmax gradient (Jang et al. 2017).

As in vq-wav2vec (Baevski et al. 2020) and DALL-E (Ramesh et al. 2021).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vqcodec.nn.linear import Linear
from vqcodec.nn.quantizers.codebook import Assigned, Learning, VectorCodebook
from vqcodec.nn.quantizers.vector import GradientCodebook

_SHARPNESS = 10.0
"""Standard deviation of the logits at the start: noise of deviation 1.3 then draws among near vectors."""


class GumbelCodebook(GradientCodebook):
    """code ~ softmax(logits(r)), q = e_code; without training the most likely code.

    The gradient of q is that of softmax((logits + noise) / T) @ e; codebook loss = |sg(r) - q|^2.
    """

    def __init__(self, size: int, dim: int, learning: Learning = Learning()) -> None:  # noqa: B008 - frozen
        super().__init__(size, dim, learning)
        self.logits = Linear(dim, size)

    def scores(self, vectors: Tensor) -> Tensor:
        """See `Codebook`: the logits."""
        scores: Tensor = self.logits(vectors)
        return scores

    def forward(self, vectors: Tensor, temperature: float = 1.0) -> Assigned:
        """See `Codebook`."""
        scores = self.scores(vectors)
        if not self.training:
            codes = scores.detach().argmax(1)
            return Assigned(codes, self.lookup(codes), None, vectors.new_zeros(()), codes.new_zeros(()))
        choice = F.gumbel_softmax(scores, tau=temperature, hard=True)
        codes = choice.detach().argmax(1)
        loss = F.mse_loss(self.lookup(codes), vectors.detach())
        return Assigned(codes, choice @ self.weight, None, loss, self.revive(vectors.detach(), codes))

    @torch.no_grad()
    def revive(self, vectors: Tensor, codes: Tensor) -> Tensor:
        """See `VectorCodebook`; the logits of a revived code are made to choose it for what it now stands for."""
        before = self.weight.detach().clone()
        dead = super().revive(vectors, codes)
        new = (self.weight != before).any(1)
        if new.any():
            rows = self.weight[new]
            sharpness = self.logits.weight.norm(dim=1).mean() / before.norm(dim=1).mean().clamp(min=1e-3)
            best = self.scores(rows).max(1).values
            self.logits.weight.data[new] = rows * sharpness
            self.logits.bias.data[new] = best + 1 - sharpness * rows.square().sum(1)
        return dead

    @torch.no_grad()
    def start_from(self, vectors: Tensor, *, iterations: int = 15) -> None:
        """See `Codebook`; the logits begin as the scores of nearest neighbours."""
        super().start_from(vectors, iterations=iterations)
        scale = _SHARPNESS / VectorCodebook.scores(self, vectors).std(1).mean().clamp(min=1e-3)
        self.logits.weight.data = self.weight * scale
        self.logits.bias.data = -0.5 * self.weight.square().sum(1) * scale
