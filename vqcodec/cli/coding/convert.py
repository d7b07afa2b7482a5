"""vqcodec convert: speech -> the same words in another voice."""

from typing import TYPE_CHECKING

import click

from vqcodec.cli.common import (
    MODEL_HELP,
    device_option,
    echo,
    force_option,
    limit_threads,
    source_of,
    target_of,
)
from vqcodec.errors import ModelError
from vqcodec.frames import clock

if TYPE_CHECKING:
    from vqcodec.files.request import EncodeOptions


@click.command()
@click.argument("source", metavar="INPUT", required=False)
@click.argument("target", metavar="OUTPUT", required=False)
@click.option("--model", required=True, help=f"One whose decoder is told who speaks. {MODEL_HELP}")
@click.option("--speaker", metavar="NAME", help="Who shall speak.")
@click.option("--list-speakers", is_flag=True, help="Print the names that --speaker can have, and do no more.")
@click.option(
    "--kbps",
    type=click.FloatRange(min=0, min_open=True),
    help="Of the codes in between: the fewer, the less is left of who spoke, and of the words. [default: all]",
)
@click.option("--rate", type=click.IntRange(min=1), help="Of OUTPUT, in Hz. [default: INPUT's, at least the model's]")
@device_option
@force_option
def convert(
    source: str | None,
    target: str | None,
    model: str,
    speaker: str | None,
    list_speakers: bool,
    kbps: float | None,
    rate: int | None,
    device: str,
    force: bool,
) -> None:
    """Say what INPUT says in the voice of another speaker, whom the decoder of a model has learned.

    OUTPUT is .wav, .flac, .ogg, .opus or .mp3; "-" is standard input or output (WAV). recipes/speakers.yaml trains such
    a model from recordings whose manifest says who speaks.

    \b
    vqcodec convert --list-speakers --model voices.safetensors
    vqcodec convert speech.wav converted.wav --model voices.safetensors --speaker kerstin
    """
    if list_speakers:
        _list_speakers(model)
        return
    if source is None or target is None:
        raise click.UsageError("give INPUT and OUTPUT, or --list-speakers")
    if speaker is None:
        raise click.UsageError("give --speaker NAME; --list-speakers prints the names")
    limit_threads()
    from vqcodec.files.enhance import convert_file

    options: EncodeOptions = {"model": model, "kbps": kbps, "device": device, "force": force}
    summary = convert_file(source_of(source), target_of(target), speaker=speaker, rate_hz=rate, **options)
    echo(f"{target}: {clock(summary.duration_seconds)}, {summary.file_bytes} bytes", err=True)


def _list_speakers(model: str) -> None:
    from vqcodec.models import zoo
    from vqcodec.models.architecture import TOLD_NO_SPEAKER

    config = zoo.open_weights(model).config
    if not config.speakers:
        raise ModelError(f"{config.name} {TOLD_NO_SPEAKER}")
    for name in config.speakers:
        echo(name)
