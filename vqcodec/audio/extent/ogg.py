"""Pages of Ogg (RFC 3533): whether all of them are there, whole, and of one stream.

libogg passes over a page whose checksum fails, and over pages that are missing, without a word.
"""

import io
import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from vqcodec.audio.extent.splice import splice

_HEAD_BYTES = 27
_CRC = slice(22, 26)
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class _Page:
    """A page: where it begins, what its head says, and its bytes."""

    position: int
    data: bytes

    @property
    def serial(self) -> bytes:
        """Which stream it is of."""
        return self.data[14:18]

    @property
    def number(self) -> int:
        """Its place in that stream."""
        return int.from_bytes(self.data[18:22], "little")

    @property
    def begins(self) -> bool:
        """Whether its stream begins with it."""
        return bool(self.data[5] & 2)

    @property
    def ends(self) -> bool:
        """Whether its stream ends with it."""
        return bool(self.data[5] & 4)

    @property
    def is_whole(self) -> bool:
        """Whether its checksum is right."""
        return page_checksum(self.data) == self.data[_CRC]


def page_checksum(page: bytes) -> bytes:
    """Compute the CRC-32 of a page, its 4 bytes of checksum taken as zeros: that of zlib with bits in reverse order."""
    data = (page[: _CRC.start] + bytes(4) + page[_CRC.stop :]).translate(_REVERSED)
    reverse = zlib.crc32(data, 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return reverse.to_bytes(4, "big").translate(_REVERSED)


def find_ogg_fault(file: BinaryIO, *, most_stray_bytes: int) -> str | None:
    """Tell what is wrong with the pages of `file`: damaged, missing, cut, or of a second stream; None: nothing.

    Behind the last page up to `most_stray_bytes` of anything may lie.
    """
    size, end = file.seek(0, io.SEEK_END), 0
    next_numbers: dict[bytes, int] = {}  # of the streams that go on
    has_begun = False
    for page in _pages(file):
        if not page.is_whole:
            return f"is damaged: the page at byte {page.position} has a wrong checksum, and would be left out"
        if page.begins and has_begun:
            return f"has another stream joined to it at byte {page.position} (a chained Ogg), which would be left out"
        if page.number != next_numbers.get(page.serial, page.number):
            return f"is damaged: pages are missing before byte {page.position}"
        has_begun |= not page.begins
        next_numbers[page.serial] = page.number + 1 & 0xFFFF_FFFF
        if page.ends:
            del next_numbers[page.serial]
        end = page.position + len(page.data)
    file.seek(end)
    rest = file.read(_HEAD_BYTES)
    if rest[:4] == b"OggS"[: len(rest)] and rest:
        return "is cut: its last page is not whole"
    if rest and (next_numbers or size - end > most_stray_bytes):
        return f"has bytes that are no Ogg page, from byte {end} on; it is damaged"
    return "is cut: the page that ends its stream is missing" if next_numbers else None


def taken_ogg(file: BinaryIO) -> BinaryIO:
    """Make of an Ogg that is cut within a page one that has, in that page, the packets that are whole; else `file`.

    libogg gives nothing of a page that is not whole, which is up to a second of sound, and all of a short file.
    """
    end = max((page.position + len(page.data) for page in _pages(file)), default=0)
    file.seek(end)
    head = file.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES or head[:4] != b"OggS":
        return file
    lengths = file.read(head[26])
    body = file.read(sum(lengths))
    if len(lengths) < head[26] or len(body) == sum(lengths):
        return file
    sizes = list(itertools.accumulate(lengths))
    kept = max(
        (count for count, size in enumerate(sizes, 1) if size <= len(body) and lengths[count - 1] < 255), default=0
    )
    if not kept:
        return file
    flags = head[5] & ~4  # it no longer ends the stream, at the sample that its head names
    page = head[:5] + bytes([flags]) + head[6:26] + bytes([kept]) + lengths[:kept] + body[: sizes[kept - 1]]
    return splice(b"", file, 0, end, page[: _CRC.start] + page_checksum(page) + page[_CRC.stop :])


def _pages(file: BinaryIO) -> Iterator[_Page]:
    """Pages from the beginning on, up to the first that is none or not there whole."""
    position = 0
    while True:
        file.seek(position)
        head = file.read(_HEAD_BYTES)
        if len(head) < _HEAD_BYTES or head[:4] != b"OggS":
            return
        lengths = file.read(head[26])
        body = file.read(sum(lengths))
        if len(lengths) < head[26] or len(body) < sum(lengths):
            return
        page = _Page(position, head + lengths + body)
        yield page
        position += len(page.data)
