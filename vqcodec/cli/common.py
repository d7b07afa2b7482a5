"""What commands share: options and the progress bar."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO, TextIO

import click

from vqcodec.models.effort import DEFAULT_EFFORT, EFFORTS
from vqcodec.models.zoo import ENGINES
from vqcodec.system.workers import usable_cores

device_option = click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, mps ...")
engine_option = click.option(
    "--engine", type=click.Choice(ENGINES), default="torch", show_default=True, help="What computes."
)
effort_option = click.option(
    "--effort",
    type=click.Choice(EFFORTS),
    default=DEFAULT_EFFORT,
    show_default=True,
    help="How long to search for codes: 1, 4 or 16 beams.",
)
on_truncated_option = click.option(
    "--on-truncated",
    type=click.Choice(["refuse", "take"]),
    default="refuse",
    show_default=True,
    help="Audio that is cut or joined: an error, or what can be read of it.",
)
force_option = click.option("--force", is_flag=True, help="Replace an existing output.")


def shown(text: str) -> str:
    """Escape what a terminal would obey or hide: control characters, marks of direction, also line ends."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def echo(text: str, *, err: bool = False) -> None:
    """Print lines, also of what stands in files, escaped but for their ends."""
    click.echo("\n".join(map(shown, text.split("\n"))), err=err)


def source_of(path: str) -> str | BinaryIO:
    """The path itself, or standard input for "-". Raises ClickException if that is closed."""
    return _standard(sys.stdin, "input") if path == "-" else path


def target_of(path: str) -> str | BinaryIO:
    """The path itself, or standard output for "-". Raises ClickException if that is closed."""
    return _standard(sys.stdout, "output") if path == "-" else path


def _standard(stream: TextIO | None, name: str) -> BinaryIO:
    if stream is None:
        raise click.ClickException(f"standard {name} is closed; give a file instead of -")
    return stream.buffer


_MOST_THREADS = 4
"""The layers are too small to keep more of them busy."""


def limit_threads() -> None:
    """Let either engine use up to 4 of the cores that this process may use, unless OMP_NUM_THREADS says otherwise.

    To be called before torch is imported.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(min(_MOST_THREADS, usable_cores())))


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
