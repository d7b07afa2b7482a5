"""vqcodec thin: .vqc files with fewer codebooks, without their model."""

from pathlib import Path

import click

from vqcodec.bitstream.header import Header
from vqcodec.bitstream.open_vqc import open_vqc
from vqcodec.bitstream.thin import thin as thin_file
from vqcodec.cli.coding.batch import Batch, Outcome, Say, Work, batch_options, check_skipping
from vqcodec.cli.coding.jobs import CODED_SUFFIX, STANDARD, Job, check_target, find_coded, pairs
from vqcodec.cli.common import force_option, source_of, target_of
from vqcodec.errors import ConfigError
from vqcodec.frames import codebooks_for_kbps
from vqcodec.output import atomic_output


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="INPUT... [OUTPUT]")
@click.option("--kbps", type=click.FloatRange(min=0, min_open=True), help="Highest nominal rate per channel.")
@click.option("--codebooks", type=click.IntRange(min=1), help="Number of codebooks, instead of --kbps.")
@batch_options
@force_option
def thin(
    paths: tuple[str, ...],
    kbps: float | None,
    codebooks: int | None,
    out_dir: Path | None,
    skip_existing: bool,
    workers: int,
    force: bool,
) -> None:
    """Drop the upper layers of .vqc files by copying bytes: a lower rate without decoding or encoding.

    The result decodes to what "decode --codebooks" gives of the whole. "-" is standard input or output. With --out-dir
    there may be many inputs, also folders and globs; one that has no more codebooks than --kbps allows is copied.

    \b
    vqcodec thin speech.vqc small.vqc --codebooks 4
    vqcodec thin speech.vqc small.vqc --kbps 1.5
    vqcodec thin archive/ --out-dir small/ --kbps 1.5
    """
    if (kbps is None) == (codebooks is None):
        raise click.UsageError("give --kbps or --codebooks")
    check_skipping(skip_existing, force)
    jobs = pairs(paths, out_dir, suffix=CODED_SUFFIX, find=find_coded)
    batch = Batch(jobs, workers, skip_existing, has_closing=out_dir is not None, is_coded_last=True)
    batch.run(make_thinner, kbps, codebooks, force)


def make_thinner(kbps: float | None, codebooks: int | None, force: bool) -> Work:
    """Make what thins a file and tells what it has become."""

    def thin_one(job: Job, say: Say) -> Outcome:
        if job.target != STANDARD:
            check_target(job.target, source=job.source, force=force)
        with open_vqc(source_of(job.source)) as reader:
            header, before = reader.header, reader.file_bytes or 0
            count = _kept(header, kbps, codebooks)
            with atomic_output(target_of(job.target), suffix=CODED_SUFFIX, force=force) as path:
                with path.open("wb") as file:
                    thin_file(reader, file, count)
                size = path.stat().st_size
            seconds = (reader.samples or 0) / header.original_rate_hz
        line = f"{job.target}: {count} of {header.num_codebooks} codebooks, {size} bytes"
        return Outcome((line,), seconds, before, size)

    return thin_one


def _kept(header: Header, kbps: float | None, codebooks: int | None) -> int:
    """Tell how many codebooks are kept. Raises ConfigError for more than the file has, and a rate that is no number."""
    if kbps is not None and not kbps < float("inf"):
        raise ConfigError(f"kbps {kbps} is not a positive number")
    if codebooks is None:
        return codebooks_for_kbps(
            kbps or 0.0,
            sample_rate_hz=header.sample_rate_hz,
            hop_length=header.hop_length,
            codebook_size=header.codebook_size,
            total_codebooks=header.num_codebooks,
        )
    if codebooks > header.num_codebooks:
        raise ConfigError(f"{codebooks} codebooks are not in 1..{header.num_codebooks}, what this file has")
    return codebooks
