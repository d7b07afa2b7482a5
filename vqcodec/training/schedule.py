"""What changes with the step: the learning rate, and the running average of the weights."""

import math

import torch
from torch import Tensor, nn

from vqcodec.config import OptimizerConfig
from vqcodec.training.muon import muon


def learning_rate(step: int, total_steps: int, peak: float, config: OptimizerConfig) -> float:
    """Linear warm-up to `peak`, then half a cosine down to `final_share` of it at `total_steps`."""
    if step < config.warmup_steps:
        return peak * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, total_steps - config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return peak * (config.final_share + (1 - config.final_share) * cosine)


class WeightAverage:
    """Exponential moving average of a module's parameters and codebooks (Polyak averaging).

    `values` maps the names of the module's floating-point state to the averages.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values: dict[str, Tensor] = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move towards the weights after `step`; the first steps count more, so that the start is forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)

    def restart(self, module: nn.Module) -> None:
        """Forget the past: after a jump of the weights, such as the start of the codebooks."""
        for name, value in module.state_dict().items():
            self.values[name].copy_(value)


def make_optimizer(module: nn.Module, rate: float, config: OptimizerConfig) -> torch.optim.Optimizer:
    """The optimizer of `config.kind`, Muon or AdamW (Loshchilov and Hutter 2019), for all parameters of `module`."""
    if config.kind == "muon":
        return muon(module, lr=rate, betas=config.betas, weight_decay=config.weight_decay)
    return torch.optim.AdamW(
        module.parameters(), lr=rate, betas=config.betas, weight_decay=config.weight_decay, fused=True
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = rate
