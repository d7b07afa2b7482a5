"""vqcodec enhance: an audio file -> the speech in it."""

from typing import TYPE_CHECKING

import click

from vqcodec.cli.common import (
    ENHANCER_HELP,
    device_option,
    echo,
    force_option,
    limit_threads,
    model_option,
    source_of,
    target_of,
)
from vqcodec.frames import clock

if TYPE_CHECKING:
    from vqcodec.files.request import EncodeOptions


@click.command()
@click.argument("source", metavar="INPUT")
@click.argument("target", metavar="OUTPUT")
@click.option("--kbps", type=click.FloatRange(min=0, min_open=True), help="Of the codes in between. [default: all]")
@click.option("--rate", type=click.IntRange(min=1), help="Of OUTPUT, in Hz. [default: INPUT's, at least the model's]")
@model_option
@click.option("--enhancer", type=click.Path(), metavar="FILE", help=ENHANCER_HELP)
@device_option
@force_option
def enhance(
    source: str,
    target: str,
    kbps: float | None,
    rate: int | None,
    model: str,
    enhancer: str | None,
    device: str,
    force: bool,
) -> None:
    """Take noise, echo and clipping out of speech, and make what a telephone left wide.

    INPUT is encoded as encode --enhance does it, and decoded to OUTPUT: .wav, .flac, .ogg, .opus or .mp3. "-" is
    standard input or output (WAV).

    \b
    vqcodec enhance noisy.wav clean.wav
    """
    limit_threads()
    from vqcodec.files.enhance import enhance_file

    options: EncodeOptions = {"model": model, "kbps": kbps, "device": device, "force": force}
    options["enhance"] = enhancer or True
    summary = enhance_file(source_of(source), target_of(target), rate_hz=rate, **options)
    echo(f"{target}: {clock(summary.duration_seconds)}, {summary.file_bytes} bytes", err=True)
