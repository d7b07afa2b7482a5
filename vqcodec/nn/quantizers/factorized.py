"""Factorised codes, looked up by cosine: Yu et al. 2022 (better VQGAN), as in DAC (Kumar et al. 2023, section 3.2)."""

import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from vqcodec.errors import ConfigError
from vqcodec.nn.linear import linear
from vqcodec.nn.quantizers.codebook import Assigned, Learning
from vqcodec.nn.quantizers.estimators import ESTIMATORS
from vqcodec.nn.quantizers.projected import ProjectedCodebook
from vqcodec.nn.quantizers.vector import GradientCodebook

_INNER_DIM = 8
"""The same as in DAC."""


class FactorizedCodebook(ProjectedCodebook):
    """z = down(r), code = argmax cos(z, e), q = up(e): commitment = |z - sg(e)|^2, codebook loss = |sg(z) - e|^2."""

    def __init__(self, size: int, dim: int, learning: Learning = Learning()) -> None:  # noqa: B008 - frozen
        if dim < 2:
            raise ConfigError("factorized codes are directions: give 2 or more latent dimensions (of each group)")
        super().__init__(size, dim, min(_INNER_DIM, dim))
        self.learning = learning
        self.table = GradientCodebook(size, self.down.out_features, learning)

    @override
    def inner_scores(self, z: Tensor) -> Tensor:
        """Score by cosines."""
        return linear(F.normalize(z, dim=1), F.normalize(self.table.weight, dim=1), None)

    @override
    def points(self, codes: Tensor) -> Tensor:
        return self.table.lookup(codes)

    @override
    def start_points(self, z: Tensor) -> None:
        self.table.start_from(z)

    @override
    def forget_use(self) -> None:
        self.table.forget_use()

    @override
    def forward(self, vectors: Tensor, temperature: float = 1.0) -> Assigned:
        z = self.down(vectors)
        codes = self.inner_scores(z.detach()).argmax(1)
        chosen = self.points(codes).detach()
        commitment = (z - chosen).square().mean(1)
        vectors_hat = self.up(ESTIMATORS[self.learning.estimator](z, chosen))
        if not self.training:
            return Assigned(codes, vectors_hat, commitment, z.new_zeros(()), codes.new_zeros(()))
        loss, revived = self.table.learn(z.detach(), codes)
        return Assigned(codes, vectors_hat, commitment, loss, revived)
