"""Worker processes that are watched: one that dies, by whatever signal, costs its task and not the command.

A pool gives tasks to processes that each hold something costly, such as a model, and tells what becomes of each task.
What a death means, another try or a failure, is for the caller to say. `ending` tells in words how a process ended.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from vqcodec.errors import VqcodecError, WorkerError, unavailable

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext, SpawnContext
    from multiprocessing.process import BaseProcess

_DEATHS_AT_START = 3
"""In a row, before a pool gives up."""
_GRACE_SECONDS = 2.0
"""For a worker whose parent has gone, to remove what it was writing."""
_WINDOWS_FAULT = 0x80000000
"""Exit codes from here on are how Windows ends a process that faults, such as 0xC0000005."""

T = TypeVar("T")
Say = Callable[[Any], None]
Work = Callable[[Any, Say], Any]
"""Does a task and returns its result; says meanwhile how far it is."""

_Kind = Literal["ready", "said", "done", "error"]


def usable_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ending(exit_code: int | None) -> str:
    """Tell how a process ended, to follow its name: "crashed (SIGSEGV)". A code below 0 is a signal, negated."""
    if exit_code is None or 0 <= exit_code < _WINDOWS_FAULT:
        return f"ended with exit code {exit_code or 0}"
    if exit_code >= _WINDOWS_FAULT:
        return f"crashed (0x{exit_code:X})"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:  # one without a name, such as those of real time
        name = f"signal {-exit_code}"
    if name == "SIGKILL":
        return f"was killed ({name}), perhaps for lack of memory"
    is_crash = name in ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGSYS", "SIGTRAP")
    return f"{'crashed' if is_crash else 'was ended'} ({name})"


@dataclass(frozen=True)
class Event(Generic[T]):
    """Something about `task`: a worker said `value` of it, or it `is_done` with `value`, or its worker died.

    death: how the worker ended, in words; None where none did.
    """

    task: T
    value: Any = None
    is_done: bool = False
    death: str | None = None


@dataclass(eq=False)
class _Worker(Generic[T]):
    """A process and what it is doing."""

    process: "BaseProcess"
    connection: "Connection[Any, Any]"
    tasks: list[T]
    is_ready: bool = False


class Pool(Generic[T]):
    """Up to `size` processes that call `make(*arguments)` once and do tasks with what it returns. A context manager.

    A new process imports the module of `make`, so heavy imports belong inside that function. `imports`: modules that
    it will need, which on Linux one process imports for all: the others, also those that replace the dead, are forks
    of it. `environment`: variables that the processes have and this one has not. All processes end with the context,
    and soon after this process.
    """

    def __init__(
        self,
        make: Callable[..., Work],
        arguments: tuple[Any, ...],
        *,
        size: int,
        name: str,
        environment: Mapping[str, str] | None = None,
        imports: Sequence[str] = (),
    ) -> None:
        self._make, self._arguments = make, arguments
        self._size, self._name, self._environment = size, name, environment or {}
        self._context = _context(imports)
        self._workers: list[_Worker[T]] = []
        self._deaths_at_start = 0

    def run(self, waiting: deque[T]) -> Iterator[Event[T]]:
        """Do the tasks in `waiting`, from the left; who hears of a death may put a task back there.

        Raises the VqcodecError that `make` or a task raised; WorkerError if workers die while they start.
        """
        from multiprocessing.connection import wait

        while waiting or any(worker.tasks for worker in self._workers):
            self._hand_out(waiting)
            ready = wait([worker.connection for worker in self._workers])
            for worker in [worker for worker in self._workers if worker.connection in ready]:
                yield from self._hear(worker)

    def __enter__(self) -> "Pool[T]":
        return self

    def __exit__(self, *_: object) -> None:
        """End every process; each may remove what it was writing."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(timeout=10)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()

    def _hand_out(self, waiting: deque[T]) -> None:
        """Start the workers that are missing, and give tasks to those that have none."""
        wanted = min(self._size, len(waiting) + sum(bool(worker.tasks) for worker in self._workers))
        while len(self._workers) < wanted:
            self._workers.append(self._start())
        for worker in self._workers:
            if worker.is_ready and not worker.tasks and waiting:
                worker.tasks.append(waiting.popleft())
                with contextlib.suppress(OSError):  # died meanwhile, which the next wait tells
                    worker.connection.send(worker.tasks[0])

    def _start(self) -> _Worker[T]:
        ours, theirs = self._context.Pipe()
        variables = {**os.environ, **self._environment}
        process = self._context.Process(
            target=_serve, args=(theirs, variables, self._make, self._arguments), daemon=True, name=self._name
        )
        # A fork comes from a server that has them blocked, and is waited for, which Ctrl-C must be able to end.
        begins_here = self._context.get_start_method() == "spawn"
        with _variables(self._environment), _without_interrupts() if begins_here else contextlib.nullcontext():
            process.start()
        theirs.close()
        return _Worker(process, ours, [])

    def _hear(self, worker: _Worker[T]) -> Iterator[Event[T]]:
        """Take in what a worker says, or its death."""
        kind: _Kind
        try:
            kind, value = worker.connection.recv()
        except (EOFError, OSError):
            death = self._bury(worker)
            yield from (Event(task, death=death) for task in worker.tasks)
            return
        if kind == "error":
            raise value
        if kind == "ready":
            worker.is_ready, self._deaths_at_start = True, 0
            return
        (task,) = worker.tasks
        if kind == "done":
            worker.tasks.clear()
        yield Event(task, value, is_done=kind == "done")

    def _bury(self, worker: _Worker[T]) -> str:
        """Remove a worker that has died; returns how."""
        worker.process.join()
        worker.connection.close()
        self._workers.remove(worker)
        death = ending(worker.process.exitcode)
        if not worker.is_ready:
            self._deaths_at_start += 1
            if self._deaths_at_start == _DEATHS_AT_START:
                raise WorkerError(f"workers die while they start: the last of {_DEATHS_AT_START} {death}")
        return death


def _context(imports: Sequence[str]) -> "ForkServerContext | SpawnContext":
    """Choose how processes start. Elsewhere than on Linux, what libraries have begun does not outlive a fork."""
    import multiprocessing

    if sys.platform != "linux" or not hasattr(os, "fork"):
        return multiprocessing.get_context("spawn")
    from multiprocessing.forkserver import ensure_running

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(imports))  # heard by the first of this process
    with _without_interrupts():
        ensure_running()
    return context


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Keep Ctrl-C, which reaches all processes, from those that begin meanwhile; here it comes when this ends.

    They would print where they were, importing torch for example, before they can ignore it themselves.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # it begins with the first process, ignores them itself, and unblocks them here
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


@contextlib.contextmanager
def _variables(environment: Mapping[str, str]) -> Iterator[None]:
    """Set variables, which a process inherits that is started meanwhile."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


# In the worker process


def _serve(
    connection: "Connection[Any, Any]",
    variables: Mapping[str, str],
    make: Callable[..., Work],
    arguments: tuple[Any, ...],
) -> None:
    """Do the tasks that come, until the parent has gone."""
    _take_on(variables)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: the parent says when to end
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work = make(*arguments)
        _tell(connection, "ready")
        for task in _tasks(connection):
            _tell(connection, "done", work(task, lambda value: _tell(connection, "said", value)))
    except (VqcodecError, ImportError) as error:
        told = unavailable(error) if isinstance(error, ImportError) else error
        if told is None:
            raise
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # nothing is written any more, and an exit would cut the clean-up
        _tell(connection, "error", told)


def _take_on(variables: Mapping[str, str]) -> None:
    """Have the variables of the parent, not those of the process that this is a fork of, whose torch has read them."""
    os.environ.clear()
    os.environ.update(variables)
    threads = variables.get("OMP_NUM_THREADS", "")
    if (torch := sys.modules.get("torch")) is not None and threads.isdecimal():
        torch.set_num_threads(max(1, int(threads)))


def _tell(connection: "Connection[Any, Any]", kind: _Kind, value: Any = None) -> None:
    try:
        connection.send((kind, value))
    except OSError:  # nobody listens any more
        sys.exit(1)


def _tasks(connection: "Connection[Any, Any]") -> Iterator[Any]:
    with contextlib.suppress(EOFError, OSError):
        while True:
            yield connection.recv()


def _end_with_parent() -> None:
    """End when the parent has, even by SIGKILL: in order if that can be had at once, otherwise all the same."""
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)
