"""A file whose first or last bytes are others, as libsndfile is to see it."""

import io
from typing import BinaryIO

from typing_extensions import override

MOST_PREFIX_BYTES = 16 << 20
"""What is held of the front of a file, to be put before its sound."""


class _Spliced(io.RawIOBase):
    """`prefix`, then the `length` bytes of `file` from `start` on, then `suffix`, as one file that can be read."""

    def __init__(self, prefix: bytes, file: BinaryIO, start: int, length: int, suffix: bytes) -> None:
        self._prefix, self._file, self._start, self._suffix = prefix, file, start, suffix
        self._suffix_start = len(prefix) + length
        self._size = self._suffix_start + len(suffix)
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
        if (wanted := min(count, self._suffix_start - self._position) - len(data)) > 0:
            self._file.seek(self._start + self._position + len(data) - len(self._prefix))
            data += self._file.read(wanted)
        if (behind := self._position + len(data) - self._suffix_start) >= 0:
            data += self._suffix[behind : behind + count - len(data)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def splice(prefix: bytes, file: BinaryIO, start: int, length: int, suffix: bytes = b"") -> BinaryIO:
    """Make one file of `prefix`, the `length` bytes of `file` from `start` on, and `suffix`."""
    return io.BufferedReader(_Spliced(prefix, file, start, length, suffix))
