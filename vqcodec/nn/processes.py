"""What processes that train together have in common: sums and means over all of them, and what the first one has.

Of one process alone these are its own values. All processes must call the same functions in the same order.
"""

import torch.distributed as dist
from torch import Tensor


def is_one_of_several() -> bool:
    """Tell whether this process trains together with others."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def sum_over_processes(values: Tensor) -> Tensor:
    """Return `values` after they have become, in place, their sum over all processes; without a gradient."""
    if is_one_of_several():
        dist.all_reduce(values)
    return values


def mean_over_processes(values: Tensor) -> Tensor:
    """Return the mean of `values` over all processes: that of the joined batch, where each is the mean of a part.

    The gradient is that of this process's `values` alone. DDP averages what follows from it over the processes, and
    that is the gradient of the joined batch.
    """
    if not is_one_of_several():
        return values
    local = values.detach()
    return values + (sum_over_processes(local.clone()) / dist.get_world_size() - local)


def of_first_process(values: Tensor) -> Tensor:
    """Return `values` after they have become, in place, those of the first process."""
    if is_one_of_several():
        dist.broadcast(values, src=0)
    return values
