"""What a run stands on: devices and precision through Lightning Fabric, and signals that ask it to stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy


class Placement(Protocol):
    """Where a run computes, as the config of each kind says it."""

    @property
    def precision(self) -> str:
        """Precision of Lightning Fabric, or auto."""

    @property
    def accelerator(self) -> str:
        """Accelerator of Lightning Fabric."""

    @property
    def devices(self) -> int | str:
        """Processes, or auto."""

    @property
    def num_nodes(self) -> int:
        """Machines."""


def make_fabric(config: Placement, *, may_rest: bool) -> Fabric:
    """Return the Fabric for the devices of `config`; `may_rest`: in some steps not all parameters get a gradient."""
    precision: Any = config.precision
    if precision == "auto":
        # A CPU without bf16 instructions emulates them, four times slower than float32.
        precision = "bf16-mixed" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "32-true"
    choose = partial(
        Fabric,
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        precision=precision,
    )
    fabric = choose()
    # Only now it is known whether there are several processes. They would wait for the gradients of what rests.
    if may_rest and isinstance(fabric.strategy, DDPStrategy):
        fabric = choose(strategy=DDPStrategy(find_unused_parameters=True))
    return fabric


def seed_step(fabric: Fabric, seed: int, step: int) -> None:
    """Give each step of each process random numbers of its own, so that a resumed run draws what a whole one does.

    On a CPU only torch's own generator is told: `torch.manual_seed` writes down a traceback for each accelerator that
    is not there, a fifth of the time of a toy model's step.
    """
    seed += 1_000_003 * (step * fabric.world_size + fabric.global_rank + 1)
    if fabric.device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def on_any_process(fabric: Fabric, is_so: bool) -> bool:
    """Tell whether something is so on any process; all of them must ask."""
    if fabric.world_size == 1:
        return is_so
    count = fabric.all_reduce(torch.tensor(float(is_so)), reduce_op="sum")
    assert isinstance(count, torch.Tensor)
    return bool(count > 0)


class StopRequest:
    """Whether a signal has asked the run to stop after its current step."""

    def __init__(self) -> None:
        self.requested = False


@contextmanager
def stop_signals() -> Iterator[StopRequest]:
    """Let SIGINT and SIGTERM ask for a stop; a second one ends the process at once."""
    request = StopRequest()

    def ask(signal_number: int, _frame: FrameType | None) -> None:
        request.requested = True
        signal.signal(signal_number, former[signal_number])

    former: dict[int, Any] = {
        signal_number: signal.signal(signal_number, ask) for signal_number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield request
    finally:
        for signal_number, handler in former.items():
            signal.signal(signal_number, handler)
