"""Checkpoints: one folder each, safetensors and JSON, made under another name and renamed when complete.

    RUN/checkpoints/step-00001000/
        state.safetensors   tensors of model, average, optimizers and discriminators, with prefixed names
        state.json          step and the numbers that are no tensors

Nothing else is needed to go on: data and random numbers are functions of the step.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vqcodec.errors import TrainingError
from vqcodec.output import sync

KEEP = 2
"""Checkpoints kept in a run: the newest and one before it."""


def save_checkpoint(run: Path, step: int, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> Path:
    """Write the checkpoint of `step` (steps done) and remove all but the newest `KEEP`."""
    folder = run / "checkpoints" / f"step-{step:08d}"
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file(
        {name: value.detach().cpu().contiguous() for name, value in tensors.items()},
        temporary / "state.safetensors",
    )
    (temporary / "state.json").write_text(json.dumps({"step": step, **numbers}, indent=1), encoding="utf-8")
    for file in temporary.iterdir():
        sync(file)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    sync(folder.parent)
    for old in _folders(run)[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def load_checkpoint(run: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and numbers of the newest checkpoint of `run`. Raises TrainingError if there is none."""
    folders = _folders(run)
    if not folders:
        raise TrainingError(f"{run}: no checkpoint to resume from; start without --resume")
    try:
        tensors = load_file(folders[-1] / "state.safetensors")
        numbers = json.loads((folders[-1] / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, SafetensorError) as error:
        raise TrainingError(f"{folders[-1]}: damaged checkpoint ({error}); remove it to use the one before") from None
    return tensors, numbers


def has_checkpoint(run: Path) -> bool:
    """Is there a checkpoint in `run`?"""
    return bool(_folders(run))


def with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names with `prefix.` before them."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix.`, under the rest of their names."""
    start = f"{prefix}."
    return {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of an optimizer as named tensors, by parameter number."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}.{key}": torch.as_tensor(value) for number, values in state.items() for key, value in values.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Inverse of `optimizer_tensors`; the learning rate is set anew at every step."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, key = name.split(".", 1)
        parameter = parameters[int(number)]
        # Files hold plain row-major tensors; the fused step walks moments and weights in memory order.
        moment = torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
        state.setdefault(int(number), {})[key] = moment
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _folders(run: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(folder for folder in (run / "checkpoints").glob("step-*") if folder.is_dir())
