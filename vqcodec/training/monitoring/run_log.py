"""Where a run writes what happens: RUN/log.jsonl, RUN/tensorboard, and the terminal."""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from vqcodec.output import atomic_output, make_folder, output_errors
from vqcodec.texts import parse_object
from vqcodec.training.monitoring.pictures import spectrogram_figure

_LONGEST_LINE = 160
"""Characters of a record on a terminal that is none."""
_MORE = "  (more in log.jsonl)"


class RunLog:
    """Log of one run, from `first_step` of `total_steps`. Lines of later steps, left by a killed run, are dropped.

    On a terminal a progress bar shows speed and time left; elsewhere each record is a line.
    """

    def __init__(self, run: Path, first_step: int, total_steps: int) -> None:
        self._run, path = make_folder(run), run / "log.jsonl"
        with contextlib.ExitStack() as opening, output_errors(run):
            opening.enter_context(_no_tracebacks_of_tensorboard())
            _drop_lines_after(path, first_step)
            self._file = opening.enter_context(path.open("a", encoding="utf-8"))
            self._writer = SummaryWriter(str(run / "tensorboard"), purge_step=first_step)
            opening.callback(self._writer.close)
            self._opened = opening.pop_all()
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[status]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("train", total=total_steps, completed=first_step, status="")
        self._started = time.monotonic()

    def __enter__(self) -> "RunLog":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()
        with output_errors(self._run):
            self._opened.close()

    def phase(self, name: str) -> None:
        """Tell what the run does while it makes no steps."""
        self._progress.update(self._task, status=name)
        if self._progress.disable:
            self.message(name)

    def advance(self, status: str) -> None:
        """Tell that one step is done."""
        self._progress.update(self._task, advance=1, status=status)

    def record(self, step: int, kind: str, values: dict[str, Any]) -> None:
        """Write one record of numbers and lists of numbers: `kind` is train, epoch, validation or event.

        Raises OutputError where it cannot be written, such as on a full disk.
        """
        line = {"step": step, "kind": kind, "seconds": round(time.monotonic() - self._started, 1), **values}
        with output_errors(self._run):
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
            for tag, value in _scalars(kind, values):
                self._writer.add_scalar(tag, value, step)
        if self._progress.disable:
            self._console.print(_as_line(line), soft_wrap=True, highlight=False, markup=False)

    def message(self, text: str) -> None:
        """Tell the user something, above the progress bar."""
        self._console.print(text, soft_wrap=True, highlight=False, markup=False)

    def audio(self, step: int, name: str, wave: Tensor, rate_hz: int) -> None:
        """Log a wave [T] to listen to and its spectrogram to look at."""
        with output_errors(self._run):
            self._writer.add_audio(name, wave.clamp(-1, 1)[None], step, sample_rate=rate_hz)
            self._writer.add_figure(f"{name}/spectrogram", spectrogram_figure(wave, rate_hz), step)


class NoLog:
    """The log of processes other than the first: nothing."""

    def __enter__(self) -> "NoLog":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def phase(self, name: str) -> None:
        """Do nothing."""

    def advance(self, status: str) -> None:
        """Do nothing."""

    def record(self, step: int, kind: str, values: dict[str, Any]) -> None:
        """Do nothing."""

    def message(self, text: str) -> None:
        """Do nothing."""

    def audio(self, step: int, name: str, wave: Tensor, rate_hz: int) -> None:
        """Do nothing."""


@contextlib.contextmanager
def _no_tracebacks_of_tensorboard() -> Iterator[None]:
    """Keep the thread that writes for TensorBoard from printing an OSError: the next record raises it again."""
    former = threading.excepthook

    def hook(args: "threading.ExceptHookArgs") -> None:
        if not (isinstance(args.exc_value, OSError) and type(args.thread).__module__.startswith("tensorboard.")):
            former(args)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = former


def _drop_lines_after(path: Path, step: int) -> None:
    """Keep the log lines up to `step`; a torn last line goes too."""
    if not path.exists():
        return
    with path.open("rb") as former, atomic_output(path, force=True) as temporary, temporary.open("wb") as kept:
        for line in former:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                if parse_object(line)["step"] <= step:
                    kept.write(line.rstrip(b"\n") + b"\n")


def _scalars(kind: str, values: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Tags and numbers of a record; those of a list are told by the record's kbps where it has them, else counted."""
    labels = [f"{rate:g}-kbps" for rate in values.get("kbps", [])]
    for name, value in values.items():
        if name in ("codebooks", "kbps"):  # what the others are told by
            continue
        if isinstance(value, list):
            for index, entry in enumerate(value):
                label = labels[index] if labels else index + 1
                yield f"{kind}/{name}/{label}", entry
        elif isinstance(value, int | float):
            yield f"{kind}/{name}", value


def _as_line(values: dict[str, Any]) -> str:
    """Short form of a record for logs of batch systems: what comes first in it, as far as a line goes."""
    parts: list[str] = []
    for name, value in values.items():
        text = str(value)
        if isinstance(value, list):
            text = "[" + " ".join(f"{v:.3g}" if isinstance(v, float) else str(v) for v in value) + "]"
        elif isinstance(value, float):
            text = f"{value:.4g}"
        parts.append(text if name == "kind" else f"{name} {text}")
        if len("  ".join(parts)) > _LONGEST_LINE - len(_MORE):
            return "  ".join(parts[:-1]) + _MORE
    return "  ".join(parts)
