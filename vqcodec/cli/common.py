"""What commands share: options and the progress bar."""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any, BinaryIO, TextIO

import click
from typing_extensions import override

from vqcodec.models.effort import DEFAULT_EFFORT, EFFORTS
from vqcodec.models.zoo import DEFAULT_MODEL, ENGINES
from vqcodec.system.workers import usable_cores

device_option = click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, mps ...")
engine_option = click.option(
    "--engine", type=click.Choice(ENGINES), help="What computes. [default: torch, or onnx where torch is not installed]"
)
MODEL_HELP = "A bundled model, a weights file, a folder of vqcodec export, or hf:USER/NAME."
model_option = click.option("--model", default=DEFAULT_MODEL, show_default=True, help=MODEL_HELP)
effort_option = click.option(
    "--effort",
    type=click.Choice(EFFORTS),
    default=DEFAULT_EFFORT,
    show_default=True,
    help="How long to search for codes: 1, 4 or 16 beams.",
)
ENHANCER_HELP = "The file of an enhancer for --model, instead of the one beside its weights; implies --enhance."
enhance_option = click.option(
    "--enhance",
    is_flag=True,
    help="Encode speech without noise, echo and clipping, and what a telephone left as if wide.",
)
enhancer_option = click.option("--enhancer", type=click.Path(), metavar="FILE", help=ENHANCER_HELP)
on_truncated_option = click.option(
    "--on-truncated",
    type=click.Choice(["refuse", "take"]),
    default="refuse",
    show_default=True,
    help="Audio that is cut or joined: an error, or what can be read of it.",
)
force_option = click.option("--force", is_flag=True, help="Replace an existing output.")


class Time(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click only
    """A time from 0 on: seconds, m:ss or h:mm:ss, with decimals."""

    name = "h:mm:ss"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the time in seconds."""
        if isinstance(value, float):
            return value
        if not (found := _TIME.fullmatch(str(value))):
            self.fail(f"{value!r} is no time; give seconds, m:ss or h:mm:ss", param, ctx)
        hours, minutes, seconds = found.groups(default="0")
        return 3600.0 * int(hours) + 60.0 * int(minutes) + float(seconds)


_TIME = re.compile(
    r"(?:(?:([0-9]{1,6}):(?=[0-5][0-9]:))?([0-9]{1,6}):(?=[0-5][0-9](?:\.|$)))?([0-9]{1,9}(?:\.[0-9]{0,9})?)"
)


def require(*packages: str) -> None:
    """Raise ImportError for the first package that is missing, before any work is done for what needs it at the end."""
    for name in packages:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def shown(text: str) -> str:
    """Escape what a terminal would obey or hide: control characters, marks of direction, also line ends."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def echo(text: str, *, err: bool = False) -> None:
    """Print lines, also of what stands in files, escaped but for their ends."""
    click.echo("\n".join(map(shown, text.split("\n"))), err=err)


def source_of(path: str) -> str | BinaryIO:
    """Return the path itself, or standard input for "-". Raises ClickException if that is closed."""
    return _standard(sys.stdin, "input") if path == "-" else path


def target_of(path: str) -> str | BinaryIO:
    """Return the path itself, or standard output for "-". Raises ClickException if that is closed."""
    return _standard(sys.stdout, "output") if path == "-" else path


def _standard(stream: TextIO | None, name: str) -> BinaryIO:
    if stream is None:
        raise click.ClickException(f"standard {name} is closed; give a file instead of -")
    return stream.buffer


_MOST_THREADS = 4
"""The layers are too small to keep more of them busy."""


def limit_threads(workers: int = 1) -> None:
    """Let either engine use up to 4 of the cores that this process may use, unless OMP_NUM_THREADS says otherwise.

    workers: processes that share the cores and inherit this. To be called before torch is imported.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, min(_MOST_THREADS, usable_cores() // workers))))


def imports_of(engine: str | None) -> Sequence[str]:
    """List the modules that processes need which compute with an engine."""
    return () if engine == "onnx" else ("torch",)


@contextlib.contextmanager
def told_how_to_go_on(remedy: str) -> Iterator[None]:
    """Say the remedy where Ctrl-C or a signal ends what can go on later."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        echo(f"interrupted; {remedy}", err=True)
        raise


@contextlib.contextmanager
def progress(label: str) -> Iterator[Callable[[float, float], None] | None]:
    """Yield a callback for what is done and in all (seconds, clips ...) that draws a bar, or None if nobody sees it."""
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1000, label=label, file=sys.stderr, show_percent=True) as bar:

        def report(done: float, total: float) -> None:
            bar.update(round(1000 * done / max(total, done, 1e-9)) - bar.pos)

        yield report
