"""One codebook: nearest neighbours, k-means start, revival of dead codes, and two ways to learn its vectors.

`EmaCodebook` moves each vector to the running mean of what it quantizes (van den Oord et al. 2017, appendix A.1);
`GradientCodebook` trains them by the codebook loss (same paper, eq. 3).
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.nn.linear import kept, linear


class Codebook(nn.Module):
    """`size` vectors of dimension `dim`, the running count of their use, and what both kinds share.

    Abstract: a kind defines `weight` [size, dim] and `learn`.
    """

    weight: Tensor
    count: Tensor

    def __init__(self, size: int, *, decay: float, revive_below: float) -> None:
        super().__init__()
        self.size, self.decay, self.revive_below = size, decay, revive_below
        self.register_buffer("count", torch.ones(size))

    def nearest(self, vectors: Tensor) -> Tensor:
        """Codes [N] (int64) of the nearest codebook vectors, Euclidean, of `vectors` [N, dim]."""
        # |v - w|^2 = |v|^2 - 2 (v.w - |w|^2 / 2), and |v|^2 is the same for all w.
        nearness = linear(vectors, self.weight, self._bias())
        if nearness.is_cpu and not torch.compiler.is_compiling():
            return torch.from_numpy(nearness.detach().numpy().argmax(1))  # ten times faster than torch's
        return nearness.argmax(1)

    def _bias(self) -> Tensor:
        """-|w|^2 / 2 of every vector."""
        weight = self.weight
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return -0.5 * weight.square().sum(1)
        return kept(weight, "bias", lambda: -0.5 * weight.square().sum(1))

    def lookup(self, codes: Tensor) -> Tensor:
        """Codebook vectors [..., dim] of `codes` [...]."""
        return F.embedding(codes, self.weight)

    def learn(self, vectors: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """One training step from `vectors` [N, dim] and their `codes` [N].

        Returns the codebook loss (0 where no gradient trains the vectors) and the number of revived codes.
        """
        raise NotImplementedError

    @torch.no_grad()
    def start_from(self, vectors: Tensor, *, iterations: int = 15) -> None:
        """Set the vectors by k-means (Lloyd's algorithm) on `vectors` [N, dim]; all processes get process 0's."""
        self.weight.copy_(_pick(vectors, self.size))
        for _ in range(iterations):
            counts, sums = self._sums(vectors, self.nearest(vectors))
            empty = counts == 0
            means = sums / counts.clamp(min=1)[:, None]
            self.weight.copy_(torch.where(empty[:, None], _pick(vectors, self.size), means))
        if dist.is_initialized():
            dist.broadcast(self.weight, src=0)
        self.forget_use()

    def forget_use(self) -> None:
        """Begin the statistics of use anew, so that they agree with the vectors: all used alike."""
        self.count.fill_(1.0)

    def _sums(self, vectors: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """How many vectors each code took [size] and their sums [size, dim]."""
        counts = torch.bincount(codes, minlength=self.size).to(vectors.dtype)
        return counts, torch.zeros_like(self.weight).index_add_(0, codes, vectors)

    def _dead(self) -> Tensor:
        """Mask [size] of codes used less than `revive_below` times the mean use (relative, as in Mimi)."""
        return self.count < self.revive_below * self.count.mean()


class EmaCodebook(Codebook):
    """Vectors are the exponential moving average of what they quantize; no gradient."""

    sums: Tensor

    def __init__(self, size: int, dim: int, *, decay: float = 0.99, revive_below: float = 0.05) -> None:
        super().__init__(size, decay=decay, revive_below=revive_below)
        self.register_buffer("weight", torch.randn(size, dim))
        self.register_buffer("sums", self.weight.clone())

    def forget_use(self) -> None:
        """See `Codebook.forget_use`: the running sums are the vectors."""
        super().forget_use()
        self.sums.copy_(self.weight)

    @torch.no_grad()
    def learn(self, vectors: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Update counts and sums, revive dead codes from this batch, set the vectors to the means."""
        counts, sums = self._sums(vectors, codes)
        if dist.is_initialized():
            dist.all_reduce(counts)
            dist.all_reduce(sums)
        self.count.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        dead = self._dead()
        mean_count = self.count.mean()
        self.sums.copy_(torch.where(dead[:, None], _pick(vectors, self.size) * mean_count, self.sums))
        self.count.copy_(torch.where(dead, mean_count, self.count))
        self.weight.copy_(self.sums / self.count.clamp(min=1e-5)[:, None])
        return vectors.new_zeros(()), dead.sum()


class GradientCodebook(Codebook):
    """Vectors are parameters, pulled towards what they quantize by a mean squared error."""

    def __init__(self, size: int, dim: int, *, decay: float = 0.99, revive_below: float = 0.05) -> None:
        super().__init__(size, decay=decay, revive_below=revive_below)
        self.weight = nn.Parameter(torch.randn(size, dim))

    def learn(self, vectors: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """The codebook loss of this batch; dead codes are replaced by vectors of the batch."""
        loss = F.mse_loss(self.lookup(codes), vectors)
        with torch.no_grad():
            counts = torch.bincount(codes, minlength=self.size).to(vectors.dtype)
            if dist.is_initialized():
                dist.all_reduce(counts)
            self.count.lerp_(counts, 1 - self.decay)
            dead = self._dead()
            replacement = _pick(vectors, self.size)
            if dist.is_initialized():  # parameters are not broadcast at every step, so all must pick alike
                dist.broadcast(replacement, src=0)
            self.weight.data = torch.where(dead[:, None], replacement, self.weight.data)
            self.count.copy_(torch.where(dead, self.count.mean(), self.count))
        return loss, dead.sum()


def _pick(vectors: Tensor, count: int) -> Tensor:
    """`count` random rows of `vectors` [N, dim], without repetition while N lasts."""
    rows = torch.randperm(len(vectors), device=vectors.device)
    repeats = -(-count // len(vectors))
    return vectors[rows.repeat(repeats)[:count]]
