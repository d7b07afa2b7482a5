"""Pipes: reading their bytes as they come and only until told to stop, and writing all of what they take in parts."""

import io
import os
import select
import time
from typing import IO, cast


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

    def close(self) -> None:
        """Give the file descriptors back."""
        os.close(self._wake)
        os.close(self._waker)


class StoppableFile(io.RawIOBase):
    """`file`, to read, which ends when it does or when `stop` is set.

    A file with a buffer of its own is read through below it: nothing may have been read from it before.
    """

    def __init__(self, file: IO[bytes], stop: Stop) -> None:
        self._file = cast(io.RawIOBase, getattr(file, "raw", file))
        self._stop = stop

    def readable(self) -> bool:
        """True."""
        return True

    def fileno(self) -> int:
        """That of `file`."""
        return self._file.fileno()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read what is there into `buffer`, after waiting for something."""
        if not self._stop.wait_for(self._file):
            return 0
        data = read_some(self._file, len(buffer))
        buffer[: len(data)] = data
        return len(data)


def read_some(file: IO[bytes] | io.RawIOBase, most_bytes: int) -> bytes:
    """At least one byte and at most `most_bytes`: what can be had without waiting for more; none at the end."""
    return cast(bytes, getattr(file, "read1", file.read)(most_bytes) or b"")


def is_at_hand(file: IO[bytes]) -> bool:
    """Whether reading `file` waits for nothing: it has bytes or has ended."""
    try:
        return bool(select.select([file], [], [], 0)[0])
    except (OSError, ValueError, TypeError):  # no file of the system, such as BytesIO: never waits
        return True


def read_exactly(file: IO[bytes], length_bytes: int) -> bytes:
    """`length_bytes` bytes, fewer only at the end."""
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
