"""How a long run gets on: a line that changes on a terminal; JSON lines for a log, of a run of hours."""

import json
import sys
import time
from collections.abc import Hashable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from vqcodec.frames import clock

if TYPE_CHECKING:
    from vqcodec.tokens.run import Progress

_TERMINAL_SECONDS, _LOG_SECONDS = 0.2, 10.0
_BAR_WIDTH = 30
_SURE_SECONDS, _SURE_UTTERANCES, _SURE_SHARE = 5.0, 20, 0.25
"""Before so long, and so many utterances or such a share of all, one long utterance would decide what is left."""


class Display:
    """Shows Progress on stderr: hours done, hours per hour, time left, failures. A context manager."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._started = time.monotonic()
        self._shown = float("-inf")
        self._waiting: Progress | None = None
        self._pace = Pace()

    def show(self, progress: "Progress") -> None:
        """Take in where the run is; not every one is shown."""
        self._waiting = progress
        self._pace.begin(progress, time.monotonic() - self._started)
        if time.monotonic() - self._shown >= (_TERMINAL_SECONDS if self._is_terminal else _LOG_SECONDS):
            self._write()

    def __enter__(self) -> "Display":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._waiting is not None:
            self._write()
        if self._is_terminal and self._shown > 0:
            click.echo(err=True)

    def _write(self) -> None:
        progress, self._waiting, self._shown = self._waiting, None, time.monotonic()
        assert progress is not None
        facts = facts_of(progress, time.monotonic() - self._started, self._pace)
        if not self._is_terminal:
            click.echo(json.dumps(facts), err=True)
            return
        left = "" if facts["seconds_left"] is None else f", {clock(facts['seconds_left'], decimals=0)} left"
        failures = f", {facts['failures']} failed" if facts["failures"] else ""
        line = (
            f"{facts['hours']:.2f} h, {facts['hours_per_hour']:.0f} h/h{left}, {facts['utterances']} of "
            f"{facts['planned']} utterances, {facts['shards']} of {facts['all_shards']} shards{failures}"
        )
        click.echo(f"\r\033[K{line}", nl=False, err=True)


class Pace:
    """How long utterances take, counted from when a run first tells of some: until then it starts and loads."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def begin(self, progress: "Progress", elapsed_seconds: float) -> None:
        """Take in where a run is, `elapsed_seconds` after it began; what comes after the first call changes nothing."""
        if self._first is None:
            self._first = elapsed_seconds, _done(progress)

    def seconds_left(self, progress: "Progress", elapsed_seconds: float) -> float | None:
        """Estimate the seconds that are left, if utterances go on to take as long; None where that is a mere guess."""
        waiting = progress.planned - _done(progress)
        if waiting <= 0:
            return 0.0
        if self._first is None:
            return None
        seconds, done = elapsed_seconds - self._first[0], _done(progress) - self._first[1]
        if seconds < _SURE_SECONDS or done < min(_SURE_UTTERANCES, max(1.0, _SURE_SHARE * progress.planned)):
            return None
        return seconds * waiting / done


def _done(progress: "Progress") -> int:
    return progress.utterances + progress.failures


def facts_of(progress: "Progress", elapsed_seconds: float, pace: Pace) -> dict[str, float | int | None]:
    """Give what is shown of a run, `elapsed_seconds` after it began."""
    left = pace.seconds_left(progress, elapsed_seconds)
    return {
        "hours": round(progress.seconds / 3600, 4),
        "hours_per_hour": round(progress.seconds / max(elapsed_seconds, 1e-9), 1),
        "seconds_left": None if left is None else round(left, 1),
        "utterances": progress.utterances,
        "planned": progress.planned,
        "failures": progress.failures,
        "shards": progress.shards,
        "all_shards": progress.all_shards,
        "elapsed_seconds": round(elapsed_seconds, 1),
    }


class FilesDisplay:
    """Shows on a terminal how much of some files is done, by their bytes, and the time that is left. A context manager.

    sizes_bytes: of each file
    """

    def __init__(self, sizes_bytes: Mapping[Any, int]) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._sizes = {file: max(1, size) for file, size in sizes_bytes.items()}
        self._total = max(1, sum(self._sizes.values()))
        self._shares: dict[Hashable, float] = {}
        self._finished = 0
        self._done_bytes = 0
        self._began, self._shown = time.monotonic(), float("-inf")
        self._has_line = False

    def show(self, file: Hashable, share: float) -> None:
        """Take in that `share`, 0 to 1, of a file is done; not every one is shown."""
        self._shares[file] = share
        if self._is_terminal and time.monotonic() - self._shown >= _TERMINAL_SECONDS:
            self._write()

    def finish(self, file: Hashable) -> None:
        """Take in that a file is done, well or not."""
        self._shares.pop(file, None)
        self._finished += 1
        self._done_bytes += self._sizes[file]
        if self._is_terminal and self._finished < len(self._sizes):
            self._write()

    def clear(self) -> None:
        """Make room for lines that stay."""
        if self._has_line:
            click.echo("\r\033[K", nl=False, err=True)
            self._has_line = False

    def __enter__(self) -> "FilesDisplay":
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def _write(self) -> None:
        self._shown = time.monotonic()
        running = sum(share * self._sizes[file] for file, share in self._shares.items())
        done = min(1.0, (self._done_bytes + running) / self._total)
        elapsed = self._shown - self._began
        left = f", {clock(elapsed * (1 - done) / done, decimals=0)} left" if done else ""
        bar = "#" * round(_BAR_WIDTH * done)
        line = f"[{bar:-<{_BAR_WIDTH}}] {done:4.0%}, {self._finished} of {len(self._sizes)} files{left}"
        click.echo(f"\r\033[K{line}", nl=False, err=True)
        self._has_line = True
