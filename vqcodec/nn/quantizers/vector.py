"""The codebooks of van den Oord et al. 2017 (VQ-VAE): by running means (appendix A.1), and by a loss (eq. 3)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from vqcodec.nn.processes import of_first_process, sum_over_processes
from vqcodec.nn.quantizers.codebook import Learning, VectorCodebook, pick


class EmaCodebook(VectorCodebook):
    """Each vector is the exponential moving average of what it quantizes; no gradient.

    n_j <- decay n_j + (1 - decay) |{r of code j}|, s_j likewise of their sums, e_j = s_j / n_j.
    """

    sums: Tensor

    def __init__(self, size: int, dim: int, learning: Learning = Learning()) -> None:  # noqa: B008 - frozen
        super().__init__(size, dim, learning)
        self.register_buffer("weight", torch.randn(size, dim))
        self.register_buffer("sums", self.weight.clone())

    @override
    def forget_use(self) -> None:
        """Set the running sums to the vectors, each used alike."""
        super().forget_use()
        self.sums.copy_(self.weight)

    @torch.no_grad()
    @override
    def learn(self, vectors: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Update counts and sums, revive dead codes from this batch, set the vectors to the means."""
        counts, sums = self._sums(vectors, codes)
        self.count.lerp_(sum_over_processes(counts), 1 - self.learning.decay)
        self.sums.lerp_(sum_over_processes(sums), 1 - self.learning.decay)
        dead = self._dead()
        mean_count = self.count.mean()
        replacement = of_first_process(pick(vectors, self.size))
        self.sums.copy_(torch.where(dead[:, None], replacement * mean_count, self.sums))
        self.count.copy_(torch.where(dead, mean_count, self.count))
        self.weight.copy_(self.sums / self.count.clamp(min=1e-5)[:, None])
        return vectors.new_zeros(()), dead.sum()


class GradientCodebook(VectorCodebook):
    """Vectors are parameters, pulled towards what they quantize: codebook loss = |sg(r) - e|^2."""

    def __init__(self, size: int, dim: int, learning: Learning = Learning()) -> None:  # noqa: B008 - frozen
        super().__init__(size, dim, learning)
        self.weight = nn.Parameter(torch.randn(size, dim))

    @override
    def learn(self, vectors: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codebook loss of this batch; dead codes are replaced by vectors of the batch."""
        loss = F.mse_loss(self.lookup(codes), vectors)
        return loss, self.revive(vectors, codes)

    @override
    @torch.no_grad()
    def replace(self, weight: Tensor) -> None:
        """Set a new tensor, since the graph of this step holds the old one."""
        self.weight.data = weight.clone()
