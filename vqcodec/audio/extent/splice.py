"""A file whose first bytes are others, as libsndfile is to see it."""

import io
from typing import BinaryIO

from typing_extensions import override

MOST_PREFIX_BYTES = 16 << 20
"""What is held of the front of a file, to be put before its sound."""


class _Spliced(io.RawIOBase):
    """`prefix`, then the `length` bytes of `file` from `start` on, as one file that can be read."""

    def __init__(self, prefix: bytes, file: BinaryIO, start: int, length: int) -> None:
        self._prefix, self._file, self._start = prefix, file, start
        self._size = len(prefix) + length
        self._position = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._position = max(0, offset + {0: 0, 1: self._position, 2: self._size}[whence])
        return self._position

    @override
    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        count = max(0, min(len(buffer), self._size - self._position))
        data = self._prefix[self._position : self._position + count]
        if len(data) < count:
            self._file.seek(self._start + self._position + len(data) - len(self._prefix))
            data += self._file.read(count - len(data))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def splice(prefix: bytes, file: BinaryIO, start: int, length: int) -> BinaryIO:
    """Make one file of `prefix` and the `length` bytes of `file` from `start` on."""
    return io.BufferedReader(_Spliced(prefix, file, start, length))
