"""SimVQ (Zhu et al. 2024): the table is a fixed one times a learned matrix, so that every code moves at every step."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from vqcodec.nn.linear import kept
from vqcodec.nn.quantizers.codebook import Learning, VectorCodebook


class SimVqCodebook(VectorCodebook):
    """e = fixed @ turn; only turn [dim, dim] learns: codebook loss = |sg(r) - e|^2. No code is ever revived."""

    fixed: Tensor

    def __init__(self, size: int, dim: int, learning: Learning = Learning()) -> None:  # noqa: B008 - frozen
        super().__init__(size, dim, learning)
        self.register_buffer("fixed", torch.randn(size, dim))
        self.turn = nn.Parameter(torch.eye(dim))

    @property
    @override
    def weight(self) -> Tensor:  # type: ignore[override]
        """The table [size, dim]."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self.fixed @ self.turn
        return kept(self.turn, "table", lambda: self.fixed @ self.turn)

    @override
    def learn(self, vectors: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codebook loss of this batch: no code is revived."""
        return F.mse_loss(self.lookup(codes), vectors), codes.new_zeros(())

    @override
    @torch.no_grad()
    def replace(self, weight: Tensor) -> None:
        """Set the fixed table to `weight` [size, dim], and the matrix to the identity."""
        self.fixed.copy_(weight)
        self.turn.copy_(torch.eye(self.dim))
