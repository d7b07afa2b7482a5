"""vqcodec thin: a .vqc with fewer codebooks, without its model."""

import click

from vqcodec.bitstream.open_vqc import open_vqc
from vqcodec.bitstream.thin import thin as thin_file
from vqcodec.cli.common import echo, force_option, source_of, target_of
from vqcodec.errors import ConfigError
from vqcodec.frames import codebooks_for_kbps
from vqcodec.output import atomic_output, check_output


@click.command()
@click.argument("source", metavar="INPUT")
@click.argument("target", metavar="OUTPUT")
@click.option("--kbps", type=click.FloatRange(min=0, min_open=True), help="Highest nominal rate per channel.")
@click.option("--codebooks", type=click.IntRange(min=1), help="Number of codebooks, instead of --kbps.")
@force_option
def thin(source: str, target: str, kbps: float | None, codebooks: int | None, force: bool) -> None:
    """Drop the upper layers of a .vqc by copying bytes: a lower rate without decoding or encoding.

    The result decodes to what "decode --codebooks" gives of the whole. "-" is standard input or output.

    \b
    vqcodec thin speech.vqc small.vqc --codebooks 4
    vqcodec thin speech.vqc small.vqc --kbps 1.5
    """
    if (kbps is None) == (codebooks is None):
        raise click.UsageError("give --kbps or --codebooks")
    if target != "-":
        check_output(target, force=force, source=source)
    with open_vqc(source_of(source)) as reader:
        header = reader.header
        if codebooks is None:
            codebooks = codebooks_for_kbps(
                kbps or 0.0,
                sample_rate_hz=header.sample_rate_hz,
                hop_length=header.hop_length,
                codebook_size=header.codebook_size,
                total_codebooks=header.num_codebooks,
            )
        if codebooks > header.num_codebooks:
            raise ConfigError(f"{codebooks} codebooks are not in 1..{header.num_codebooks}, what this file has")
        output = target_of(target)
        with atomic_output(output, suffix=".vqc", force=force) as path:
            with path.open("wb") as file:
                thin_file(reader, file, codebooks)
            size = path.stat().st_size
    echo(f"{target}: {codebooks} of {header.num_codebooks} codebooks, {size} bytes", err=True)
