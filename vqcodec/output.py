"""Files that appear whole or not at all: written under a temporary name beside the target, then renamed.

Also pipes: copied to the disk before they are read, and written only when everything is there.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from vqcodec.errors import OutputError, VqcodecError

Target = str | Path | BinaryIO
"""What is written: a path, or a binary file object such as a pipe."""

_MOST_STEM = 40
"""Characters of a name that its temporary file has: names have up to 255 bytes."""
_LOOK_BYTES = 1 << 16
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def atomic_output(target: Target, *, force: bool = False, suffix: str = "") -> Iterator[Path]:
    """Yield a temporary path; rename it to `target` on success, remove it on any exception.

    The temporary path has the suffix of `target`, or `suffix` if that is a file object. Raises OutputError if `target`
    exists (without `force`), also if it appears meanwhile, is a folder, or cannot be written, and when the disk fills
    up. With `force` a link stays one, and what it leads to is replaced; a file that is replaced hands its mode on.
    What runs that were killed have left of `target` is removed. What has its name has its content, also after a power
    cut. A device or named pipe, such as /dev/null, gets all of it at the end.
    """
    if not isinstance(target, str | Path):
        with _copied_to(target, suffix) as path:
            yield path
        return
    target = Path(target)
    check_output(target, force=force)
    if _is_special(target):
        with _copied_to(target, target.suffix or suffix) as path:
            yield path
        return
    replaced = Path(os.path.realpath(target)) if force else target
    temporary = replaced.with_name(f".{replaced.stem[:_MOST_STEM]}.{secrets.token_hex(4)}{target.suffix}")
    _remove_leftovers(replaced, target.suffix)
    try:
        with output_errors(target), _held(temporary):
            yield temporary
            _publish(temporary, replaced, force=force)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def _held(temporary: Path) -> Iterator[None]:
    """Hold the file while it is written, so that no other run takes it for what a killed one has left."""
    if os.name == "nt":  # where no file can be renamed that is open, and leftovers stay
        yield
        return
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a file, and tell whether that can be done: nobody else has, and its file system knows locks."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def _remove_leftovers(target: Path, suffix: str) -> None:
    """Remove what runs that were killed have left of `target`: temporary files that nobody holds."""
    pattern = re.compile(rf"\.{re.escape(target.stem[:_MOST_STEM])}\.[0-9a-f]{{8}}{re.escape(suffix)}")
    for name in filter(pattern.fullmatch, _hidden_in(target.parent)):
        with contextlib.suppress(OSError):
            descriptor = os.open(target.parent / name, os.O_RDONLY)
            try:
                if _lock(descriptor):
                    os.unlink(target.parent / name)
            finally:
                os.close(descriptor)


@lru_cache(maxsize=1024)
def _hidden_in(folder: Path) -> tuple[str, ...]:
    """Hidden files of a folder when this process first writes to it: it may be large, and is looked through once."""
    with contextlib.suppress(OSError):
        return tuple(name for name in os.listdir(folder) if name.startswith("."))
    return ()


def _publish(temporary: Path, target: Path, *, force: bool) -> None:
    """Give a file that is complete its name. Raises OutputError if that is taken, without `force`."""
    sync(temporary)
    if force:
        with contextlib.suppress(FileNotFoundError):
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(temporary, target)
    else:
        try:
            _rename_to_new(temporary, target)
        except FileExistsError:
            raise OutputError(f"{target}: appeared meanwhile, and is kept; use --force to replace it") from None
    sync(target.parent)


def _rename_to_new(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except FileExistsError:
        raise
    except (
        OSError
    ):  # a file system without links: between the look and the step another program has no time to speak of
        if os.path.lexists(target):
            raise FileExistsError from None
        path.rename(target)


def sync(path: Path) -> None:
    """Have the system write a file, or the names in a folder, to the disk, where it can."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # of file systems that have no such thing
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def seekable_copy(source: BinaryIO, look: Callable[[bytes], None]) -> Iterator[BinaryIO]:
    """Yield a copy of the rest of `source` on the disk, so that memory does not grow with the length of a pipe.

    `look` gets its first 64 KiB, or all of it, and raises an error if they are nothing that is worth a copy: a pipe may
    have no end.
    """
    head = b""
    while len(head) < _LOOK_BYTES and (part := source.read(_LOOK_BYTES - len(head))):
        head += part
    look(head)
    with tempfile.TemporaryFile() as copy:
        with output_errors("temporary file"):
            copy.write(head)
            shutil.copyfileobj(source, copy)
        copy.seek(0)
        yield copy


def check_length(path: Path, error_class: type[VqcodecError]) -> None:
    """Raise an error of the class given for a path that the system does not take, or in it a name, for its length."""
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise error_class(f"{path}: is too long for a name or path; give a shorter one") from None
    except ValueError:
        raise error_class(f"{str(path)!r}: is no path, as it has a character of value 0; give another") from None


def check_output(path: str | Path, *, force: bool, source: object = None) -> None:
    """Raise the OutputError that writing `path` would end in, before any work is done for it.

    `source`: what is read for it, which may not be `path` if that is a file.
    """
    target = Path(path)
    check_length(target, OutputError)
    if target.is_dir():
        raise OutputError(f"{target}: is a folder; give the name of a file")
    if not target.parent.is_dir():
        raise OutputError(f"{target}: there is no folder {target.parent}; create it first")
    if _is_special(target):
        return
    if os.path.lexists(target) and not force:
        raise OutputError(f"{target}: exists already; use --force to replace it")
    if isinstance(source, str | Path) and os.path.isfile(source) and target.exists() and target.samefile(source):
        raise OutputError(f"{target}: is the input itself; choose another target")
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
def _copied_to(target: Target, suffix: str) -> Iterator[Path]:
    """Yield a temporary path; copy it on success to a file object, or a device or pipe by its path."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"output{suffix}"
        with output_errors(path):
            yield path
        name = target if isinstance(target, str | Path) else "standard output"
        with path.open("rb") as written, output_errors(name), contextlib.ExitStack() as opened:
            file = opened.enter_context(open(target, "wb")) if isinstance(target, str | Path) else target
            shutil.copyfileobj(written, file)
            file.flush()


def _is_special(path: Path) -> bool:
    """A device or pipe, which cannot be renamed onto."""
    return path.exists() and not path.is_file() and not path.is_dir()


def make_folder(path: str | Path) -> Path:
    """Make `path` a folder, unless it is one. Raises OutputError."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot make the folder ({error.strerror}); choose another") from None
    return Path(path)
