"""The local engine: worker processes on this machine, watched: one that dies costs no more than its shard's time.

A shard whose worker died is given to another. If that one dies too, the shard goes on utterance by utterance, so that
the one that kills is known, left out, and listed as a failure.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

from vqcodec.cores import usable_cores
from vqcodec.errors import TokensError, VqcodecError
from vqcodec.tokens.jobs import ShardReport, WorkerOptions

_REPORT_SECONDS = 0.5
_DEATHS = 2
"""Of workers at one shard, and then at one utterance of it, before that is to blame."""
_DEATHS_AT_START = 3

_Kind = Literal["ready", "reading", "report", "error"]


def run_local(folder: Path, shards: Sequence[int], options: WorkerOptions, *, workers: int) -> Generator[ShardReport]:
    """Run `shards` of the plan in `folder` on `workers` processes; yields how each gets on, several times a shard.

    Ends all processes when it is closed. Raises what a worker raised, and TokensError if workers die while they start.
    """
    pool = _Pool(folder, shards, options, min(workers, len(shards)))
    try:
        yield from pool.run()
    finally:
        pool.stop()


@dataclass(eq=False)
class _Process:
    """A worker process and what it is doing."""

    process: BaseProcess
    connection: "Connection[Any, Any]"
    shard: int | None = None
    position: int | None = None
    is_ready: bool = False


@dataclass
class _Pool:
    folder: Path
    shards: Sequence[int]
    options: WorkerOptions
    size: int
    processes: list[_Process] = field(default_factory=list)
    deaths: Counter[int] = field(default_factory=Counter)
    deaths_at: Counter[tuple[int, int]] = field(default_factory=Counter)
    deaths_at_start: int = 0

    def run(self) -> Iterator[ShardReport]:
        waiting = deque(self.shards)
        self.processes = [self._start() for _ in range(self.size)]
        while waiting or any(one.shard is not None for one in self.processes):
            ready = wait([one.connection for one in self.processes])
            for one in [one for one in self.processes if one.connection in ready]:
                try:
                    kind, value = one.connection.recv()
                except (EOFError, OSError):
                    self._replace(one, waiting)
                    continue
                if kind == "report":
                    yield value
                self._note(one, kind, value)
                if one.is_ready and one.shard is None and waiting:
                    self._give(one, waiting.popleft())

    def stop(self) -> None:
        """End every process; what they were writing disappears."""
        for one in self.processes:
            one.process.terminate()
        for one in self.processes:
            one.process.join(timeout=10)
            if one.process.is_alive():
                one.process.kill()
                one.process.join()
            one.connection.close()

    def _start(self) -> _Process:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, self.folder, self.options)
        process = context.Process(target=_serve, args=arguments, daemon=True, name="vqcodec tokenize")
        with _threads(self.size):
            process.start()
        theirs.close()
        return _Process(process, ours)

    def _note(self, one: _Process, kind: _Kind, value: Any) -> None:
        """Take in what a worker said."""
        if kind == "ready":
            one.is_ready, self.deaths_at_start = True, 0
        elif kind == "reading":
            one.position = value
        elif kind == "report" and value.is_finished:
            one.shard = one.position = None
        elif kind == "error":
            raise value

    def _give(self, one: _Process, shard: int) -> None:
        one.shard = shard
        deadly = {position for (of, position), count in self.deaths_at.items() if of == shard and count >= _DEATHS}
        with contextlib.suppress(OSError):  # died meanwhile, which the next wait tells
            one.connection.send((shard, deadly if self.deaths[shard] >= _DEATHS else None))

    def _replace(self, one: _Process, waiting: deque[int]) -> None:
        """A worker has died: start another, and let its shard be done again, first."""
        one.process.join()
        one.connection.close()
        if not one.is_ready:
            self.deaths_at_start += 1
            if self.deaths_at_start == _DEATHS_AT_START:
                raise TokensError(
                    f"workers die while they start (exit {one.process.exitcode}); is there enough memory?"
                )
        if one.shard is not None:
            self.deaths[one.shard] += 1
            if one.position is not None:
                self.deaths_at[one.shard, one.position] += 1
            waiting.appendleft(one.shard)
        self.processes[self.processes.index(one)] = self._start()


@contextlib.contextmanager
def _threads(processes: int) -> Iterator[None]:
    """The environment of a new worker: the cores are shared out, unless OMP_NUM_THREADS says otherwise."""
    if "OMP_NUM_THREADS" in os.environ:
        yield
        return
    os.environ["OMP_NUM_THREADS"] = str(max(1, usable_cores() // processes))
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]


# In the worker process


def _serve(connection: "Connection[Any, Any]", folder: Path, options: WorkerOptions) -> None:
    """Do the shards that come, until the parent has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: the parent says when to end
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        from vqcodec.tokens.worker import Worker

        worker = Worker(folder, options)
        connection.send(("ready", None))
        while True:
            _serve_one(connection, worker, *connection.recv())
    except VqcodecError as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # nothing is written any more, and an exit would cut the clean-up
        connection.send(("error", error))
    except EOFError:
        pass


def _serve_one(connection: "Connection[Any, Any]", worker: Any, shard: int, deadly: set[int] | None) -> None:
    """Do a shard. `deadly`: what to leave out; None: no need to go utterance by utterance."""
    sent = time.monotonic()

    def report(progress: ShardReport) -> None:
        nonlocal sent
        if progress.is_finished or time.monotonic() - sent >= _REPORT_SECONDS:
            sent = time.monotonic()
            connection.send(("report", progress))

    def is_wanted(position: int) -> bool:
        connection.send(("reading", position))
        return deadly is None or position not in deadly

    worker.run(shard, on_report=report, one_by_one=None if deadly is None else is_wanted)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
