"""Pipes: reading their bytes as they come and only until told to stop, and writing all of what they take in parts."""

import errno
import io
import os
import select
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Literal, cast

from typing_extensions import override

_LOOK_SECONDS = 0.05
"""Between looks for the reader of a named pipe."""
_READER_SECONDS = 1.0
"""How long who is told to stop waits for a reader that takes nothing."""


class Stop:
    """Ends live streams as the end of their input would: `set` it from another thread or a signal handler.

    `grace_seconds`: how long an input may go on after `set`, for what was sent to arrive. Holds two file descriptors
    until `close`.
    """

    def __init__(self, *, grace_seconds: float = 0.0) -> None:
        self._grace_seconds = grace_seconds
        self._end_seconds: float | None = None
        self._wake, self._waker = os.pipe()

    def set(self) -> None:
        """Stop. Again: nothing more."""
        if self._end_seconds is None:
            self._end_seconds = time.monotonic() + self._grace_seconds
            os.write(self._waker, b"s")

    @property
    def is_set(self) -> bool:
        """Whether it was told to stop."""
        return self._end_seconds is not None

    def wait_for(self, file: io.RawIOBase) -> bool:
        """Wait until `file` has bytes or has ended; False if it was told to stop first."""
        try:
            readable: list[int] = [file.fileno()]
        except OSError:  # no file of the system, such as BytesIO: never waits
            return self._end_seconds is None
        while self._end_seconds is None:
            # A pipe and no flag alone: a signal between a look at the flag and select must wake it as well.
            ready = select.select([*readable, self._wake], [], [])[0]
            if self._wake not in ready:
                return True
        left_seconds = self._end_seconds - time.monotonic()
        return left_seconds > 0 and bool(select.select(readable, [], [], left_seconds)[0])

    def wait_for_reader(self, descriptor: int) -> bool:
        """Wait until a pipe takes bytes; False if, once it is told to stop, its reader takes none for a second."""
        while self._end_seconds is None:
            readable, writable, _ = select.select([self._wake], [descriptor], [])
            if writable and not readable:
                return True
        return bool(select.select([], [descriptor], [], _READER_SECONDS)[1])

    def close(self) -> None:
        """Give the file descriptors back."""
        os.close(self._wake)
        os.close(self._waker)


def open_unless_stopped(path: str | Path, mode: Literal["rb", "wb"], stop: Stop | None) -> io.FileIO:
    """Open a file, unbuffered, or a named pipe without waiting for its other end for longer than until `stop` is set.

    Raises OSError: where the file cannot be opened, and where a pipe still had no reader.
    """
    if stop is None or not Path(path).is_fifo():
        return open(path, mode, buffering=0)
    while True:
        try:
            descriptor = os.open(path, (os.O_RDONLY if mode == "rb" else os.O_WRONLY) | os.O_NONBLOCK)
            os.set_blocking(descriptor, True)
            return io.FileIO(descriptor, mode)
        except OSError as error:
            if error.errno != errno.ENXIO or stop.is_set:
                raise
        time.sleep(_LOOK_SECONDS)


class StoppableFile(io.RawIOBase):
    """`file`, to read, which ends when it does or when `stop` is set.

    A file with a buffer of its own is read through below it: nothing may have been read from it before.
    """

    def __init__(self, file: IO[bytes], stop: Stop) -> None:
        self._file = cast(io.RawIOBase, getattr(file, "raw", file))
        self._stop = stop

    @override
    def readable(self) -> bool:
        return True

    @override
    def fileno(self) -> int:
        """Give that of `file`."""
        return self._file.fileno()

    @override
    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read what is there into `buffer`, after waiting for something."""
        if not self._stop.wait_for(self._file):
            return 0
        data = read_some(self._file, len(buffer))
        buffer[: len(data)] = data
        return len(data)


def read_some(file: IO[bytes] | io.RawIOBase, most_bytes: int) -> bytes:
    """Read at least one byte and at most `most_bytes`: what can be had without waiting for more; none at the end."""
    return cast(bytes, getattr(file, "read1", file.read)(most_bytes) or b"")


def is_at_hand(file: IO[bytes]) -> bool:
    """Tell whether reading `file` waits for nothing: it has bytes or has ended."""
    try:
        return bool(select.select([file], [], [], 0)[0])
    except (OSError, ValueError, TypeError):  # no file of the system, such as BytesIO: never waits
        return True


def read_exactly(file: IO[bytes], length_bytes: int) -> bytes:
    """Read `length_bytes` bytes, fewer only at the end."""
    data = b""
    while len(data) < length_bytes and (block := read_some(file, length_bytes - len(data))):
        data += block
    return data


def write_all(file: IO[bytes], data: bytes) -> None:
    """Write every byte of `data`, also to a raw stream that takes fewer at a time."""
    view = memoryview(data)
    while view:
        written = file.write(view)
        view = view[len(view) if written is None else written :]


def write_unless_stopped(file: IO[bytes], data: bytes, stop: Stop | None) -> None:
    """Write every byte of `data`; to a pipe, past the buffer of `file`, whose reader may have stopped reading.

    Raises BlockedError if it has, once `stop` is set.
    """
    descriptor = None if stop is None else _pipe_of(file)
    if stop is None or descriptor is None:
        write_all(file, data)
        file.flush()
        return
    view = memoryview(data)
    while view:
        if not stop.wait_for_reader(descriptor):
            raise BlockedError
        view = view[os.write(descriptor, view[: select.PIPE_BUF]) :]  # as much as a pipe that is ready takes at once


def until_unread(program: Callable[[], object]) -> None:
    """Run a program that prints; end it quietly, with exit code 1 as click does, once nobody reads what it prints."""
    try:
        try:
            program()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes what is left at its end
        sys.exit(1)


class BlockedError(Exception):
    """The reader of a pipe takes nothing, and there is no time to wait for it."""


def _pipe_of(file: IO[bytes]) -> int | None:
    """The file descriptor of a pipe or socket; None of anything else, which never waits for long."""
    if os.name == "nt":
        return None
    try:
        descriptor = file.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError):  # no file of the system, such as BytesIO
        return None
    return descriptor if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None
