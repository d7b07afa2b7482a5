"""vqcodec models: the models that ship in the package."""

import click

from vqcodec.cli.common import echo
from vqcodec.frames import codebook_kbps
from vqcodec.models.zoo import MODELS


@click.command()
def models() -> None:
    """List the bundled models.

    \b
    vqcodec models
    """
    for card in MODELS.values():
        step_kbps = codebook_kbps(card.sample_rate_hz, card.hop_length, card.codebook_size)
        rates = f"{step_kbps:g} to {step_kbps * card.total_codebooks:g} kbps in steps of {step_kbps:g}"
        echo(f"{card.name}  {card.sample_rate_hz} Hz, {rates}, fingerprint {card.fingerprint.hex()}")
        echo(f"    {card.description}")
