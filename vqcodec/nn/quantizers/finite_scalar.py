"""Finite scalar quantization (Mentzer et al. 2023): a few dimensions, each rounded to a few levels. No codebook."""

import math

import torch
from torch import Tensor
from typing_extensions import override

from vqcodec.frames import ceil_div
from vqcodec.nn.quantizers.codebook import Assigned, Learning
from vqcodec.nn.quantizers.estimators import straight_through
from vqcodec.nn.quantizers.projected import ProjectedCodebook

_MOST_BITS = 3
"""Bits of one dimension: 8 levels. 1024 codes are 8 x 8 x 4 x 4."""
_EDGE = 1e-3
"""By how much the outermost levels can be overshot, so that the gradient of tanh does not vanish at them."""


class FiniteScalar(ProjectedCodebook):
    """z = down(r), bounded to tanh(z + shift) (L - 1) / 2 - offset, rounded, over L / 2: q = up(that).

    An even number of levels L has them at -L/2 .. L/2 - 1: offset 1/2, and a shift that keeps z = 0 at 0. No losses.
    """

    levels: Tensor
    place: Tensor

    def __init__(self, size: int, dim: int, _: Learning = Learning()) -> None:  # noqa: B008 - frozen
        bits = int(math.log2(size))
        dims = min(dim, ceil_div(bits, _MOST_BITS))
        each = [bits // dims + (index < bits % dims) for index in range(dims)]
        super().__init__(size, dim, dims)
        self.register_buffer("levels", torch.tensor([2.0**b for b in each]), persistent=False)
        place_values = [2 ** sum(each[:index]) for index in range(dims)]
        self.register_buffer("place", torch.tensor(place_values), persistent=False)

    def bounded(self, z: Tensor) -> Tensor:
        """Return z [N, dims], each within -L/2 .. L/2 - 1, to be rounded."""
        half = (self.levels - 1) * (1 + _EDGE) / 2
        # Two levels are the signs: there is no middle one to put z = 0 at.
        shift = torch.where(self.levels > 2, torch.atanh(0.5 / half), 0.0)
        return torch.tanh(z + shift) * half - 0.5

    @override
    def encode(self, vectors: Tensor) -> Tensor:
        """Round: that gives the best score, at less cost."""
        return self._codes(self.bounded(self.down(vectors)).round())

    def _codes(self, rounded: Tensor) -> Tensor:
        return ((rounded + self.levels / 2).long() * self.place).sum(-1)

    @override
    def inner_scores(self, z: Tensor) -> Tensor:
        """Score by minus half the squared distances to the points."""
        points = self.points(torch.arange(self.size, device=z.device))
        bounded = self.bounded(z) / (self.levels / 2)
        return bounded @ points.T - 0.5 * points.square().sum(1)

    @override
    def points(self, codes: Tensor) -> Tensor:
        digits = (codes[..., None] // self.place) % self.levels.long()
        return digits / (self.levels / 2) - 1

    @override
    def forward(self, vectors: Tensor, temperature: float = 1.0) -> Assigned:
        bounded = self.bounded(self.down(vectors))
        rounded = straight_through(bounded, bounded.detach().round())
        zero = vectors.new_zeros(())
        codes = self._codes(rounded.detach())
        return Assigned(codes, self.up(rounded / (self.levels / 2)), vectors.new_zeros(len(vectors)), zero, zero)
