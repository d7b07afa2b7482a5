"""vqcodec generate: speech that is drawn from a prior."""

import contextlib
import time
from pathlib import Path

import click

from vqcodec.cli.coding.live import stop_at_signals
from vqcodec.cli.common import MODEL_HELP, echo, force_option, limit_threads, target_of
from vqcodec.frames import clock


@click.command()
@click.argument("output")
@click.option("--prior", required=True, type=click.Path(), metavar="FILE", help="What vqcodec prior train made.")
@click.option("--prompt", type=click.Path(), metavar="AUDIO", help="Go on from this; it comes first in OUTPUT.")
@click.option("--seconds", type=float, default=5.0, show_default=True, help="What is drawn.")
@click.option("--temperature", type=float, default=0.9, show_default=True, help="Below 1: what is likely is likelier.")
@click.option("--top-k", type=click.IntRange(min=1), help="Draw among so many likeliest codes. [default: all]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same: the same samples.")
@click.option("--model", help=f"For a prior of a model that is not bundled. {MODEL_HELP}")
@click.option("--live", is_flag=True, help="A WAV stream that leaves while it is drawn; OUTPUT may be -.")
@force_option
def generate(
    output: str,
    prior: str,
    prompt: str | None,
    seconds: float,
    temperature: float,
    top_k: int | None,
    seed: int,
    model: str | None,
    live: bool,
    force: bool,
) -> None:
    """Draw speech from a prior, from nothing or on from a prompt.

    \b
    vqcodec generate babble.wav --prior prior.safetensors
    vqcodec generate more.wav --prior prior.safetensors --prompt speech.wav --seconds 3 --seed 1
    vqcodec generate - --prior prior.safetensors --seconds 600 --live | aplay
    """
    limit_threads()
    from vqcodec.tokens.prior.generating import generate_file

    began = time.monotonic()
    with stop_at_signals() if live else contextlib.nullcontext() as stop:
        written = generate_file(
            target_of(output),
            prior=Path(prior),
            prompt=prompt,
            seconds=seconds,
            temperature=temperature,
            top_k=top_k,
            seed=seed,
            model=model,
            force=force,
            live=live,
            stop=stop,
        )
    elapsed = time.monotonic() - began
    echo(f"{output}: {clock(written)}, {written / max(1e-9, elapsed):.1f} x real time with loading", err=True)
