"""vqcodec train: train a codec from a recipe."""

from pathlib import Path

import click

from vqcodec.errors import TrainingError


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--run", "--run-dir", "run_dir", type=click.Path(path_type=Path), help="Folder of the run. [default: runs/RECIPE]"
)
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint of the run.")
def train(recipe: Path, overrides: tuple[str, ...], run_dir: Path | None, resume: bool) -> None:
    """Train a codec, on the CPU or on GPUs; several through torchrun.

    RECIPE is a YAML file with what differs from the defaults; KEY=VALUE overrides a key. The run folder gets
    checkpoints, log.jsonl, TensorBoard logs, and at the end model.safetensors, which encode and decode take as
    --model. Ctrl-C saves and stops. Under torchrun write --run-dir: torchrun takes --run for its own.

    \b
    vqcodec train recipes/speech-16k.yaml data.train='[speech/train]' data.valid='[speech/valid]'
    vqcodec train recipes/speech-16k.yaml --resume
    torchrun --nproc-per-node 8 -m vqcodec train recipes/speech-16k.yaml devices=8 --run-dir runs/big
    """
    from vqcodec.training.config import load_run_config

    config = load_run_config(recipe, overrides)
    run = run_dir or Path("runs") / recipe.stem
    from vqcodec.training.checkpoint import has_checkpoint
    from vqcodec.training.trainer import Trainer

    if has_checkpoint(run) and not resume:
        raise TrainingError(f"{run}: holds a run already; give --resume to go on with it, or another --run")
    trainer = Trainer(config, run)
    if resume:
        trainer.resume()
    trainer.fit()
