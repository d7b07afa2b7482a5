"""vqcodec evaluate: codecs, clips, rates -> results, tables, curves, a report."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from typing_extensions import override

from vqcodec.cli.common import echo, progress, require, told_how_to_go_on
from vqcodec.cli.research.conditions import AskedConditions, condition_options
from vqcodec.system.workers import usable_cores

if TYPE_CHECKING:
    from vqcodec.evaluation.listening.listeners import Listener

REPORT_PACKAGES = ("torch", "matplotlib", "jinja2")
"""What report.html is made with, at the end of a run."""


class Names(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click only
    """Names with commas between."""

    name = "a,b,..."

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """Return a list of at least one."""
        if isinstance(value, list):
            return value
        names = [name.strip() for name in str(value).split(",") if name.strip()]
        if not names:
            self.fail("give at least one", param, ctx)
        return names


class Rates(Names):
    """Rates in kbps with commas between."""

    name = "kbps,kbps,..."

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:  # type: ignore[override]
        """Return a list of numbers over 0."""
        try:
            rates = [float(rate) for rate in super().convert(value, param, ctx)]
        except ValueError:
            self.fail(f"{value!r} has what is no number", param, ctx)
        if not all(0 < rate < 1e6 for rate in rates):
            self.fail(f"{value!r}: rates are over 0 kbps", param, ctx)
        return rates


class _External(click.ParamType):  # type: ignore[type-arg]
    """NAME=COMMANDS."""

    name = "NAME=ENCODE;DECODE"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return name and template."""
        if isinstance(value, tuple):
            return value
        name, equals, template = str(value).partition("=")
        if not (name.strip() and equals and template) or "@" in name:  # behind @ stand rates
            self.fail(f"{value!r} is not NAME=ENCODE;DECODE with a name without @", param, ctx)
        return name.strip(), template.strip()


_HELP = """Compare codecs on clips: bytes on disk against quality.

SOURCES are files, folders, globs or manifests. OUT gets results.jsonl, a line per clip, codec and rate; curves/;
and report.html, in which to listen. What a run that was interrupted has done stays with --resume. The exit code
is 1 if a clip could not be read, coded or scored, even by a crash; the others are done all the same.

A codec is speech-16k or a weights file; opus, mp3, flac, pcm; opusenc, codec2, speex, lc3, amr-wb
or opusenc-wb where installed; hf:FOLDER of transformers; lyra:FOLDER of Lyra v2's graphs. NAME@6/8/12 has rates of
its own, LABEL=NAME another name.
One that is not installed is skipped; one that does not have a rate runs at its nearest.
Clips of several channels are mixed to one. Delays up to half a second are taken out.
With --generations 1,5 clips are also coded five times in a row; OUT keeps both, beside those of other conditions.

Metrics: pesq_wb, pesq_nb, stoi, estoi, visqol, visqol_audio, distill_mos,
dnsmos_p808, dnsmos_sig, dnsmos_bak, dnsmos_ovrl, speaker_similarity,
pulse_depth_1_2khz, pulse_depth_2_4khz, pulse_depth_4_7khz,
pulse_periodicity_1_2khz, pulse_periodicity_2_4khz, pulse_periodicity_4_7khz, grid_50hz, grid_100hz,
level_0_1khz, level_1_2khz, level_2_4khz, level_4_7khz, pause_0_4khz, pause_4_7khz, f0_correlation,
si_sdr, lsd, mel_distance, f0_rmse, voicing_error, loudness_difference, wer, cer.
By default: pesq_wb, stoi, estoi, visqol, si_sdr, pulse_periodicity_2_4khz, grid_50hz, level_4_7khz, f0_correlation.

\b
vqcodec evaluate clips/ --codecs speech-16k,opus@6/8/12 --kbps 1.5,3,6 --out results
vqcodec evaluate clips/ --codecs mine=runs/mine/model.safetensors,speech-16k --out results --workers 2
vqcodec evaluate clips/ --external 'c2=c2enc 3200 {in} {bits}; c2dec 3200 {bits} {out}' --codecs c2 --out results
vqcodec evaluate --summary results --by speaker --anchor opus
"""


@click.command(help=_HELP)
@click.argument("sources", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for results, curves and the report.")
@click.option("--codecs", type=Names(), default="speech-16k,opus,mp3", show_default=True, help="What is compared.")
@click.option("--kbps", type=Rates(), default="1.5,3,6", show_default=True, help="Rates for codecs without their own.")
@click.option("--metrics", type=Names(), help="Which of those above. [default: see above]")
@click.option("--external", "externals", type=_External(), multiple=True, help="A codec by its command lines.")
@click.option("--recogniser", metavar="COMMAND", help="Prints what {wav} says, or whisper:FOLDER: adds wer and cer.")
@condition_options
@click.option("--workers", type=click.IntRange(min=1), help="Processes that do the work. [default: one per core]")
@click.option("--listen", type=click.IntRange(min=0), default=6, show_default=True, help="Clips in the report.")
@click.option("--resume", is_flag=True, help="Go on: results that are there stay.")
@click.option("--summary", type=click.Path(path_type=Path), help="Only summarise this folder of results.")
@click.option("--by", help="Also one table per value of this column of the manifest, such as speaker.")
@click.option("--anchor", help="Codec that BD-rates compare with. [default: the first]")
@click.option("--listeners", metavar="DIR", type=click.Path(path_type=Path), help="Scores of the page's blind test.")
def evaluate(
    sources: tuple[str, ...],
    out: Path | None,
    codecs: list[str],
    kbps: list[float],
    metrics: list[str] | None,
    externals: tuple[tuple[str, str], ...],
    recogniser: str | None,
    conditions: AskedConditions,
    workers: int | None,
    listen: int,
    resume: bool,
    summary: Path | None,
    by: str | None,
    anchor: str | None,
    listeners: Path | None,
) -> None:
    """Compare codecs on clips; the command tells the rest as `_HELP` does."""
    require(*REPORT_PACKAGES)
    from vqcodec.evaluation.listening.listeners import read_listeners
    from vqcodec.evaluation.run import DEFAULT_METRICS, Comparison
    from vqcodec.evaluation.run import evaluate as run

    folder = _folder_of(sources, out, summary)
    heard = [] if listeners is None else read_listeners(listeners)
    if summary is None:
        comparison = Comparison(
            _with_externals(codecs, dict(externals)),
            kbps,
            metrics=metrics or DEFAULT_METRICS,
            externals=dict(externals),
            recogniser=recogniser,
            listen=listen,
            conditions=conditions.each(),
        )
        with told_how_to_go_on(f"--resume goes on with {folder}"), progress("evaluating") as show:
            run(sources, folder, comparison, workers=workers or usable_cores(), resume=resume, on_progress=show)
    _present(folder, by=by, anchor=anchor, heard=heard, is_new=summary is None)


def _folder_of(sources: tuple[str, ...], out: Path | None, summary: Path | None) -> Path:
    """The folder of the results, which is to be written or summarised."""
    if (summary is None) == (not sources):
        raise click.UsageError("give SOURCES, or --summary DIR alone")
    folder = summary or out
    if folder is None:
        raise click.UsageError("give --out, a folder for the results")
    return folder


def _present(folder: Path, *, by: str | None, anchor: str | None, heard: "Sequence[Listener]", is_new: bool) -> None:
    """Write the report, print its summary, and end with exit code 1 where there are errors among the results."""
    from vqcodec.errors import ConfigError
    from vqcodec.evaluation.report.write_report import present

    try:
        text = present(folder, by=by, anchor=anchor, listeners=heard)
    except ConfigError:
        if is_new and (by or anchor):  # hours of work should not end without a report
            present(folder, listeners=heard)
        raise
    echo(text)
    refuse_failures(folder, "; --resume tries them again")


def refuse_failures(folder: Path, remedy: str = "") -> None:
    """Raise ClickException, and with it exit code 1, where there are errors among the results in `folder`."""
    from vqcodec.evaluation.results import read_results

    failed = [result.failures[0] for result in read_results(folder) if result.failures]
    if failed:
        raise click.ClickException(
            f"{len(failed)} of the results are errors, see above; the first: {failed[0]}{remedy}"
        )


def _with_externals(codecs: list[str], externals: dict[str, str]) -> list[str]:
    """Add the externals that are not named among the codecs: they run as well."""
    from vqcodec.evaluation.codecs.codec_spec import parse_entry

    asked = {parse_entry(codec, externals).spec for codec in codecs}
    return [*codecs, *(name for name in externals if name not in asked)]
