"""vqcodec decode: .vqc -> an audio file."""

import time
from typing import TYPE_CHECKING, Unpack

import click

from vqcodec.cli.coding.live import LiveDecodeOptions, check_live, decode_stream, live_decode_options
from vqcodec.cli.common import (
    Time,
    device_option,
    echo,
    engine_option,
    force_option,
    limit_threads,
    progress,
    source_of,
    target_of,
)
from vqcodec.errors import BitstreamError, DamagedError
from vqcodec.frames import clock
from vqcodec.models.zoo import EngineName

if TYPE_CHECKING:
    from vqcodec.files.request import DecodeOptions


@click.command()
@click.argument("source", metavar="INPUT")
@click.argument("target", metavar="OUTPUT")
@click.option("--codebooks", type=click.IntRange(min=1), help="Decode only the first layers: a lower rate's sound.")
@click.option("--start", type=Time(), default=0.0, help="Where to begin: seconds, m:ss or h:mm:ss.")
@click.option("--duration", type=Time(), help="How much to decode; default: to the end.")
@click.option("--rate", type=click.IntRange(min=1), help="Sampling rate in Hz; default: the original one.")
@click.option("--model", help="Weights file, for files of a model that is not bundled.")
@click.option("--conceal", is_flag=True, help="Bridge damaged seconds instead of failing: fade out, then silence.")
@live_decode_options
@engine_option
@device_option
@force_option
def decode(
    source: str,
    target: str,
    codebooks: int | None,
    start: float,
    duration: float | None,
    rate: int | None,
    model: str | None,
    conceal: bool,
    engine: EngineName,
    device: str,
    force: bool,
    **live: Unpack[LiveDecodeOptions],
) -> None:
    """Decode a .vqc to audio: .wav, .flac, .ogg or .mp3, by the suffix of OUTPUT.

    Length, sampling rate and channels are those of the original. "-" is standard input or output (WAV).

    With --live INPUT is decoded chunk by chunk as it comes, to WAV of unknown length or raw samples; what was decoded
    before an error is written.

    \b
    vqcodec decode speech.vqc speech.wav
    vqcodec decode talk.vqc minute.flac --start 1:00:00 --duration 60
    nc -l 5000 | vqcodec decode --live - - | aplay
    """
    from vqcodec.files.convert import decode_file

    on_damage = _warn if conceal else None
    check_live(live)
    limit_threads()
    options: DecodeOptions = {
        "model": model,
        "num_codebooks": codebooks,
        "rate_hz": rate,
        "engine": engine,
        "device": device,
        "force": force,
    }
    if live["live"]:
        if start or duration is not None:
            raise click.UsageError("--live decodes a stream from its beginning, without --start and --duration")
        decode_stream(source, target, live, on_damage=on_damage, **options)
        return
    started = time.monotonic()
    with progress(source) as report:
        summary = decode_file(
            source_of(source),
            target_of(target),
            start_seconds=start,
            duration_seconds=duration,
            on_progress=report,
            on_damage=on_damage,
            **options,
        )
    speed = summary.duration_seconds / max(1e-9, time.monotonic() - started)
    echo(f"{target}: {clock(summary.duration_seconds)}, {speed:.0f} x real time", err=True)


def _warn(error: BitstreamError) -> None:
    concealed = isinstance(error, DamagedError) and error.start_seconds != error.end_seconds
    echo(f"Warning: {error}" + ("; concealed by a fade to silence" if concealed else ""), err=True)
