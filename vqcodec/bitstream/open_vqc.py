"""Opening .vqc files and pipes, with errors that name the file."""

import contextlib
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from vqcodec.bitstream.binary import ByteSource
from vqcodec.bitstream.header import read_header
from vqcodec.bitstream.reader import VqcReader
from vqcodec.errors import BitstreamError, ModelError
from vqcodec.output import check_length, seekable_copy


@contextlib.contextmanager
def open_vqc(source: str | Path | BinaryIO) -> Iterator[VqcReader]:
    """Yield a reader of a path, or of a binary file object (copied to the disk if it cannot seek).

    Errors about its content that are raised inside, BitstreamError and ModelError, start with the file's name.
    """
    name = str(source) if isinstance(source, str | Path) else "standard input"
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(_opened(source, name))
        except IsADirectoryError:
            raise BitstreamError(f"{name}: is a folder; give a .vqc file") from None
        except OSError as error:
            raise BitstreamError(f"{name}: cannot read ({error.strerror}); give a .vqc file") from None
        with content_errors(name):
            yield VqcReader(file)


@contextlib.contextmanager
def content_errors(name: str) -> Iterator[None]:
    """Let errors about the content of a .vqc start with the file's name."""
    try:
        yield
    except (BitstreamError, ModelError) as error:
        error.args = (f"{name}: {error}",)
        raise


def _opened(source: str | Path | BinaryIO, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
    """`source` as a file that can seek."""
    if isinstance(source, str | Path):
        path = Path(source)
        check_length(path, BitstreamError)
        # Unbuffered: between heads a seek would throw a buffer away, and fill it with codes that nobody asked for.
        return _piped(path) if path.is_fifo() else cast(BinaryIO, path.open("rb", buffering=0))
    return contextlib.nullcontext(source) if source.seekable() else seekable_copy(source, partial(_look, name))


@contextlib.contextmanager
def _piped(path: Path) -> Iterator[BinaryIO]:
    """A named pipe."""
    with path.open("rb") as pipe, seekable_copy(pipe, partial(_look, str(path))) as copy:
        yield copy


def _look(name: str, head: bytes) -> None:
    """Raise the error of a pipe that does not begin as a .vqc."""
    with content_errors(name):
        read_header(ByteSource(io.BytesIO(head)))
