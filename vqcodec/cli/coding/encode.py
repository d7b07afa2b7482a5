"""vqcodec encode: audio files -> .vqc."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from vqcodec.cli.coding.batch import Batch, FatalError, Outcome, Remark, Say, Work, batch_options, check_skipping
from vqcodec.cli.coding.jobs import CODED_SUFFIX, Job, find_recordings, pairs
from vqcodec.cli.coding.live import LiveEncodeOptions, check_live, encode_stream, live_encode_options
from vqcodec.cli.common import (
    device_option,
    echo,
    effort_option,
    engine_option,
    enhance_option,
    enhancer_option,
    force_option,
    imports_of,
    limit_threads,
    model_option,
    on_truncated_option,
    source_of,
    target_of,
)
from vqcodec.errors import VqcodecError
from vqcodec.frames import clock
from vqcodec.models.effort import Effort
from vqcodec.models.zoo import EngineName

if TYPE_CHECKING:
    from vqcodec.audio import OnTruncated
    from vqcodec.audio.downmix import Mono
    from vqcodec.files.request import EncodeOptions, Engines


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="INPUT... [OUTPUT]")
@click.option("--kbps", type=click.FloatRange(min=0, min_open=True), help="Highest nominal rate per channel.")
@click.option("--codebooks", type=click.IntRange(min=1), help="Number of codebooks, instead of --kbps.")
@click.option(
    "--total-kbps", type=click.FloatRange(min=0, min_open=True), help="Highest rate of all channels together."
)
@click.option(
    "--vbr",
    type=click.FloatRange(0, 10),
    metavar="QUALITY",
    help="Quality, 0 to 10: frames have as many codebooks as they need, at most those of the rate.",
)
@click.option(
    "--abr/--cbr",
    help="The bytes of each minute meet --kbps or --total-kbps, frames having as many codebooks as they need; or all "
    "frames have as many, the most whose nominal rate is not above it.",
)
@click.option(
    "--mono", type=click.Choice(["mean", "left", "right"]), help="Code one channel: the mean of all, or one of two."
)
@model_option
@click.option("--tag", "tags", multiple=True, metavar="NAME=TEXT", help="Tag to add; the input's title etc. are kept.")
@batch_options
@live_encode_options
@on_truncated_option
@enhance_option
@enhancer_option
@effort_option
@engine_option
@device_option
@force_option
def encode(
    paths: tuple[str, ...],
    kbps: float | None,
    codebooks: int | None,
    total_kbps: float | None,
    vbr: float | None,
    abr: bool,
    mono: "Mono | None",
    model: str,
    tags: tuple[str, ...],
    on_truncated: "OnTruncated",
    enhance: bool,
    enhancer: str | None,
    effort: Effort,
    engine: EngineName | None,
    device: str,
    force: bool,
    out_dir: Path | None,
    skip_existing: bool,
    workers: int,
    **live: Unpack[LiveEncodeOptions],
) -> None:
    """Encode audio to .vqc, by default with all codebooks of the model.

    INPUT is a WAV, FLAC, Ogg or MP3 file, with PyAV also m4a and the like, of any rate from 4 to 192 kHz and any number
    of channels, each at --kbps unless --mono codes one; with --out-dir many, also folders, globs, and CSV or JSONL
    manifests. "-" is standard input or output. At most 4 threads compute, or OMP_NUM_THREADS.

    With --live INPUT is a stream of WAV, its length unknown, or of raw samples; it ends with its input, Ctrl-C or
    SIGTERM, OUTPUT then being complete. Chunks cost 64 bits: all codebooks are 6.8 kbps at 80 ms and 12.8 at 20.

    \b
    vqcodec encode speech.wav speech.vqc --kbps 3   # or --kbps 3 --abr, or --vbr 5
    vqcodec encode recordings/ --out-dir coded/ --mono mean --skip-existing --workers 4
    arecord -f S16_LE -r 16000 | vqcodec encode --live - - | vqcodec decode --live - - | aplay
    """
    _check_rates((kbps, total_kbps, codebooks), vbr, abr, is_live=live["live"])
    _check_stream(live, skip_existing, force, is_batch=out_dir is not None or skip_existing or workers > 1)
    jobs = pairs(paths, out_dir, suffix=CODED_SUFFIX, find=find_recordings)
    limit_threads(workers)
    engines = _engines(engine, device, effort, enhancer or enhance)
    options: EncodeOptions = {
        "model": model,
        "kbps": kbps,
        "total_kbps": total_kbps,
        "num_codebooks": codebooks,
        "vbr": vbr,
        "abr": abr,
        "mono": mono,
        "tags": _parse_tags(tags),
        "on_truncated": on_truncated,
        "force": force,
        "engines": engines,
    }
    _check_rate(options)
    if live["live"]:
        encode_stream(jobs[0].source, jobs[0].target, live, **options)
        return
    batch = Batch(jobs, workers, skip_existing, out_dir is not None, is_coded_last=True, imports=imports_of(engine))
    batch.run(make_encoder, engines, options)


def _engines(engine: EngineName | None, device: str, effort: Effort, enhance: str | bool) -> "Engines":
    from vqcodec.files.request import Engines

    return Engines(engine, device, effort, enhance)


def _check_rates(rates: tuple[float | None, ...], vbr: float | None, abr: bool, *, is_live: bool) -> None:
    """Refuse more than one of --kbps, --total-kbps and --codebooks, and what does not fit --vbr and --abr."""
    if sum(rate is not None for rate in rates) > 1:
        raise click.UsageError("give one of --kbps, --total-kbps and --codebooks")
    kbps, total_kbps, _ = rates
    if vbr is not None and math.isnan(vbr):
        raise click.UsageError("--vbr nan is no quality; give 0 to 10")
    if abr and ((kbps is None and total_kbps is None) or vbr is not None):
        raise click.UsageError("--abr meets a rate: give it --kbps or --total-kbps, and no --vbr")
    if is_live and abr:
        raise click.UsageError("--abr saves nothing in the short chunks of --live; leave one of them out")


def _check_stream(live: LiveEncodeOptions, skip_existing: bool, force: bool, *, is_batch: bool) -> None:
    """Refuse with --live what is of files only, without it what is of streams only, and to skip and replace files."""
    check_live(live)
    check_skipping(skip_existing, force)
    if live["live"] and is_batch:
        raise click.UsageError("--live encodes one stream, without --out-dir, --skip-existing and --workers")


def _check_rate(options: "EncodeOptions") -> None:
    """Refuse a rate that the model cannot have before any file is read, and tell of one that it has not."""
    from vqcodec.files.request import EncodeRequest
    from vqcodec.models.engine import codebooks_for, rate_note

    request = EncodeRequest(**options)
    facts = request.facts()
    codebooks_for(facts, kbps=request.kbps_of(1), num_codebooks=request.num_codebooks)
    if note := rate_note(facts, request.kbps):
        echo(note, err=True)


def make_encoder(engines: "Engines", options: "EncodeOptions") -> Work:
    """Make what encodes a file and tells how that went. Its model is loaded when the first input has been looked at."""
    from vqcodec.files.convert import encode_file

    def encode_one(job: Job, say: Say) -> Outcome:
        began, loaded = time.monotonic(), engines.loading_seconds
        try:
            summary = encode_file(
                source_of(job.source),
                target_of(job.target),
                on_remark=lambda kind, text: say(Remark(kind, text)),
                on_progress=lambda done, total: say(done / max(total, done, 1e-9)),
                **options,
            )
        except VqcodecError as error:
            raise (FatalError(str(error)) if error is engines.failure else error) from None
        elapsed = time.monotonic() - began - (engines.loading_seconds - loaded)
        rate = "" if math.isnan(summary.kbps) else f", {summary.kbps:.2f} kbps"
        if rate and summary.channels > 1:
            rate += f" ({summary.kbps / summary.channels:.2f} for each of {summary.channels} channels)"
        seconds = summary.duration_seconds
        speed = f"{seconds / max(1e-9, elapsed):.0f} x real time"
        line = f"{job.target}: {clock(seconds)}, {summary.file_bytes} bytes{rate}, {speed}"
        return Outcome((line,), seconds, job.source_bytes, summary.file_bytes)

    return encode_one


def _parse_tags(tags: tuple[str, ...]) -> dict[str, str]:
    """Names and texts of NAME=TEXT."""
    pairs = [tag.partition("=") for tag in tags]
    if not all(equals for _, equals, _ in pairs):
        raise click.UsageError("a tag is NAME=TEXT, such as --tag title=Moon")
    return {name: text for name, _, text in pairs}
