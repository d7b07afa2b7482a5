"""vqcodec verify: whether .vqc files are whole, and which seconds are not."""

import os

import click

from vqcodec.bitstream.open_vqc import open_vqc
from vqcodec.cli.coding.batch import Batch, Outcome, Say, Work, workers_option
from vqcodec.cli.coding.jobs import STANDARD, Job, coded_jobs
from vqcodec.cli.common import source_of
from vqcodec.errors import BitstreamError
from vqcodec.frames import clock


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
@workers_option
def verify(paths: tuple[str, ...], workers: int) -> None:
    """Check every checksum of .vqc files and name the damaged seconds; needs no model.

    FILE may be a folder or a glob. Exit code 1 if anything is damaged; "decode --conceal" bridges it.

    \b
    vqcodec verify speech.vqc
    vqcodec verify archive/
    """
    jobs = coded_jobs(paths)
    Batch(jobs, workers, has_closing=len(jobs) > 1, is_to_stdout=True, refuses_damage=True).run(make_verifier)


def make_verifier() -> Work:
    """Make what tells what is wrong with a file."""
    return _verify_one


def _verify_one(job: Job, say: Say) -> Outcome:
    """Tell what is wrong with a file. Raises BitstreamError for one that cannot be read: damage is in what can be."""
    damage: list[BitstreamError] = []
    try:
        with open_vqc(source_of(job.source)) as reader:
            chunks = sum(record.frames > 0 for record in reader.records(on_damage=damage.append))
            seconds, file_bytes = (reader.samples or 0) / reader.header.original_rate_hz, reader.file_bytes or 0
    except BitstreamError as error:  # the header itself, or what no reader gets past; the message names the file
        if job.source != STANDARD and not os.access(job.source, os.R_OK):
            raise
        return Outcome((*_told(job, damage), str(error)), bytes_before=job.source_bytes, is_damaged=True)
    whole = (f"{job.source}: whole, {chunks} chunks, {clock(seconds)}",)
    return Outcome(_told(job, damage) or whole, seconds, file_bytes, is_damaged=bool(damage))


def _told(job: Job, damage: list[BitstreamError]) -> tuple[str, ...]:
    return tuple(f"{job.source}: {found}" for found in damage)
