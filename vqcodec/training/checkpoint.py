"""Checkpoints: one folder each, safetensors and JSON, made under another name and renamed when complete.

    RUN/checkpoints/step-00001000/
        state.safetensors   tensors of model, average, optimizers and discriminators, with prefixed names
        state.json          step and the numbers that are no tensors

Nothing else is needed to go on: data and random numbers are functions of the step.
"""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vqcodec.errors import TrainingError
from vqcodec.output import atomic_output, make_folder, output_errors, sync
from vqcodec.texts import read_json_object

KEEP = 2
"""Checkpoints kept in a run: the newest and one before it."""


def save_checkpoint(run: Path, step: int, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> Path:
    """Write the checkpoint of `step` (steps done) and remove all but the newest `KEEP`.

    Raises OutputError where it cannot be written, such as on a full disk; then nothing is left of it, and the former
    ones stay.
    """
    folder = run / "checkpoints" / f"step-{step:08d}"
    remove_leftovers(run)
    with output_errors(folder):
        with _made_under_another_name(folder) as temporary, _errors_of_safetensors():
            plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
            save_file(plain, temporary / "state.safetensors")
            (temporary / "state.json").write_text(json.dumps({"step": step, **numbers}, indent=1), encoding="utf-8")
        for old in _folders(run)[:-KEEP]:
            shutil.rmtree(old, ignore_errors=True)
    return folder


def begin_run(run: Path, config: BaseModel) -> None:
    """Make the folder of a run, with its config.json, and without leftovers. Raises OutputError."""
    make_folder(run)
    remove_leftovers(run)
    with atomic_output(run / "config.json", force=True) as temporary:
        Path(temporary).write_text(config.model_dump_json(indent=1), encoding="utf-8")


def remove_leftovers(run: Path) -> None:
    """Remove what a process that was killed has left of a checkpoint: it may be what fills the disk."""
    for leftover in (run / "checkpoints").glob(".step-*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def load_checkpoint(run: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors and numbers of the newest checkpoint of `run`. Raises TrainingError for none, or a damaged one."""
    folders = _folders(run)
    if not folders:
        raise TrainingError(f"{run}: no checkpoint to resume from; start without --resume")
    try:
        numbers = read_json_object(folders[-1] / "state.json")
        if type(numbers.get("step")) is not int or numbers["step"] < 0:
            raise ValueError(f"state.json: step {str(numbers.get('step'))[:40]!r} is no number of steps")
        return load_file(folders[-1] / "state.safetensors"), numbers
    except (OSError, ValueError, SafetensorError) as error:
        raise damaged(run, error) from None


def damaged(run: Path, why: object) -> TrainingError:
    """Make the error of a run whose newest checkpoint is not what `save_checkpoint` wrote."""
    told = " ".join(str(why).split())[:300]
    return TrainingError(f"{_folders(run)[-1]}: damaged checkpoint ({told}); remove it to use the one before")


@contextlib.contextmanager
def _made_under_another_name(folder: Path) -> Iterator[Path]:
    """Yield a new folder that becomes `folder`, in place of an older one, or goes on any exception."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for file in temporary.iterdir():
            sync(file)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync(folder.parent)


@contextlib.contextmanager
def _errors_of_safetensors() -> Iterator[None]:
    """Make the OSError again that safetensors tells of by its number."""
    try:
        yield
    except SafetensorError as error:
        if (found := re.search(r"os error (\d+)", str(error))) is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from None


def has_checkpoint(run: Path) -> bool:
    """Tell whether there is a checkpoint in `run`."""
    return bool(_folders(run))


def with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the names with `prefix.` before them."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix.`, under the rest of their names."""
    start = f"{prefix}."
    return {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the state of an optimizer as named tensors, by parameter number."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{key}": torch.as_tensor(value) for index, values in state.items() for key, value in values.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Undo `optimizer_tensors`; the learning rate is set anew at every step.

    Raises ValueError for what is of no parameter, or does not have its shape.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, key = name.partition(".")
        if not index.isdecimal() or len(index) > 9 or int(index) >= len(parameters):
            raise ValueError(f"the optimizer has no parameter of {name[:60]!r}")
        parameter = parameters[int(index)]
        if value.shape not in (parameter.shape, ()):
            raise ValueError(f"{name[:60]!r} has the shape {tuple(value.shape)}, not {tuple(parameter.shape)}")
        # Files hold plain row-major tensors; the fused step walks moments and weights in memory order.
        moment = torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
        state.setdefault(int(index), {})[key] = moment
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _folders(run: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(folder for folder in (run / "checkpoints").glob("step-*") if folder.is_dir())
