"""Linear layers that give a row the same result whatever rows come with it, and the fast kernels of oneDNN.

A stream and a whole file must give the same codes, so a frame must not depend on how many frames are computed at
once, not even in the last bit: that decides between two codebook vectors that are as near. A matrix product adds the
products of a row in one order for any number of rows, except for very few, where libraries switch to kernels of
their own; so very few are filled up. tests/nn/test_linear.py checks it for every shape that the bundled model has.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary
from typing_extensions import override

_LEAST_ROWS = 4
"""Below: kernels for vectors (1 row with oneDNN, up to 3 with MKL), which add in another order."""

_PACKED_ROWS = 256
"""Rows that the packed layout is made for; it serves any number."""

# The kernel that torch.compile uses: twice as fast as F.linear on AMD processors, where MKL keeps to AVX2.
_ONEDNN = torch.backends.mkldnn.is_available() and all(  # type: ignore[no-untyped-call]
    hasattr(torch.ops.mkldnn, name) for name in ("_linear_pointwise", "_reorder_linear_weight")
)


class Linear(nn.Linear):
    """A linear layer through `linear`."""

    @override
    def forward(self, input: Tensor, *, gelu: bool = False) -> Tensor:
        """Apply the layer to [..., in], and then GELU if asked for."""
        return linear(input, self.weight, self.bias, gelu=gelu)


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, gelu: bool = False, owner: Tensor | None = None
) -> Tensor:
    """Compute x [..., in] @ weight [out, in] transposed + bias [out] -> [..., out], then GELU if asked for.

    `owner`: the parameter that `weight` is a view of, if it is one.
    """
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or x.device.type != "cpu":
        y = F.linear(x, weight, bias)
        return F.gelu(y) if gelu else y
    rows = x.reshape(-1, x.shape[-1])
    count = len(rows)
    if count < _LEAST_ROWS:
        rows = F.pad(rows, (0, 0, 0, _LEAST_ROWS - count))
    y = _product(rows, weight, bias, gelu, weight if owner is None else owner)
    return y[:count].view(*x.shape[:-1], len(weight))


def _product(rows: Tensor, weight: Tensor, bias: Tensor | None, gelu: bool, owner: Tensor) -> Tensor:
    if _ONEDNN and rows.dtype == torch.float32 and not torch.is_autocast_enabled("cpu"):
        packed = kept(owner, "packed", lambda: torch.ops.mkldnn._reorder_linear_weight(weight, _PACKED_ROWS))
        y: Tensor = torch.ops.mkldnn._linear_pointwise(rows, packed, bias, "gelu" if gelu else "none", [], "none")
        return y
    y = F.linear(rows, weight, bias)
    return F.gelu(y) if gelu else y


_KEPT: WeakTensorKeyDictionary = WeakTensorKeyDictionary()  # type: ignore[no-untyped-call]


def kept(weight: Tensor, name: str, make: Callable[[], Tensor]) -> Tensor:
    """Return what `make` computes from `weight`, kept as long as that lives and is not changed.

    Changes through `weight.data` are the exception: torch does not count them.
    """
    if weight.is_inference():  # nobody counts its changes
        return make()
    state = (weight.data_ptr(), weight._version)
    results: dict[str, tuple[tuple[int, int], Tensor]] = _KEPT.setdefault(weight, {})  # type: ignore[no-untyped-call]
    found = results.get(name)
    if found is None or found[0] != state:
        found = results[name] = (state, make())
    return found[1]
