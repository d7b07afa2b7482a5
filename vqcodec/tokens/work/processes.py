"""The local runner: worker processes on this machine, watched: one that dies costs no more than its shard's time.

A shard whose worker died is given to another. If that one dies too, the shard goes on utterance by utterance, so that
the one that kills is known, left out, and listed as a failure.
"""

import functools
import os
import time
from collections import Counter, deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vqcodec.errors import WorkerError
from vqcodec.system.workers import Pool, Say, Work, usable_cores
from vqcodec.tokens.work.messages import ShardReport, Workers

if TYPE_CHECKING:
    from vqcodec.tokens.work.worker import Worker

_REPORT_SECONDS = 0.5
_DEATHS = 2
"""Deaths at one shard, and then at one utterance of it, before that is to blame; twice as many end the run."""


def run_local(folder: Path, shards: Sequence[int], model: str, workers: Workers) -> Generator[ShardReport]:
    """Run `shards` of the plan in `folder` on processes with `model`; yields how each gets on, several times a shard.

    Ends all processes when it is closed. Raises what a worker raised; WorkerError if workers die while they start, or
    of a shard whatever is left out of it.
    """
    count = workers.count or (usable_cores() if workers.device == "cpu" else 1)
    size = min(count, len(shards))
    # The cores are shared out, unless a user has said otherwise.
    threads = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(max(1, usable_cores() // size))}
    waiting, history = deque(_Task(shard) for shard in shards), _History()
    with Pool[_Task](
        _make, (folder, model, workers), size=size, name="vqcodec tokenize", environment=threads, imports=["torch"]
    ) as pool:
        for event in pool.run(waiting):
            if event.death is not None:
                waiting.appendleft(history.after_death(event.task.shard, event.death))
            elif isinstance(event.value, ShardReport):
                yield event.value
            else:
                history.reading[event.task.shard] = event.value


@dataclass(frozen=True)
class _Task:
    """A shard to do. deadly: positions to leave out, with how they end a worker; None: no need to go one by one."""

    shard: int
    deadly: dict[int, str] | None = None


@dataclass
class _History:
    """Who died of what. reading: the position that was last begun, by shard that goes one by one."""

    reading: dict[int, int] = field(default_factory=dict)
    deaths: Counter[int] = field(default_factory=Counter)
    deaths_at: Counter[tuple[int, int | None]] = field(default_factory=Counter)
    deadly: dict[int, dict[int, str]] = field(default_factory=dict)

    def after_death(self, shard: int, death: str) -> _Task:
        """Tell how the shard goes on after a worker of it ended with `death`."""
        self.deaths[shard] += 1
        position = self.reading.pop(shard, None)
        self.deaths_at[shard, position] += 1
        if self.deaths_at[shard, position] == 2 * _DEATHS:
            raise WorkerError(f"shard {shard}: every process at it dies, the last {death}; --resume tries it again")
        if position is not None and self.deaths_at[shard, position] == _DEATHS:
            self.deadly.setdefault(shard, {})[position] = death
        return _Task(shard, self.deadly.get(shard, {}) if self.deaths[shard] >= _DEATHS else None)


# In the worker process


def _make(folder: Path, model: str, workers: Workers) -> Work:
    """Load the model."""
    from vqcodec.tokens.work.worker import Worker

    return functools.partial(_do, Worker(folder, model, workers))


def _do(worker: "Worker", task: _Task, say: Say) -> ShardReport:
    """Do a shard; say from time to time how far it is, and before each utterance its position, if one by one."""
    sent = time.monotonic()

    def report(progress: ShardReport) -> None:
        nonlocal sent
        if not progress.is_finished and time.monotonic() - sent >= _REPORT_SECONDS:
            sent = time.monotonic()
            say(progress)

    def why_not(position: int) -> str | None:
        say(position)
        return (task.deadly or {}).get(position)

    return worker.run(task.shard, on_report=report, why_not=None if task.deadly is None else why_not)
