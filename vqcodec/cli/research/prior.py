"""vqcodec prior: train and judge a prior, which vqcodec generate draws speech from."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vqcodec.cli.common import MODEL_HELP, echo, force_option, limit_threads
from vqcodec.errors import TrainingError
from vqcodec.output import check_output

if TYPE_CHECKING:
    from vqcodec.tokens.prior.config import PriorConfig

_model_option = click.option("--model", help=f"For tokens of a model that is not bundled. {MODEL_HELP}")


@click.group()
def prior() -> None:
    """Train or judge a prior: how likely codes are after those before them.

    \b
    vqcodec prior train tokens/ --out prior.safetensors
    vqcodec prior evaluate prior.safetensors held-out-tokens/
    """


@prior.command()
@click.argument("tokens", type=click.Path(path_type=Path), required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--out", type=click.Path(path_type=Path), help="File of the prior.")
@click.option("--recipe", type=click.Path(path_type=Path), help="YAML file with what differs from the defaults.")
@click.option("--valid", type=click.Path(path_type=Path), metavar="TOKENS", help="Held-out tokens, for the log.")
@click.option("--run", "--run-dir", "run_dir", type=click.Path(path_type=Path), help="Folder. [default: runs/OUT]")
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint of the run, with the run's own config.")
@click.option("--keys", is_flag=True, help="Print every key with its default and meaning, and do no more.")
@_model_option
@force_option
def train(
    tokens: Path | None,
    overrides: tuple[str, ...],
    out: Path | None,
    recipe: Path | None,
    valid: Path | None,
    run_dir: Path | None,
    resume: bool,
    keys: bool,
    model: str | None,
    force: bool,
) -> None:
    """Train a prior on TOKENS, the output of vqcodec tokenize.

    KEY=VALUE overrides a key of the recipe. The run folder gets checkpoints, log.jsonl and TensorBoard logs; Ctrl-C
    saves, writes the prior as it is, and stops. Tokens are kept in memory: 2 MB an hour at 3 kbps.

    \b
    vqcodec prior train tokens/ --out prior.safetensors --recipe recipes/prior.yaml --valid held-out-tokens/
    vqcodec prior train tokens/ --out prior.safetensors --resume
    """
    if keys:
        _print_keys()
        return
    if tokens is None or out is None:
        raise click.UsageError("give TOKENS and --out")
    limit_threads()
    run = run_dir or Path("runs") / out.stem
    config = _config(run, recipe, overrides, resume=resume)
    check_output(out, force=force or resume)
    from vqcodec.tokens.prior.priorfile import codec_of_fingerprint
    from vqcodec.tokens.prior.training import PriorTrainer
    from vqcodec.tokens.reader import open_tokens
    from vqcodec.training.checkpoint import has_checkpoint

    if has_checkpoint(run) and not resume:
        raise TrainingError(f"{run}: holds a run already; give --resume to go on with it, or another --run")
    dataset = open_tokens(tokens, model=model)
    held_out = None if valid is None else open_tokens(valid, model=model)
    if held_out is not None and held_out.fingerprint != dataset.fingerprint:
        raise TrainingError(f"{valid}: tokens of another model than those of {tokens}; tokenize it with the same")
    codec = codec_of_fingerprint(dataset.fingerprint, dataset.settings.model, model)
    trainer = PriorTrainer(config, run, out, tokens=dataset, valid=held_out, codec=codec)
    if resume:
        trainer.resume()
    trainer.fit()


@prior.command()
@click.argument("path", metavar="PRIOR", type=click.Path(path_type=Path))
@click.argument("tokens", type=click.Path(path_type=Path))
@_model_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(path: Path, tokens: Path, model: str | None, as_json: bool) -> None:
    """Tell how many bits a code of TOKENS costs by PRIOR, and by the entropy model that .vqc files use.

    \b
    vqcodec prior evaluate prior.safetensors held-out-tokens/
    """
    limit_threads()
    from vqcodec.tokens.prior.data import CodesInMemory
    from vqcodec.tokens.prior.judging import bits_per_code, mean_bits
    from vqcodec.tokens.prior.priorfile import load_prior
    from vqcodec.tokens.reader import open_tokens
    from vqcodec.training.entropy import measured_bits

    loaded = load_prior(path)
    dataset = open_tokens(tokens, model=model)
    loaded.check_tokens(dataset.settings)
    codec = loaded.codec(model)
    utterances = CodesInMemory.of(dataset, loaded.network.sizes.num_codebooks).utterances()
    bits = {"prior": bits_per_code(loaded.network, utterances)}
    if codec.entropy is not None and codec.entropy.num_layers >= len(bits["prior"]):
        whole = CodesInMemory.of(dataset, min(dataset.num_codebooks, codec.entropy.num_layers)).utterances()
        bits["entropy_model"] = measured_bits(codec.entropy.tensors, whole)[: len(bits["prior"])]
    if as_json:
        facts = {name: [round(value, 4) for value in values] for name, values in bits.items()}
        echo(json.dumps({"utterances": len(utterances), **facts}))
        return
    echo("codebook  " + "  ".join(bits))
    for codebook, values in enumerate(zip(*bits.values(), strict=True)):
        echo(f"{codebook:8}  " + "  ".join(f"{v:{len(name)}.3f}" for name, v in zip(bits, values, strict=True)))
    echo("    mean  " + "  ".join(f"{mean_bits(values):{len(name)}.3f}" for name, values in bits.items()))


def _config(run: Path, recipe: Path | None, overrides: tuple[str, ...], *, resume: bool) -> PriorConfig:
    from vqcodec.tokens.prior.config import PriorConfig
    from vqcodec.training.config import load_recipe, load_resumed, with_overrides
    from vqcodec.training.keys import differing_keys

    if not resume:
        if recipe is None:
            return with_overrides(PriorConfig, {}, overrides, where="KEY=VALUE")
        return load_recipe(PriorConfig, recipe, overrides)
    former, config = load_resumed(PriorConfig, run, overrides)
    for name, before, now in differing_keys(former, config):
        echo(f"{run}: {name} is now {now}, before {before}", err=True)
    return config


def _print_keys() -> None:
    from vqcodec.tokens.prior.config import PriorConfig
    from vqcodec.training.keys import recipe_keys

    width = max(40, min(120, shutil.get_terminal_size((120, 24)).columns))
    for key in recipe_keys(PriorConfig()):
        echo(f"{key.name}={key.default}")
        for line in textwrap.wrap(key.meaning, width - 4):
            echo(f"    {line}")
