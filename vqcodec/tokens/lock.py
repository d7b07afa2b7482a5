"""One run at a time in a folder of tokens, but for runs of parts; the lock ends with the process, however that ends."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from vqcodec.errors import OutputError
from vqcodec.output import output_errors

LOCK = ".lock"
"""The file that holds a folder on Windows."""


@contextlib.contextmanager
def locked(folder: Path, *, alone: bool) -> Iterator[None]:
    """Hold `folder`: `alone`, or with others that are not. Raises OutputError where another run forbids it.

    The folder itself is locked, so that no file stays behind. On Windows, which locks no folders, each run is alone.
    """
    try:
        import fcntl
    except ModuleNotFoundError:
        with _lock_file(folder):
            yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"{folder}: another run is at work in it; wait for its end, or give each a part with --shard i/N"
            ) from None
        except OSError:
            pass  # some network file systems have no locks
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _lock_file(folder: Path) -> Iterator[None]:
    """Hold a file that only one process can make; Windows removes it with that process, by O_TEMPORARY."""
    path = folder / LOCK
    try:
        with output_errors(folder):
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_TEMPORARY", 0))
    except OutputError:
        if path.exists():
            raise OutputError(f"{folder}: another run is at work in it; wait for its end") from None
        raise
    try:
        yield
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)
