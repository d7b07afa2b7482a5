"""vqcodec train: train a codec from a recipe."""

from __future__ import annotations

import os
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vqcodec.cli.common import echo
from vqcodec.errors import TrainingError

if TYPE_CHECKING:
    from vqcodec.training.config import RunConfig


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path), required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--run", "--run-dir", "run_dir", type=click.Path(path_type=Path), help="Folder of the run. [default: runs/RECIPE]"
)
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint of the run, with the run's own config.")
@click.option("--keys", is_flag=True, help="Print every key of a recipe with its default and meaning, and do no more.")
def train(recipe: Path | None, overrides: tuple[str, ...], run_dir: Path | None, resume: bool, keys: bool) -> None:
    """Train a codec, on the CPU or on GPUs; several through torchrun.

    RECIPE is a YAML file with what differs from the defaults; KEY=VALUE overrides a key. The run folder gets
    checkpoints, log.jsonl, TensorBoard logs, and at the end model.safetensors, which encode and decode take as
    --model. Ctrl-C saves and stops. --resume needs no RECIPE where --run says which run; what KEY=VALUE changes in
    the run, and what RECIPE says otherwise, is told. Under torchrun write --run-dir: torchrun takes --run for its own.

    \b
    vqcodec train recipes/speech-16k.yaml data.train='[speech/train]' data.valid='[speech/valid]'
    vqcodec train recipes/speech-16k.yaml --resume
    vqcodec train --run runs/speech-16k --resume steps=200000
    torchrun --nproc-per-node 8 -m vqcodec train recipes/speech-16k.yaml devices=8 --run-dir runs/big
    """
    if keys:
        _print_keys()
        return
    if recipe is not None and "=" in str(recipe) and not recipe.exists():
        recipe, overrides = None, (str(recipe), *overrides)
    run = run_dir or (recipe and Path("runs") / recipe.stem)
    if run is None or (recipe is None and not resume):
        raise click.UsageError("give a RECIPE to begin with, or --run and --resume to go on with a run")
    config = _of_run(run, recipe, overrides) if recipe is None or resume else _of_recipe(recipe, overrides)
    from vqcodec.training.checkpoint import has_checkpoint
    from vqcodec.training.trainer import Trainer

    if has_checkpoint(run) and not resume:
        raise TrainingError(f"{run}: holds a run already; give --resume to go on with it, or another --run")
    trainer = Trainer(config, run)
    if resume:
        trainer.resume()
    trainer.fit()


def _of_recipe(recipe: Path, overrides: tuple[str, ...]) -> RunConfig:
    from vqcodec.training.config import load_run_config

    return load_run_config(recipe, overrides)


def _of_run(run: Path, recipe: Path | None, overrides: tuple[str, ...]) -> RunConfig:
    """The config of the run with the overrides; what they change, and what the recipe has otherwise, goes to stderr."""
    from vqcodec.training.config import load_resumed_config, load_run_config
    from vqcodec.training.keys import differing_keys

    former, config = load_resumed_config(run, overrides)
    if os.environ.get("RANK", "0") != "0":  # torchrun's first process tells
        return config
    for name, before, now in differing_keys(former, config):
        echo(f"{run}: {name} is now {now}, before {before}", err=True)
    if recipe is not None:
        for name, here, there in differing_keys(config, load_run_config(recipe, overrides)):
            echo(f"{run}: {name} stays {here}, which {recipe} has as {there}; {name}=... changes it", err=True)
    return config


def _print_keys() -> None:
    from vqcodec.training.config import RunConfig
    from vqcodec.training.keys import recipe_keys

    width = max(40, min(120, shutil.get_terminal_size((120, 24)).columns))
    for key in recipe_keys(RunConfig()):
        echo(f"{key.name}={key.default}")
        for line in textwrap.wrap(key.meaning, width - 4):
            echo(f"    {line}")
