"""vqcodec verify: whether .vqc files are whole, and which seconds are not."""

import click

from vqcodec.bitstream.open_vqc import open_vqc
from vqcodec.cli.common import echo, source_of
from vqcodec.errors import BitstreamError
from vqcodec.frames import clock


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
def verify(paths: tuple[str, ...]) -> None:
    """Check every checksum of .vqc files and name the damaged seconds; needs no model.

    Exit code 1 if anything is damaged; "decode --conceal" bridges it.

    \b
    vqcodec verify speech.vqc
    vqcodec verify archive/*.vqc
    """
    damaged = sum(not _verify_one(path) for path in paths)
    if damaged:
        raise click.ClickException(f"{damaged} of {len(paths)} files are damaged")


def _verify_one(path: str) -> bool:
    """Tell what is wrong with a file; True if nothing is."""
    damage: list[BitstreamError] = []
    try:
        with open_vqc(source_of(path)) as reader:
            chunks = sum(record.frames > 0 for record in reader.records(on_damage=damage.append))
            seconds = (reader.samples or 0) / reader.header.original_rate_hz
    except BitstreamError as error:  # the header itself; its message names the file
        echo(str(error))
        return False
    for found in damage:
        echo(f"{path}: {found}")
    if not damage:
        echo(f"{path}: whole, {chunks} chunks, {clock(seconds)}")
    return not damage
