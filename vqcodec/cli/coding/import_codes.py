"""vqcodec import: files of codes of other tools -> .vqc."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from vqcodec.cli.coding.batch import Batch, FatalError, Outcome, Say, Work, batch_options, check_skipping
from vqcodec.cli.coding.jobs import CODED_SUFFIX, Job, find_coded, pairs
from vqcodec.cli.common import (
    MODEL_HELP,
    engine_option,
    force_option,
    imports_of,
    limit_threads,
    source_of,
    target_of,
)
from vqcodec.errors import VqcodecError
from vqcodec.frames import clock
from vqcodec.models.zoo import EngineName

if TYPE_CHECKING:
    from vqcodec.files.foreign.importing import FormatName
    from vqcodec.files.request import Engines


class _Options(TypedDict):
    """The options that all formats have."""

    paths: tuple[str, ...]
    model: str
    engine: EngineName | None
    out_dir: Path | None
    skip_existing: bool
    workers: int
    force: bool


@click.group(name="import")
def import_codes() -> None:
    """Turn another tool's file of codes into a .vqc. The codes stay what they are; nothing is decoded.

    The model is the one that made them; its fingerprint goes into the file. Nothing in the input is executed. With
    --out-dir there may be many inputs, also folders and globs.

    \b
    vqcodec import ecdc speech.ecdc speech.vqc --model hf:facebook/encodec_24khz
    vqcodec import ecdc old/ --out-dir new/ --model hf:facebook/encodec_24khz
    vqcodec import npy codes.npy speech.vqc --model speech-16k
    """


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments and options that all formats have."""
    decorators = (
        click.argument("paths", nargs=-1, required=True, metavar="INPUT... [OUTPUT]"),
        click.option("--model", required=True, help=f"What made the codes. {MODEL_HELP}"),
        engine_option,
        batch_options,
        force_option,
    )
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


@import_codes.command()
@_shared
def ecdc(**options: Unpack[_Options]) -> None:
    """Import EnCodec's own files, .ecdc, of encodec_24khz.

    Not those of --lm, nor of encodec_48khz: decode them with encodec and encode the audio again.

    \b
    vqcodec import ecdc speech.ecdc speech.vqc --model hf:facebook/encodec_24khz
    """
    _run("ecdc", options)


@import_codes.command()
@_shared
def dac(**options: Unpack[_Options]) -> None:
    """Import files of descript-audio-codec, .dac, that were compressed in one piece (win_duration over their length).

    DAC normalizes its input to a loudness of -16 dB and sets it back when it decodes. A .vqc of its codes decodes to
    -16 dB; the tag input_db tells the loudness that the input had.

    \b
    vqcodec import dac speech.dac speech.vqc --model hf:descript/dac_44khz
    """
    _run("dac", options)


@import_codes.command()
@_shared
@click.option("--samples", type=click.IntRange(min=0), help="Length per channel; default: all that the frames cover.")
@click.option("--rate", "rate_hz", type=click.IntRange(min=1), help="Rate in Hz that decoding gives back.")
def npy(samples: int | None, rate_hz: int | None, **options: Unpack[_Options]) -> None:
    """Import integers in .npy files: [codebooks, frames], or [channels, codebooks, frames].

    Two dimensions are one channel. With three the first one counts channels: a batch of one clip, [1, K, F], is one
    channel, and a batch of several clips is not told from channels, so save each by itself. --samples counts at --rate,
    by default the model's, and is the length of one file.

    \b
    vqcodec import npy codes.npy speech.vqc --model speech-16k --samples 81920
    """
    if samples is not None and options["out_dir"] is not None:
        raise click.UsageError("--samples is the length of one file, and goes with one OUTPUT, not with --out-dir")
    _run("npy", options, samples, rate_hz)


def _run(format: "FormatName", options: _Options, samples: int | None = None, rate_hz: int | None = None) -> None:
    check_skipping(options["skip_existing"], options["force"])
    out_dir, workers = options["out_dir"], options["workers"]
    jobs = pairs(options["paths"], out_dir, suffix=CODED_SUFFIX, find=partial(find_coded, suffix=f".{format}"))
    limit_threads(workers)
    from vqcodec.files.request import Engines

    batch = Batch(
        jobs,
        workers,
        options["skip_existing"],
        has_closing=out_dir is not None,
        is_coded_last=True,
        imports=imports_of(options["engine"]),
    )
    batch.run(make_importer, Engines(options["engine"]), options["model"], (format, samples, rate_hz), options["force"])


def make_importer(
    engines: "Engines", model: str, facts: "tuple[FormatName, int | None, int | None]", force: bool
) -> Work:
    """Make what imports a file and tells how long it is. `facts`: format, samples and rate, as of `import_codes`."""
    from vqcodec.files.foreign.importing import import_file

    format, samples, rate_hz = facts

    def import_one(job: Job, say: Say) -> Outcome:
        try:
            summary = import_file(
                source_of(job.source),
                target_of(job.target),
                partial(engines.get, model),
                format=format,
                samples=samples,
                rate_hz=rate_hz,
                force=force,
            )
        except VqcodecError as error:
            raise (FatalError(str(error)) if error is engines.failure else error) from None
        line = f"{job.target}: {clock(summary.duration_seconds)}, {summary.file_bytes} bytes"
        return Outcome((line,), summary.duration_seconds, job.source_bytes, summary.file_bytes)

    return import_one
