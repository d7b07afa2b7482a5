"""vqcodec tokens: what is in the output of vqcodec tokenize."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vqcodec.cli.common import MODEL_HELP, echo, force_option
from vqcodec.errors import ConfigError, how_to_install
from vqcodec.output import atomic_output, check_output

if TYPE_CHECKING:
    from vqcodec.tokens.statistics import Statistics

_PICTURES = (".png", ".svg")


@click.group()
def tokens() -> None:
    """Look into the output of vqcodec tokenize, or complete it.

    \b
    vqcodec tokens info tokens/
    vqcodec tokens merge tokens/
    """


@tokens.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--picture", type=click.Path(path_type=Path), help="Draw the use of codes: FILE.png or FILE.svg.")
@click.option("--model", help=f"For entropy-coded tokens of a model that is not bundled. {MODEL_HELP}")
@force_option
def info(out: Path, as_json: bool, picture: Path | None, model: str | None, force: bool) -> None:
    """Tell what is in OUT: sums, bits, and how much of each codebook is used. All codes are read.

    \b
    vqcodec tokens info tokens/
    vqcodec tokens info tokens/ --json --picture usage.png
    """
    from vqcodec.tokens.statistics import measure

    if picture is not None:
        _check_picture(picture, force)
    statistics = measure(out, model=model)
    facts = _facts(statistics)
    if as_json:
        echo(json.dumps(facts))
    else:
        _print(facts)
    if picture is not None:
        _draw(statistics, picture, force)


@tokens.command()
@click.argument("out", type=click.Path(path_type=Path))
def merge(out: Path) -> None:
    """Make index.json and failures.jsonl of OUT once all its shards are there, whoever made them.

    vqcodec tokenize does it by itself, also the last of several with --shard.

    \b
    vqcodec tokens merge tokens/
    """
    from vqcodec.tokens.index import merge as merge_index
    from vqcodec.tokens.plan import open_plan

    totals = merge_index(open_plan(out))
    echo(
        f"{out}: {totals.utterances} utterances, {totals.seconds / 3600:.2f} h, {totals.tokens} tokens, "
        f"{totals.failures} failures",
        err=True,
    )


def _facts(statistics: "Statistics") -> dict[str, Any]:
    """Every fact by name; lists have a number per codebook."""
    totals = statistics.totals
    bits = statistics.bits_per_token
    return {
        **vars(statistics.settings),
        "frame_rate": statistics.settings.frame_rate,
        "shards": statistics.shards,
        "all_shards": statistics.all_shards,
        "utterances": totals.utterances,
        "failures": totals.failures,
        "hours": round(totals.seconds / 3600, 6),
        "frames": totals.frames,
        "tokens": totals.tokens,
        "nominal_kbps": statistics.nominal_kbps,
        "disk_bytes": statistics.disk_bytes,
        "bits_per_token": None if bits is None else round(bits, 4),
        "entropy_bits": [round(float(value), 4) for value in statistics.usage.entropy_bits],
        "perplexity": [round(float(value), 2) for value in statistics.usage.perplexity],
        "used_share": [round(float(value), 4) for value in statistics.usage.used_share],
    }


def _print(facts: dict[str, Any]) -> None:
    if facts["shards"] < facts["all_shards"]:
        echo(f"unfinished: {facts['shards']} of {facts['all_shards']} shards; what follows is of those")
    width = max(map(len, facts))
    for name, value in facts.items():
        if not isinstance(value, list):
            echo(f"{name:{width}}  {'unknown' if value is None else value}")
    echo("codebook  entropy_bits  perplexity  used")
    columns = (facts["entropy_bits"], facts["perplexity"], facts["used_share"])
    for codebook, (bits, perplexity, used) in enumerate(zip(*columns, strict=True)):
        echo(f"{codebook:8}  {bits:12.3f}  {perplexity:10.1f}  {used:4.0%}")


def _check_picture(picture: Path, force: bool) -> None:
    """Refuse what cannot be drawn before all codes are read."""
    if picture.suffix.lower() not in _PICTURES:
        raise click.UsageError(f"--picture {picture} is no .png or .svg")
    check_output(picture, force=force)
    if find_spec("matplotlib") is None:
        raise ConfigError(f"--picture needs matplotlib: {how_to_install('tokens')}")


def _draw(statistics: "Statistics", picture: Path, force: bool) -> None:
    from vqcodec.tokens.statistics import usage_figure

    figure = usage_figure(statistics)
    with atomic_output(picture, force=force) as path:
        figure.savefig(path, dpi=120)
