"""One loop over files for every command here: workers, a display, failures that stop no other, a closing line."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from vqcodec.cli.coding.jobs import Job
from vqcodec.cli.common import echo, shown
from vqcodec.cli.progress import FilesDisplay
from vqcodec.errors import VqcodecError
from vqcodec.frames import clock
from vqcodec.system.workers import Pool


@dataclass(frozen=True)
class Remark:
    """Something about a file that the user should know, printed for the first of its kind and then counted."""

    kind: str
    text: str


@dataclass(frozen=True)
class Outcome:
    """What became of a file.

    lines:        to be printed
    seconds:      of audio
    bytes_before: of what was read
    bytes_after:  of what was written; None where nothing was
    is_damaged:   it could be read, and is not whole
    error:        why nothing became of it
    """

    lines: tuple[str, ...] = ()
    seconds: float = 0.0
    bytes_before: int = 0
    bytes_after: int | None = None
    is_damaged: bool = False
    error: str | None = None


Say = Callable[[float | Remark], None]
"""Takes the share of a file that is done, and remarks about it."""
Work = Callable[[Job, Say], Outcome]
"""Does one file. Raises a VqcodecError for one that cannot be done."""


class FatalError(VqcodecError):
    """What keeps all files from being done, such as a device that is not there."""


workers_option = click.option(
    "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes that share the files."
)


def check_skipping(skip_existing: bool, force: bool) -> None:
    """Raise UsageError for two options of which one replaces what the other leaves."""
    if skip_existing and force:
        raise click.UsageError("give --skip-existing or --force, not both")


def batch_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --out-dir, --skip-existing and --workers to a command that writes files."""
    for option in (
        workers_option,
        click.option("--skip-existing", is_flag=True, help="Leave out files whose output is there: go on with a run."),
        click.option("--out-dir", type=click.Path(path_type=Path), help="Folder for the outputs of several inputs."),
    ):
        command = option(command)
    return command


@dataclass
class Batch:
    """Files to do, how, and what became of them so far.

    has_closing:    a line at the end tells of all files
    is_to_stdout:   lines of files are what the command is for, not news of it
    refuses_damage: damage is a failure of the command, not something to go on with
    is_coded_last:  the .vqc is what is written, of which the rate in the closing line is
    imports:        modules that several processes need
    """

    jobs: Sequence[Job]
    workers: int = 1
    skip_existing: bool = False
    has_closing: bool = False
    is_to_stdout: bool = False
    is_coded_last: bool = False
    refuses_damage: bool = False
    imports: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.done = self.failed = self.damaged = self.skipped = 0
        self._seconds, self._before, self._after = 0.0, 0, 0
        self._remarks: Counter[str] = Counter()

    @property
    def is_single(self) -> bool:
        """Whether there is one file, whose failure is that of the command."""
        return len(self.jobs) == 1 and not self.has_closing

    def run(self, make: Callable[..., Work], *arguments: Any) -> None:
        """Do all files with `make(*arguments)`, in processes if there are several workers.

        Raises ClickException where a file failed, or was damaged, after all others are done.
        """
        waiting = [job for job in self.jobs if not (self.skip_existing and job.is_done)]
        self.skipped = len(self.jobs) - len(waiting)
        with FilesDisplay({job: job.source_bytes for job in waiting}) as display:
            try:
                for job, outcome in self._outcomes(waiting, make, arguments, partial(self._hear, display)):
                    self._take(outcome, display)
                    display.finish(job)
            except (KeyboardInterrupt, SystemExit):
                display.clear()
                if self.has_closing and waiting and waiting[0].target:
                    echo(f"interrupted after {self.done} of {len(waiting)} files; --skip-existing goes on", err=True)
                raise
        self._close()

    def _outcomes(
        self, waiting: list[Job], make: Callable[..., Work], arguments: tuple[Any, ...], hear: Callable[..., None]
    ) -> Iterator[tuple[Job, Outcome]]:
        if not self.is_single:
            for job in (job for job in waiting if job.is_pipe):
                told = f"{job.source}: is not a regular file but a pipe or device; give it by itself, or leave it out"
                yield job, Outcome(error=told)
            waiting = [job for job in waiting if not job.is_pipe]
        size = min(self.workers, len(waiting))
        if size <= 1:
            work = make(*arguments) if waiting else None
            for job in waiting:
                assert work is not None
                yield job, attempt(work, job, partial(hear, job))
            return
        with Pool[Job](in_worker, (make, arguments), size=size, name="vqcodec", imports=self.imports) as pool:
            for event in pool.run(deque(waiting)):
                if event.death is not None:
                    yield event.task, Outcome(error=f"{event.task.source}: the process that did it {event.death}")
                elif event.is_done:
                    yield event.task, event.value
                else:
                    hear(event.task, event.value)

    def _hear(self, display: FilesDisplay, job: Job, said: float | Remark) -> None:
        if isinstance(said, Remark):
            self._remarks[said.kind] += 1
            if self._remarks[said.kind] == 1:
                display.clear()
                echo(said.text, err=True)
        else:
            display.show(job, said)

    def _take(self, outcome: Outcome, display: FilesDisplay) -> None:
        display.clear()
        for line in outcome.lines:
            echo(line, err=not self.is_to_stdout)
        if outcome.error is not None:
            self.failed += 1
            if self.is_single:
                raise click.ClickException(shown(outcome.error))
            echo(f"Error: {outcome.error}", err=True)
            return
        self.done += 1
        self.damaged += outcome.is_damaged
        self._seconds += outcome.seconds
        self._before += outcome.bytes_before
        self._after += outcome.bytes_after or 0

    def _close(self) -> None:
        if self.has_closing:
            for kind, count in self._remarks.items():
                if count > 1:
                    echo(f"{kind}: {count} of {len(self.jobs)} files", err=True)
            echo(self._closing_line(), err=True)
        elif self.skipped:
            echo(f"{self.jobs[0].target}: is there already, skipped", err=True)
        count, told = len(self.jobs), list[str]()
        if self.damaged and self.refuses_damage:
            told.append(f"{self.damaged} of {count} files {'is' if self.damaged == 1 else 'are'} damaged")
        if self.failed:
            told.append(f"{self.failed} of {count} files failed")
        if told:
            raise click.ClickException(", ".join(told))

    def _closing_line(self) -> str:
        parts = [f"{self.done} files", clock(self._seconds), f"{self._before} bytes"]
        if self.jobs[0].target:
            parts[-1] = f"{self._before} bytes before and {self._after} after"
        coded = self._after if self.is_coded_last else self._before
        if self._seconds:
            parts.append(f"{8 * coded / self._seconds / 1000:.2f} kbps")
        counts = {"skipped": self.skipped, "damaged": self.damaged, "failed": self.failed}
        return ", ".join([*parts, *(f"{count} {name}" for name, count in counts.items() if count)])


def attempt(work: Work, job: Job, say: Say) -> Outcome:
    """Do one file; its error becomes its outcome."""
    try:
        return work(job, say)
    except (BrokenPipeError, FatalError):  # the reader of standard output went away; nothing can be done
        raise
    except (VqcodecError, OSError) as error:
        return Outcome(error=str(error))


def in_worker(make: Callable[..., Work], arguments: tuple[Any, ...]) -> Callable[[Job, Say], Outcome]:
    """Make what a process of a Pool does with each file."""
    return partial(attempt, make(*arguments))
