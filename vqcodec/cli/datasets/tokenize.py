"""vqcodec tokenize: a speech dataset -> shards of tokens."""

import contextlib
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import click
from typing_extensions import override

from vqcodec.cli.common import echo, effort_option, model_option, told_how_to_go_on
from vqcodec.cli.datasets.workers import WorkerOptions, worker_options, workers_of
from vqcodec.models.effort import Effort
from vqcodec.tokens.formats import DEFAULT_FORMAT, FORMATS

if TYPE_CHECKING:
    from vqcodec.tokens.index import Totals


class _Part(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click only
    """i/N."""

    name = "i/N"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return two integers."""
        first, slash, count = str(value).partition("/")
        if not (slash and first.isdecimal() and count.isdecimal() and int(first) < int(count)):
            self.fail(f"{value!r} is not i/N with i from 0 to N - 1", param, ctx)
        return int(first), int(count)


@click.command()
@click.argument("source")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--kbps", type=click.FloatRange(min=0, min_open=True), help="Highest nominal rate.")
@click.option("--codebooks", type=click.IntRange(min=1), help="Number of codebooks, instead of --kbps.")
@model_option
@effort_option
@click.option("--format", "kind", type=click.Choice(list(FORMATS)), default=DEFAULT_FORMAT, show_default=True)
@click.option("--entropy-coded", is_flag=True, help="Store .vqc bytes in parquet and webdataset instead of arrays.")
@click.option("--shard-size", type=click.IntRange(min=1), help="Utterances per shard. [default: 64 to 1000]")
@click.option(
    "--shard", type=_Part(), metavar="i/N", help="Do only every N-th shard from the i-th on; implies --resume."
)
@click.option("--plan-only", is_flag=True, help="Only make the plan, which --shard and --resume then follow.")
@click.option("--resume", is_flag=True, help="Go on with the plan, not with a source that has changed since.")
@click.option("--retry-failed", is_flag=True, help="With --resume: do shards that have failures again.")
@worker_options
def tokenize(
    source: str,
    out: Path,
    kbps: float | None,
    codebooks: int | None,
    model: str,
    effort: Effort,
    kind: Any,
    entropy_coded: bool,
    shard_size: int | None,
    shard: tuple[int, int] | None,
    plan_only: bool,
    resume: bool,
    retry_failed: bool,
    **who: Unpack[WorkerOptions],
) -> None:
    """Tokenize a speech dataset, by default with all codebooks of the model.

    SOURCE is a folder (recursive), a glob, a manifest (CSV or JSON lines with path, and if you like id, start,
    duration, channel and more columns, which are kept), a Kaldi folder (wav.scp, segments), tar shards of webdataset,
    a folder of Hugging Face datasets, or cuts of lhotse. Each utterance becomes mono; channel picks one.

    OUT gets shards/, index.json and failures.jsonl, the utterances that could not be read and why. A run that was
    interrupted, even killed, goes on with --resume; on machines of one kind the shards are the same however it ran.
    What is to be done was planned when it began: files that came later need a new OUT, repaired ones --retry-failed.

    \b
    vqcodec tokenize recordings/ tokens --kbps 1.5
    vqcodec tokenize manifest.jsonl tokens --format webdataset --workers 8
    vqcodec tokenize 'shards/{000..123}.tar' tokens --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
    vqcodec tokenize recordings/ tokens --runner ray --ray-address auto
    """
    from vqcodec.cli.progress import Display
    from vqcodec.tokens.run import tokenize as run

    if kbps is not None and codebooks is not None:
        raise click.UsageError("give --kbps or --codebooks, not both")
    workers = workers_of(who)
    with told_how_to_go_on(f"--resume goes on with {out}"), Display() as display, _warnings_as_lines():
        totals = run(
            source,
            out,
            model=model,
            kbps=kbps,
            num_codebooks=codebooks,
            effort=effort,
            format=kind,
            entropy_coded=entropy_coded,
            workers=workers,
            shard_size=shard_size,
            shard=shard,
            resume=resume,
            retry_failed=retry_failed,
            plan_only=plan_only,
            on_progress=display.show,
            on_note=partial(echo, err=True),
        )
    _tell(totals, out, plan_only, who["on_error"])


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Tell warnings of ours in a line each, without the place in the source."""
    with warnings.catch_warnings():
        warnings.filterwarnings("always", module=r"vqcodec\.tokens")
        warnings.showwarning = lambda message, *_, **__: echo(str(message), err=True)
        yield


def _tell(totals: "Totals", out: Path, plan_only: bool, on_error: str) -> None:
    """The last line, and exit code 1 where audio failed."""
    if plan_only:
        echo(f"{out}: planned", err=True)
        return
    done = f"{totals.utterances} utterances, {totals.seconds / 3600:.2f} h, {totals.tokens} tokens"
    echo(f"{out}: {done}", err=True)
    if totals.failures:
        why = f"{out}/failures.jsonl says why, --resume --retry-failed tries again"
        message = f"{totals.failures} utterances failed; {why}"
        if on_error != "skip":
            raise click.ClickException(message)
        echo(message, err=True)
