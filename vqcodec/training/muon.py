"""Muon: momentum made orthogonal for matrices, AdamW for all else (Jordan et al. 2024).

torch.optim.Muon takes matrices only and computes in bfloat16, which a CPU does slowly; here convolutions are matrices
[out, in * kernel] as well, and the orthogonalization works on the small side of a matrix, in float32.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

_MOMENTUM = 0.95
_UPDATE_SCALE = 0.2
"""With sqrt of the longer side: updates as large as those of AdamW (Liu et al. 2025, Muon is scalable, section 2.2)."""
_POLAR_EXPRESS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
"""Coefficients of the odd polynomials whose composition sends singular values near to 1 (Amsel et al. 2025)."""


class Muon(torch.optim.AdamW):
    """Muon for `matrices` and AdamW for `others`, at one learning rate."""

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        others: Iterable[nn.Parameter],
        *,
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
    ) -> None:
        groups = [{"params": list(matrices), "is_muon": True}, {"params": list(others), "is_muon": False}]
        super().__init__(groups, lr=lr, betas=betas, weight_decay=weight_decay)

    @torch.no_grad()
    @override
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step the matrices; their gradients are used up. Then step the others."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for parameter in group["params"] if group["is_muon"] else ():
                if parameter.grad is not None:
                    self._step_matrix(parameter, group["lr"], group["weight_decay"])
                    parameter.grad = None
        super().step()
        return loss

    def _step_matrix(self, parameter: nn.Parameter, rate: float, weight_decay: float) -> None:
        state = self.state[parameter]
        if not state:
            # AdamW looks for `step` in whatever state it loads.
            state["step"], state["momentum"] = torch.tensor(0.0), torch.zeros_like(parameter)
        gradient, momentum = parameter.grad, state["momentum"]
        assert gradient is not None
        momentum.lerp_(gradient, 1 - _MOMENTUM)
        update = orthogonalized(gradient.lerp(momentum, _MOMENTUM).flatten(1))
        parameter.mul_(1 - rate * weight_decay)
        parameter.add_(update.view(parameter.shape), alpha=-rate * _UPDATE_SCALE * max(update.shape) ** 0.5)


def orthogonalized(matrix: Tensor) -> Tensor:
    """Return the matrix [rows, columns] with its singular values sent near to 1.

    Newton-Schulz iteration by way of the Gram matrix of the short side: only the last product touches the long one.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-12)
    gram, product = wide @ wide.T, torch.eye(len(wide), device=wide.device, dtype=wide.dtype)
    identity = product
    for a, b, c in _POLAR_EXPRESS:
        factor = a * identity + b * gram + c * (gram @ gram)
        product = factor @ product
        gram = factor @ gram @ factor
    result: Tensor = product @ wide
    return result if matrix.shape[0] <= matrix.shape[1] else result.T


def muon(module: nn.Module, *, lr: float, betas: tuple[float, float], weight_decay: float) -> Muon:
    """Make Muon for what mixes channels, and AdamW for biases, scales, depthwise kernels, codebooks and speakers."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        mixes = parameter.ndim >= 2 and "depthwise" not in name and "codebook" not in name
        mixes = mixes and not name.endswith("speaker_vectors.weight")  # of which a step moves those that speak in it
        (matrices if mixes else others).append(parameter)
    return Muon(matrices, others, lr=lr, betas=betas, weight_decay=weight_decay)
