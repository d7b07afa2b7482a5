"""Files that appear whole or not at all: written under a temporary name beside the target, then renamed.

Also pipes: copied to the disk before they are read, and written only when everything is there.
"""

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vqcodec.errors import OutputError

Target = str | Path | BinaryIO
"""What is written: a path, or a binary file object such as a pipe."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def atomic_output(target: Target, *, force: bool = False, suffix: str = "") -> Iterator[Path]:
    """Yield a temporary path; rename it to `target` on success, remove it on any exception.

    The temporary path has the suffix of `target`, or `suffix` if that is a file object. Raises OutputError if `target`
    exists (without `force`), is a folder, or cannot be written, and when the disk fills up. A device or named pipe,
    such as /dev/null, is written directly.
    """
    if not isinstance(target, str | Path):
        with _copied_to(target, suffix) as path:
            yield path
        return
    target = Path(target)
    check_output(target, force=force)
    if _is_special(target):
        with output_errors(target):
            yield target
        return
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}{target.suffix}")
    try:
        with output_errors(target):
            yield temporary
            os.replace(temporary, target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def seekable_copy(source: BinaryIO) -> Iterator[BinaryIO]:
    """A copy of the rest of `source` on the disk, so that memory does not grow with the length of a pipe."""
    with tempfile.TemporaryFile() as copy:
        with output_errors("temporary file"):
            shutil.copyfileobj(source, copy)
        copy.seek(0)
        yield copy


def check_output(path: str | Path, *, force: bool) -> None:
    """Raise the OutputError that writing `path` would end in, before any work is done for it."""
    target = Path(path)
    if target.is_dir():
        raise OutputError(f"{target}: is a folder; give the name of a file")
    if not target.parent.is_dir():
        raise OutputError(f"{target}: there is no folder {target.parent}; create it first")
    if _is_special(target):
        return
    if target.exists() and not force:
        raise OutputError(f"{target}: exists already; use --force to replace it")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{target}: the folder {target.parent} is read-only; choose another")


@contextlib.contextmanager
def output_errors(target: str | Path) -> Iterator[None]:
    """Turn an OSError of writing into an OutputError that names `target`."""
    try:
        yield
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        full = error.errno in _FULL
        remedy = "free some space or choose another folder" if full else "choose another target"
        why = "no space left on the disk" if full else (error.strerror or str(error))
        raise OutputError(f"{target}: cannot write ({why}); {remedy}") from None


@contextlib.contextmanager
def _copied_to(file: BinaryIO, suffix: str) -> Iterator[Path]:
    """Yield a temporary path; copy it to `file` on success."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"output{suffix}"
        with output_errors(path):
            yield path
        with path.open("rb") as written, output_errors("standard output"):
            shutil.copyfileobj(written, file)
            file.flush()


def _is_special(path: Path) -> bool:
    """A device or pipe, which cannot be renamed onto."""
    return path.exists() and not path.is_file() and not path.is_dir()


def make_folder(path: str | Path) -> Path:
    """`path`, a folder, made if it is not there. Raises OutputError."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot make the folder ({error.strerror}); choose another") from None
    return Path(path)
