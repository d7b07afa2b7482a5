"""What changes with the step: the learning rate, and the running average of the weights."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vqcodec.training.config import OptimizerConfig, QuantizerConfig
from vqcodec.training.muon import muon


def learning_rate(step: int, total_steps: int, peak: float, config: OptimizerConfig) -> float:
    """Return the rate: a linear warm-up to `peak`, then half a cosine down to `final_share` of it at `total_steps`."""
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
    """Make the optimizer of `config.kind` for all parameters of `module`.

    Muon (muon.py), AdamW (Loshchilov and Hutter 2019), Adam (Kingma and Ba 2015) or SGD with Nesterov's momentum.
    """
    parameters, decay = module.parameters(), config.weight_decay
    match config.kind:
        case "muon":
            return muon(module, lr=rate, betas=config.betas, weight_decay=decay)
        case "adamw":
            return torch.optim.AdamW(parameters, lr=rate, betas=config.betas, weight_decay=decay, fused=True)
        case "adam":
            return torch.optim.Adam(parameters, lr=rate, betas=config.betas, weight_decay=decay, fused=True)
        case "sgd":
            momentum = config.betas[0]
            return torch.optim.SGD(parameters, lr=rate, momentum=momentum, weight_decay=decay, nesterov=momentum > 0)


@dataclass(frozen=True)
class Gradual:
    """How far quantization has set in: the share of unquantized items, and of the quantized latent for the decoder."""

    unquantized: float
    blend: float


def gradual(steps: int, config: QuantizerConfig) -> Gradual:
    """Tell what holds `steps` steps after quantization began."""
    done = min(1.0, steps / config.gradual_steps) if config.gradual_steps else 1.0
    if config.gradual == "share":
        return Gradual(config.unquantized + (1 - done) * (1 - config.unquantized), blend=1.0)
    return Gradual(config.unquantized, blend=done)


def temperature(progress: float, config: QuantizerConfig) -> float:
    """Choose that of soft choices: from first to second of `config.temperature` by equal factors; `progress` 0 to 1."""
    start, end = config.temperature
    return start * math.pow(end / start, min(1.0, progress))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = rate
