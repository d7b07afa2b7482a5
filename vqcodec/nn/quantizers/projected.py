"""What the kinds share that quantize in a few dimensions: a linear layer down to them, and one back."""

import torch
from torch import Tensor
from typing_extensions import override

from vqcodec.nn.linear import Linear
from vqcodec.nn.processes import of_first_process
from vqcodec.nn.quantizers.codebook import Codebook


class ProjectedCodebook(Codebook):
    """z = down(r), a choice among points of `inner_dim` dimensions, q = up(point).

    Abstract: a kind defines `inner_scores`, `points` and `forward`, and `start_points` where its points are learned.
    """

    def __init__(self, size: int, dim: int, inner_dim: int) -> None:
        super().__init__()
        self.size, self.dim = size, dim
        self.down, self.up = Linear(dim, inner_dim), Linear(inner_dim, dim)

    def inner_scores(self, z: Tensor) -> Tensor:
        """Return the scores [N, size] of z [N, inner_dim]."""
        raise NotImplementedError

    def points(self, codes: Tensor) -> Tensor:
        """Return the points [..., inner_dim] of `codes` [...]."""
        raise NotImplementedError

    def start_points(self, z: Tensor) -> None:
        """Fit the points to z [N, inner_dim], if they are learned."""

    @override
    def scores(self, vectors: Tensor) -> Tensor:
        return self.inner_scores(self.down(vectors))

    @override
    def lookup(self, codes: Tensor) -> Tensor:
        vectors: Tensor = self.up(self.points(codes))
        return vectors

    @override
    @torch.no_grad()
    def start_from(self, vectors: Tensor) -> None:
        """Set `down` to the whitened principal components, and `up` by least squares from what is chosen."""
        mean = vectors.mean(0)
        variances, directions = torch.linalg.eigh(torch.cov(vectors.T).reshape(self.dim, self.dim))
        inner = self.down.out_features
        # The largest last. What has hardly any variance is not blown up to one: it is rounding, or silence.
        whiten = directions / variances.clamp(min=1e-6 + 1e-3 * float(variances[-1])).sqrt()
        if inner <= self.dim:
            whiten = whiten[:, -inner:]
        else:  # more numbers than dimensions: each a direction of its own
            whiten = whiten @ torch.nn.functional.normalize(torch.randn(self.dim, inner), dim=0).to(vectors.device)
        self.down.weight.data = whiten.T.contiguous()
        self.down.bias.data = -mean @ whiten
        self.start_points(self.down(vectors))
        self._share()
        chosen = self.points(self.encode(vectors))
        chosen = torch.cat((chosen, torch.ones_like(chosen[:, :1])), dim=1)
        ridge = 1e-4 * len(vectors) * torch.eye(inner + 1, device=vectors.device)
        back = torch.linalg.solve(chosen.T @ chosen + ridge, chosen.T @ vectors)
        self.up.weight.data = back[:-1].T.contiguous()
        self.up.bias.data = back[-1].contiguous()
        self._share()

    def _share(self) -> None:
        for tensor in self.state_dict().values():
            of_first_process(tensor)
