"""How a gradient passes a choice that has none: the value is `chosen`, the gradient goes to `vectors`."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    @override
    def forward(_: Any, _vectors: Tensor, chosen: Tensor) -> Tensor:
        return chosen.clone()

    @staticmethod
    @override
    def backward(_: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def straight_through(vectors: Tensor, chosen: Tensor) -> Tensor:
    """Return `chosen` [N, dim]; its gradient becomes that of `vectors` (Bengio et al. 2013; van den Oord 2017)."""
    result: Tensor = _StraightThrough.apply(vectors, chosen)  # type: ignore[no-untyped-call]
    return result


def rotated(vectors: Tensor, chosen: Tensor) -> Tensor:
    """Return `chosen` [N, dim] as the rotation and scaling that turns each of `vectors` into it, held constant.

    The gradient keeps its angle to the vector (Fifty et al. 2024, eq. 4 and section 4.2):
    q = |q| / |e| (e - 2 r r^T e + 2 q' e'^T e), where e', q' are e, q at length 1 and r is e' + q' at length 1.
    """
    with torch.no_grad():
        length, chosen_length = (x.norm(dim=1, keepdim=True).clamp(min=1e-6) for x in (vectors, chosen))
        e, q = vectors / length, chosen / chosen_length
        r = e + q
        # Opposite vectors have no r, and next to none a scale without bounds: they pass straight through.
        is_plain = (r.norm(dim=1, keepdim=True) < 1e-3) | (length < 1e-2 * chosen_length)
        r = r / r.norm(dim=1, keepdim=True).clamp(min=1e-6)
    turned = vectors - 2 * r * (r * vectors).sum(1, keepdim=True) + 2 * q * (e * vectors).sum(1, keepdim=True)
    turned = torch.where(is_plain, vectors, turned * (chosen_length / length))
    result: Tensor = turned + (chosen - turned).detach()
    return result


ESTIMATORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "straight_through": straight_through,
    "rotation": rotated,
}
