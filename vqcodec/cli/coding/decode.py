"""vqcodec decode: .vqc -> an audio file."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from vqcodec.cli.coding.batch import Batch, FatalError, Outcome, Say, Work, batch_options, check_skipping
from vqcodec.cli.coding.jobs import Job, find_coded, pairs
from vqcodec.cli.coding.live import LiveDecodeOptions, check_live, decode_stream, live_decode_options
from vqcodec.cli.common import (
    MODEL_HELP,
    Time,
    device_option,
    echo,
    engine_option,
    force_option,
    imports_of,
    limit_threads,
    source_of,
    target_of,
)
from vqcodec.errors import BitstreamError, DamagedError, VqcodecError
from vqcodec.frames import clock
from vqcodec.models.zoo import EngineName

if TYPE_CHECKING:
    from vqcodec.files.request import DecodeOptions, Engines

FORMATS = ("wav", "flac", "ogg", "opus", "mp3")


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="INPUT... [OUTPUT]")
@click.option("--codebooks", type=click.IntRange(min=1), help="Decode only the first layers: a lower rate's sound.")
@click.option("--start", type=Time(), default=0.0, help="Where to begin: seconds, m:ss or h:mm:ss.")
@click.option("--duration", type=Time(), help="How much to decode; default: to the end.")
@click.option("--rate", type=click.IntRange(min=1), help="Sampling rate in Hz; default: the original one.")
@click.option("--model", help=f"For files of a model that is not bundled. {MODEL_HELP}")
@click.option("--speaker", metavar="NAME", help="Who shall speak, of a model that is told; see vqcodec convert.")
@click.option("--conceal", is_flag=True, help="Bridge damaged seconds instead of failing: fade out, then silence.")
@click.option("--format", "kind", type=click.Choice(FORMATS), help="Of the outputs in --out-dir. [default: wav]")
@batch_options
@live_decode_options
@engine_option
@device_option
@force_option
def decode(
    paths: tuple[str, ...],
    codebooks: int | None,
    start: float,
    duration: float | None,
    rate: int | None,
    model: str | None,
    speaker: str | None,
    conceal: bool,
    kind: str | None,
    engine: EngineName | None,
    device: str,
    force: bool,
    out_dir: Path | None,
    skip_existing: bool,
    workers: int,
    **live: Unpack[LiveDecodeOptions],
) -> None:
    """Decode .vqc files to audio: .wav, .flac, .ogg, .opus or .mp3, by the suffix of OUTPUT.

    Length, sampling rate and channels are those of the original. "-" is standard input or output (WAV). With --out-dir
    there may be many inputs, also folders and globs. Opus has five rates only: where the original has another,
    .opus gets the next one.

    With --live INPUT is decoded chunk by chunk as it comes, to WAV of unknown length or raw samples; what was decoded
    before an error is written.

    \b
    vqcodec decode speech.vqc speech.wav
    vqcodec decode archive/ --out-dir audio/ --format flac --skip-existing
    vqcodec decode talk.vqc minute.flac --start 1:00:00 --duration 60
    nc -l 5000 | vqcodec decode --live - - | aplay
    """
    check_live(live)
    if live["live"] and (out_dir is not None or skip_existing or workers > 1):
        raise click.UsageError("--live decodes one stream, without --out-dir, --skip-existing and --workers")
    if live["live"] and (start or duration is not None):
        raise click.UsageError("--live decodes a stream from its beginning, without --start and --duration")
    if kind is not None and out_dir is None:
        raise click.UsageError("--format goes with --out-dir; without it the suffix of OUTPUT says the format")
    check_skipping(skip_existing, force)
    jobs = pairs(paths, out_dir, suffix=f".{kind or FORMATS[0]}", find=find_coded)
    limit_threads(workers)
    from vqcodec.files.request import Engines

    engines = Engines(engine, device, speaker=speaker)
    options: DecodeOptions = {
        "model": model,
        "num_codebooks": codebooks,
        "rate_hz": rate,
        "force": force,
        "engines": engines,
    }
    if live["live"]:
        on_damage = _warn if conceal else None
        decode_stream(jobs[0].source, jobs[0].target, live, on_damage=on_damage, **options)
        return
    batch = Batch(jobs, workers, skip_existing, has_closing=out_dir is not None, imports=imports_of(engine))
    batch.run(make_decoder, engines, options, (start, duration), conceal)


def make_decoder(engines: "Engines", options: "DecodeOptions", span: tuple[float, float | None], conceal: bool) -> Work:
    """Make what decodes a file and tells how that went. `span`: where to begin and how much, in seconds."""
    from vqcodec.files.convert import decode_file

    def decode_one(job: Job, say: Say) -> Outcome:
        began, loaded = time.monotonic(), engines.loading_seconds
        damage: list[BitstreamError] = []
        try:
            summary = decode_file(
                source_of(job.source),
                target_of(job.target),
                start_seconds=span[0],
                duration_seconds=span[1],
                on_progress=lambda done, total: say(done / max(total, done, 1e-9)),
                on_damage=damage.append if conceal else None,
                **options,
            )
        except VqcodecError as error:
            raise (FatalError(str(error)) if error is engines.failure else error) from None
        elapsed = time.monotonic() - began - (engines.loading_seconds - loaded)
        seconds = summary.duration_seconds
        line = f"{job.target}: {clock(seconds)}, {seconds / max(1e-9, elapsed):.0f} x real time"
        lines = (*map(_warning, damage), line)
        return Outcome(lines, seconds, job.source_bytes, summary.file_bytes, is_damaged=bool(damage))

    return decode_one


def _warning(error: BitstreamError) -> str:
    concealed = isinstance(error, DamagedError) and error.start_seconds != error.end_seconds
    return f"Warning: {error}" + ("; concealed by a fade to silence" if concealed else "")


def _warn(error: BitstreamError) -> None:
    echo(_warning(error), err=True)
