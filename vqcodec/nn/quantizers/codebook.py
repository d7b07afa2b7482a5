"""One layer of a quantizer: what every kind of codebook does, and what the kinds with a table of vectors share.

Notation of all kinds: r [N, dim] the vectors to quantize, e_j the codebook vectors, sg() stops the gradient.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from vqcodec.frames import ceil_div
from vqcodec.nn.linear import kept, linear
from vqcodec.nn.processes import mean_over_processes, of_first_process, sum_over_processes
from vqcodec.nn.quantizers.estimators import ESTIMATORS

_ENTROPY_TEMPERATURE = 0.1
"""Temperature of the soft assignments whose entropies are measured, in standard deviations of the scores."""


@dataclass(frozen=True)
class Learning:
    """How codebooks learn; the kinds take what concerns them.

    decay:        of running means
    revive_below: a code used less than this times the mean use is dead, and replaced by a vector of the batch
    estimator:    how gradients pass a hard choice
    start:        where codebook vectors begin: the centres of k-means, or random draws like what they will quantize
    """

    decay: float = 0.99
    revive_below: float = 0.05
    estimator: Literal["straight_through", "rotation"] = "straight_through"
    start: Literal["kmeans", "uniform", "normal", "laplace"] = "kmeans"


@dataclass
class Assigned:
    """What a codebook makes of N vectors while training.

    codes:         [N] int64
    vectors:       [N, dim], with whatever gradient the kind lets through
    commitment:    [N], squared distance to be kept small by the encoder; None: that of the latent to its quantized self
    codebook_loss: scalar, 0 where no loss trains the codebook
    revived:       scalar, dead codes replaced in this step
    """

    codes: Tensor
    vectors: Tensor
    commitment: Tensor | None
    codebook_loss: Tensor
    revived: Tensor


class Codebook(nn.Module):
    """`size` codes for vectors of dimension `dim`. Abstract: a kind has `scores`, `lookup`, `forward`, `start_from`.

    A kind is made by `Kind(size, dim, learning)`.
    """

    size: int
    dim: int
    is_euclidean = False
    """Whether scores say by how much a code lowers |r|^2 / 2, as `beam_search` must know."""

    def scores(self, vectors: Tensor) -> Tensor:
        """Tell how well each code fits, [N, size], of `vectors` [N, dim]; the highest is chosen. Differentiable."""
        raise NotImplementedError

    def encode(self, vectors: Tensor) -> Tensor:
        """Return the codes [N] (int64) of `vectors` [N, dim]."""
        return argmax(self.scores(vectors))

    def lookup(self, codes: Tensor) -> Tensor:
        """Return the vectors [..., dim] of `codes` [...]."""
        raise NotImplementedError

    def vectors(self) -> Tensor:
        """Return every vector that `lookup` can give, [size, dim]."""
        device = next(self.parameters(), next(self.buffers(), torch.empty(0))).device
        return self.lookup(torch.arange(self.size, device=device))

    @override
    def forward(self, vectors: Tensor, temperature: float = 1.0) -> Assigned:
        """Quantize `vectors` [N, dim] for training, and learn when in training mode.

        `temperature`: of the kinds whose choice is soft or random while they train.
        """
        raise NotImplementedError

    def start_from(self, vectors: Tensor) -> None:
        """Begin anew, fit for what `vectors` [N, dim] are like; all processes get process 0's."""
        raise NotImplementedError

    def forget_use(self) -> None:
        """Begin the statistics of use anew, if there are any."""

    def entropies(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Measure the mean entropy of soft assignments p(code | vector), and the entropy of their mean, over log(size).

        A low first one says that each vector has one code (sparsity), a high second one that all codes are used
        (Yu et al. 2023, MAGVIT-v2, eq. 4).
        """
        p = soft_assignments(self.scores(vectors), _ENTROPY_TEMPERATURE)
        most = math.log(self.size)
        return _entropy(p).mean() / most, _entropy(mean_over_processes(p.mean(0))) / most


def argmax(scores: Tensor) -> Tensor:
    """Index [N] of the highest of each row of `scores` [N, size]."""
    if scores.is_cpu and not torch.compiler.is_compiling():
        return torch.from_numpy(scores.detach().numpy().argmax(1))  # ten times faster than torch's
    return scores.argmax(1)


def soft_assignments(scores: Tensor, temperature: float) -> Tensor:
    """Return the softmax of `scores` [N, size] at `temperature`, which counts in standard deviations of the scores."""
    scale = mean_over_processes(scores.detach().std(1).mean()).clamp(min=1e-8)
    return torch.softmax(scores / (temperature * scale), dim=1)


def _entropy(p: Tensor) -> Tensor:
    return -(p * p.clamp(min=1e-20).log()).sum(-1)  # the gradient of p log p at 0 is infinite


class VectorCodebook(Codebook):
    """A table `weight` [size, dim] with Euclidean nearest neighbours, a k-means start and revival of dead codes.

    Abstract: a kind defines `weight` and `learn`, and `replace` where the table is made of something else.
    """

    is_euclidean = True
    weight: Tensor
    count: Tensor

    def __init__(self, size: int, dim: int, learning: Learning) -> None:
        super().__init__()
        self.size, self.dim, self.learning = size, dim, learning
        self.register_buffer("count", torch.ones(size))

    @override
    def scores(self, vectors: Tensor) -> Tensor:
        """Score by -|r - e|^2 / 2 + |r|^2 / 2, whose last term is the same for all codes."""
        return linear(vectors, self.weight, self._bias())

    def _bias(self) -> Tensor:
        """-|e|^2 / 2 of every vector."""
        weight = self.weight
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return -0.5 * weight.square().sum(1)
        return kept(weight, "bias", lambda: -0.5 * weight.square().sum(1))

    @override
    def lookup(self, codes: Tensor) -> Tensor:
        return F.embedding(codes, self.weight)

    @override
    def vectors(self) -> Tensor:
        return self.weight

    @override
    def forward(self, vectors: Tensor, temperature: float = 1.0) -> Assigned:
        """Choose hard; `learning.estimator` says how gradients pass the choice."""
        detached = vectors.detach()
        codes = self.encode(detached)
        # Looked up before the codebook learns: the decoder must see the vectors that made the codes.
        chosen = self.lookup(codes).detach()
        loss, revived = self.learn(detached, codes) if self.training else (vectors.new_zeros(()),) * 2
        return Assigned(codes, ESTIMATORS[self.learning.estimator](vectors, chosen), None, loss, revived)

    def learn(self, vectors: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Take one training step from `vectors` [N, dim] and their `codes` [N].

        Returns the codebook loss (0 where no gradient trains the vectors) and the number of revived codes.
        """
        raise NotImplementedError

    @torch.no_grad()
    def replace(self, weight: Tensor) -> None:
        """Set the table to `weight` [size, dim]."""
        self.weight.copy_(weight)

    @override
    @torch.no_grad()
    def start_from(self, vectors: Tensor, *, iterations: int = 15) -> None:
        """Start by k-means (Lloyd's algorithm), or by draws with the mean and deviation of the latents."""
        if self.learning.start == "kmeans":
            self._k_means(vectors, iterations)
        else:
            draws = _DRAWS[self.learning.start](self.size, self.dim).to(vectors.device)
            self.replace(vectors.mean(0) + draws * vectors.std(0))
        self.replace(of_first_process(self.weight.detach().clone()))
        self.forget_use()

    def _k_means(self, vectors: Tensor, iterations: int) -> None:
        self.replace(pick(vectors, self.size))
        for _ in range(iterations):
            counts, sums = self._sums(vectors, argmax(self.scores_of_start(vectors)))
            empty = counts == 0
            means = sums / counts.clamp(min=1)[:, None]
            self.replace(torch.where(empty[:, None], pick(vectors, self.size), means))

    def scores_of_start(self, vectors: Tensor) -> Tensor:
        """Return the scores that k-means goes by: Euclidean, also where a kind chooses otherwise."""
        return VectorCodebook.scores(self, vectors)

    @override
    def forget_use(self) -> None:
        """Count all codes as used alike."""
        self.count.fill_(1.0)

    def _sums(self, vectors: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """How many vectors each code took [size] and their sums [size, dim]."""
        counts = torch.bincount(codes, minlength=self.size).to(vectors.dtype)
        return counts, torch.zeros_like(self.weight).index_add_(0, codes, vectors)

    def _dead(self) -> Tensor:
        """Mask [size] of codes used less than `revive_below` times the mean use (relative, as in Mimi)."""
        return self.count < self.learning.revive_below * self.count.mean()

    @torch.no_grad()
    def revive(self, vectors: Tensor, codes: Tensor) -> Tensor:
        """Count the use of this batch and replace dead vectors by some of `vectors`; returns how many."""
        counts = sum_over_processes(torch.bincount(codes, minlength=self.size).to(vectors.dtype))
        self.count.lerp_(counts, 1 - self.learning.decay)
        dead = self._dead()
        replacement = of_first_process(pick(vectors, self.size))
        if dead.any():
            self.replace(torch.where(dead[:, None], replacement, self.weight))
        self.count.copy_(torch.where(dead, self.count.mean(), self.count))
        return dead.sum()


def pick(vectors: Tensor, count: int) -> Tensor:
    """Draw `count` random rows of `vectors` [N, dim], without repetition while N lasts."""
    rows = torch.randperm(len(vectors), device=vectors.device)
    repeats = ceil_div(count, len(vectors))
    return vectors[rows.repeat(repeats)[:count]]


# Draws [size, dim] of mean 0 and variance 1.
_DRAWS: dict[str, Callable[[int, int], Tensor]] = {
    "uniform": lambda size, dim: (2 * torch.rand(size, dim) - 1) * 3**0.5,
    "normal": torch.randn,
    "laplace": lambda size, dim: torch.distributions.Laplace(0.0, 0.5**0.5).sample((size, dim)),
}
