"""vqcodec compare: one clip through several codecs, a table and a page to listen to."""

import shutil
from pathlib import Path

import click

from vqcodec.cli.common import echo, force_option, progress, require
from vqcodec.cli.research.evaluate import REPORT_PACKAGES, Names, Rates, refuse_failures
from vqcodec.errors import OutputError, VqcodecError

_METRICS = ("pesq_wb", "estoi", "si_sdr")
"""What takes no more than a second a clip."""


@click.command()
@click.argument("source")
@click.option("--codecs", type=Names(), default="speech-16k,opus,mp3", show_default=True, help="As in evaluate.")
@click.option("--kbps", type=Rates(), default="1.5,3,6", show_default=True, help="Rates for codecs without their own.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write. [default: NAME-compare, here]")
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@force_option
def compare(source: str, codecs: list[str], kbps: list[float], out: Path | None, opens: bool, force: bool) -> None:
    """Compare codecs on one clip: a small table here, and report.html to listen and look.

    \b
    vqcodec compare speech.wav
    vqcodec compare speech.wav --codecs speech-16k,opus@6/12,codec2@3.2 --open
    """
    require(*REPORT_PACKAGES)
    from vqcodec.evaluation.folder import read_settings
    from vqcodec.evaluation.report.write_report import present
    from vqcodec.evaluation.run import Comparison, evaluate

    out = out or Path(f"{Path(source).stem}-compare")
    if out.exists():
        if not force:
            raise OutputError(f"{out}: exists already; use --force to replace it, or --out")
        read_settings(out)  # whatever is no evaluation stays
        shutil.rmtree(out)
    try:
        with progress("comparing") as on_progress:
            evaluate(
                [source],
                out,
                Comparison(codecs=codecs, kbps=kbps, metrics=_METRICS, listen=1),
                workers=1,
                on_progress=on_progress,
            )
        text = present(out)
    except VqcodecError:
        shutil.rmtree(out, ignore_errors=True)  # made here; nothing in it is worth keeping
        raise
    echo(text)
    if opens:
        click.launch(str(out / "report.html"))
    refuse_failures(out)
