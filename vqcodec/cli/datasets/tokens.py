"""vqcodec tokens: what is in the output of vqcodec tokenize, and how good the codes of a model are as tokens."""

import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vqcodec.cli.common import (
    MODEL_HELP,
    echo,
    effort_option,
    engine_option,
    force_option,
    limit_threads,
    model_option,
    progress,
    require,
)
from vqcodec.errors import ConfigError, how_to_install
from vqcodec.output import atomic_output, check_output

if TYPE_CHECKING:
    from vqcodec.tokens.judging import TokenQuality
    from vqcodec.tokens.statistics import Statistics

_PICTURES = (".png", ".svg")
_FRAMES_PER_CODE = 10
"""With fewer, an entropy is that of the clips rather than of the codebook."""


@click.group()
def tokens() -> None:
    """Look into the output of vqcodec tokenize, complete it, or judge the codes of a model.

    \b
    vqcodec tokens info tokens/
    vqcodec tokens merge tokens/
    vqcodec tokens judge clips/
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


@tokens.command()
@click.argument("sources", nargs=-1, required=True)
@click.option("--kbps", type=click.FloatRange(min=0, min_open=True), help="Highest nominal rate. [default: all]")
@click.option("--codebooks", type=click.IntRange(min=1), help="Number of codebooks, instead of --kbps.")
@model_option
@engine_option
@effort_option
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the noise.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def judge(
    sources: tuple[str, ...],
    kbps: float | None,
    codebooks: int | None,
    model: str,
    engine: Any,
    effort: Any,
    seed: int,
    as_json: bool,
) -> None:
    """Tell how good the codes of a model are as tokens, on the clips of SOURCES.

    SOURCES are files, folders, globs or manifests. Of each codebook: how much of it is used, which share of its codes
    stays what it is where a clip comes a frame or half a frame at another place, at another level, with noise, or
    at another pitch; what two codebooks say twice; and what is heard of the first ones alone. Needs the extra eval.

    \b
    vqcodec tokens judge clips/
    vqcodec tokens judge clips/ --model runs/mine/model.safetensors --kbps 3 --json
    """
    require("torch")
    if find_spec("scipy") is None:
        raise ConfigError(f"tokens judge needs scipy: {how_to_install('eval')}")
    limit_threads()
    from vqcodec.audio.discover import find_audio
    from vqcodec.models import zoo
    from vqcodec.tokens.judging import judge as measure

    loaded = zoo.load_engine(model, engine=engine, effort=effort)
    count = loaded.codebooks_for(kbps=kbps, num_codebooks=codebooks)
    clips = find_audio(sources)
    with progress("judging") as show:
        quality = measure(loaded, clips, num_codebooks=count, seed=seed, on_progress=show)
    if quality.frames < _FRAMES_PER_CODE * loaded.codebook_size:
        wanted = _FRAMES_PER_CODE * loaded.codebook_size / loaded.frame_rate / 60
        echo(f"{quality.frames} frames are few: entropies are too low below {wanted:.2g} minutes of audio", err=True)
    facts = {"model": loaded.model_name, "frame_rate": loaded.frame_rate, **_quality(quality)}
    echo(json.dumps(facts) if as_json else _quality_text(facts))


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


def _quality(quality: "TokenQuality") -> dict[str, Any]:
    """Every fact by name; lists have a number per codebook, null where there is no value."""
    return {
        "clips": quality.clips,
        "frames": quality.frames,
        "entropy_bits": _numbers(quality.usage.entropy_bits),
        "perplexity": _numbers(quality.usage.perplexity),
        "used_share": _numbers(quality.usage.used_share),
        "same_share": {name: _numbers(shares) for name, shares in quality.same_share.items()},
        "mutual_information_bits": [_numbers(row) for row in quality.mutual_bits],
        "kbps": _numbers(quality.kbps),
        **{name: _numbers(values) for name, values in quality.fidelity.items()},
    }


def _numbers(values: Any) -> list[float | None]:
    return [round(float(value), 4) if math.isfinite(value) else None for value in values]


def _quality_text(facts: dict[str, Any]) -> str:
    """Three tables: a line per codebook; what it has in common with each before it; a line per number of codebooks."""
    columns = {
        "entropy": [f"{value:.2f}" for value in facts["entropy_bits"]],
        "used": [f"{value:.0%}" for value in facts["used_share"]],
        **{name: [f"{share:.1%}" for share in shares] for name, shares in facts["same_share"].items()},
    }
    mutual = facts["mutual_information_bits"]
    common = [[f"{bits:.2f}" for bits in row[:codebook]] for codebook, row in enumerate(mutual)]
    first = {
        "kbps": [f"{kbps:g}" for kbps in facts["kbps"]],
        **{name: ["-" if v is None else f"{v:.3f}" for v in facts[name]] for name in ("mel_distance", "si_sdr")},
    }
    return "\n".join(
        [
            f"{facts['model']}: {facts['clips']} clips, {facts['frames']} frames at {facts['frame_rate']:g} Hz",
            "\nentropy in bits, use, and codes that stay the same under each change:",
            *_table("codebook", columns, start=0),
            "\nbits in common with each codebook before it:",
            *(f"{codebook:8}  {'  '.join(row)}" for codebook, row in enumerate(common) if row),
            "\nwhat the first codebooks give:",
            *_table("codebooks", first, start=1),
        ]
    )


def _table(corner: str, columns: dict[str, list[str]], *, start: int) -> list[str]:
    """Lines of a head and rows that are counted from `start` on, columns aligned to the right."""
    widths = [max(len(name), *map(len, cells)) for name, cells in columns.items()]
    head = [corner, *(name.rjust(width) for name, width in zip(columns, widths, strict=True))]
    rows = [
        [str(index).rjust(len(corner)), *(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))]
        for index, cells in enumerate(zip(*columns.values(), strict=True), start=start)
    ]
    return ["  ".join(row) for row in [head, *rows]]
