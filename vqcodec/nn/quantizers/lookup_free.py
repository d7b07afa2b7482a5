"""Lookup-free quantization (Yu et al. 2023, MAGVIT-v2, section 3.1): a bit per dimension, its sign. No codebook.

Its paper trains it with an entropy penalty: `loss.entropy`.
"""

import math

import torch
from torch import Tensor
from typing_extensions import override

from vqcodec.nn.quantizers.codebook import Assigned, Learning
from vqcodec.nn.quantizers.estimators import ESTIMATORS
from vqcodec.nn.quantizers.projected import ProjectedCodebook


class LookupFree(ProjectedCodebook):
    """z = down(r), q = up(sign(z)): commitment = |z - sg(sign(z))|^2."""

    place: Tensor

    def __init__(self, size: int, dim: int, learning: Learning = Learning()) -> None:  # noqa: B008 - frozen
        bits = int(math.log2(size))
        super().__init__(size, dim, bits)
        self.learning = learning
        self.register_buffer("place", 2 ** torch.arange(bits), persistent=False)

    @override
    def encode(self, vectors: Tensor) -> Tensor:
        """Take the signs: they give the best score, at less cost."""
        return self._codes(self.down(vectors))

    def _codes(self, z: Tensor) -> Tensor:
        return ((z > 0).long() * self.place).sum(-1)

    @override
    def inner_scores(self, z: Tensor) -> Tensor:
        """Score by products with the points, all of one length."""
        return z @ self.points(torch.arange(self.size, device=z.device)).T

    @override
    def points(self, codes: Tensor) -> Tensor:
        return 2.0 * ((codes[..., None] // self.place) % 2) - 1

    @override
    def forward(self, vectors: Tensor, temperature: float = 1.0) -> Assigned:
        z = self.down(vectors)
        codes = self._codes(z.detach())
        signs = self.points(codes)
        zero = vectors.new_zeros(())
        vectors_hat = self.up(ESTIMATORS[self.learning.estimator](z, signs))
        return Assigned(codes, vectors_hat, (z - signs).square().mean(1), zero, zero)
