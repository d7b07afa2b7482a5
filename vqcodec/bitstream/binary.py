"""Bytes of file objects that may return fewer than asked, and the three checksums of .vqc."""

import binascii
import io
import zlib
from collections.abc import Iterator
from functools import cache
from typing import IO

from vqcodec.errors import BitstreamError

# A claimed length costs memory only as its bytes arrive.
READ_BLOCK_BYTES = 1 << 16

_POLYNOMIAL = 0xEDB8_8320
_ONE = 1 << 31
"""The polynomial of CRC-32 and the polynomial 1, bits reversed."""


class ByteSource:
    """Bytes of a file object from its current position on: exact reads, skips, and returns to a position that is held.

    Positions count from where the source began. Of a file that cannot seek, bytes are kept from the last `hold` on.
    Text files and non-blocking files without data raise BitstreamError on reading.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._kept = bytearray()  # of a file that cannot seek: what was read from `_kept_at` on
        self._kept_at = 0
        self._at = 0  # where the next read begins, if the file cannot seek
        self._mark = 0
        self.seekable = file.seekable()
        self._start = file.tell() if self.seekable else 0
        self._end = file.seek(0, io.SEEK_END) if self.seekable else 0
        self.length_bytes = self._end - self._start if self.seekable else None
        if self.seekable:
            file.seek(self._start)

    @property
    def position(self) -> int:
        """Where the next read begins."""
        return self._file.tell() - self._start if self.seekable else self._at

    def hold(self, behind_bytes: int = 0) -> int:
        """Let `go_to` return as far as `behind_bytes` before the current position; returns the current position."""
        position = self.position
        if not self.seekable:
            passed = max(0, position - behind_bytes - self._kept_at)
            del self._kept[:passed]
            self._kept_at += passed
        return position

    def go_to(self, position: int) -> None:
        """Let the next read begin at `position`, which lies neither before what is held nor behind what was read."""
        if self.seekable:
            self._file.seek(self._start + position)
        else:
            assert self._kept_at <= position <= self._kept_at + len(self._kept)
            self._at = position

    def read(self, length_bytes: int) -> bytes:
        """Read `length_bytes` bytes, fewer only at the end of the file."""
        if self.seekable:
            return b"".join(self._blocks(length_bytes))
        first = self._at - self._kept_at
        for block in self._blocks(first + length_bytes - len(self._kept)):
            self._kept += block
        data = bytes(self._kept[first : first + length_bytes])
        self._at += len(data)
        return data

    def read_ahead(self, least_bytes: int) -> bytes:
        """Read `least_bytes` bytes, and a block more where that waits for nothing; fewer only at the file's end."""
        return self.read(least_bytes + READ_BLOCK_BYTES if self.seekable else least_bytes)

    def skip(self, length_bytes: int) -> bool:
        """Pass over `length_bytes` bytes without reading them if the file can seek; False if it ends before."""
        if not self.seekable:
            return len(self.read(length_bytes)) == length_bytes
        # A seek beyond the end would succeed and hide that the file is cut.
        if length_bytes > self._end - self._file.tell():
            return False
        self._file.seek(length_bytes, io.SEEK_CUR)
        return True

    def mark(self) -> None:
        """Make the current position the one to which `rewind` returns."""
        self._mark = self.hold()

    def rewind(self) -> None:
        """Return to the mark. Raises ValueError if bytes were read since and the file cannot seek."""
        if not self.seekable and self._at != self._mark:
            raise ValueError("this .vqc comes from a stream that cannot seek: it can be read only once")
        self.go_to(self._mark)

    def _blocks(self, length_bytes: int) -> Iterator[bytes]:
        """The next `length_bytes` bytes of the file, fewer only at its end."""
        while length_bytes > 0:
            block = self._file.read(min(length_bytes, READ_BLOCK_BYTES))
            if not isinstance(block, bytes):
                raise BitstreamError(f"a .vqc is read as bytes, this file object gave {type(block).__name__}")
            if not block:
                return
            yield block
            length_bytes -= len(block)


def uint_to_bytes(value: int, length_bytes: int) -> bytes:
    """Return the little-endian bytes of an unsigned integer."""
    return value.to_bytes(length_bytes, "little")


def bytes_to_uint(data: bytes) -> int:
    """Return the unsigned integer of little-endian bytes; 0 of none."""
    return int.from_bytes(data, "little")


def crc8(data: bytes) -> int:
    """Compute CRC-8/AUTOSAR: Hamming distance 4 up to 119 bits."""
    crc = 0xFF
    for byte in data:
        crc = _CRC8_TABLE[crc ^ byte]
    return crc ^ 0xFF


def crc8_step_back(difference: int) -> int:
    """Return the difference of a byte that makes this difference of the CRC-8 behind it."""
    return _CRC8_BYTES[difference]


def crc16(data: bytes) -> int:
    """Compute CRC-16/IBM-3740."""
    return binascii.crc_hqx(data, 0xFFFF)


def crc32(data: bytes | memoryview, before: int = 0) -> int:
    """Compute CRC-32/ISO-HDLC, the one of zlib, of what has the CRC-32 `before` and then `data`."""
    return zlib.crc32(data, before)


def crc32_ahead_of(whole: int, *, start: int, end: int, length_bytes: int) -> int:
    """Return the CRC-32 of the bytes that must stand before `length_bytes` given ones for that of both to be `whole`.

    The given bytes are known by two other CRC-32: of what stood before them elsewhere, `start`, and of both, `end`. The
    CRC being linear, a difference at the end is one at the start times x ** (8 * length_bytes), whatever the bytes are
    (as in zlib's crc32_combine): no byte is looked at.
    """
    difference = whole ^ end
    for digit in range(3):
        power = length_bytes >> 8 * digit & 0xFF
        if power:
            difference = _times(difference, _inverse_powers(digit)[power])
    assert length_bytes < 1 << 24
    return start ^ difference


def crc32_backwards(crc: int, data: bytes) -> int:
    """Return the 4 bytes, as an integer, after which `data` must follow for the CRC-32 of both to be `crc`."""
    register = crc ^ 0xFFFF_FFFF
    for byte in reversed(bytes(4) + data):
        # The top byte of the register names the table's entry that the step forwards added.
        index = _CRC32_INDEX[register >> 24]
        register = (register ^ _CRC32_TABLE[index]) << 8 & 0xFFFF_FFFF | index ^ byte
    return register ^ 0xFFFF_FFFF


@cache
def _inverse_powers(digit: int) -> list[int]:
    """x ** (-8 * n * 256 ** digit) for n from 0 to 255, modulo the polynomial of CRC-32."""
    base = _ONE
    if digit:
        base = _times(_inverse_powers(digit - 1)[-1], _inverse_powers(digit - 1)[1])
    else:
        for _ in range(8):  # divided by x
            base = (base ^ _POLYNOMIAL) << 1 | 1 if base & _ONE else base << 1
    powers = [_ONE]
    for _ in range(255):
        powers.append(_times(powers[-1], base))
    return powers


def _times(first: int, second: int) -> int:
    """Product of two polynomials, the highest bit of each being the coefficient of 1, modulo that of CRC-32."""
    product = 0
    while first:
        if first & _ONE:
            product ^= second
        first = first << 1 & 0xFFFF_FFFF
        second = second >> 1 ^ (_POLYNOMIAL if second & 1 else 0)
    return product


def _crc32_step(byte: int) -> int:
    """Eight shifts of the register by the polynomial 0x04C11DB7."""
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


def _crc8_step(byte: int) -> int:
    """Eight shifts of the register by the polynomial 0x2F."""
    for _ in range(8):
        byte = (byte << 1 ^ (0x2F if byte & 0x80 else 0)) & 0xFF
    return byte


_CRC8_TABLE = [_crc8_step(byte) for byte in range(256)]
_CRC8_BYTES = {entry: byte for byte, entry in enumerate(_CRC8_TABLE)}
_CRC32_TABLE = [_crc32_step(byte) for byte in range(256)]
_CRC32_INDEX = {entry >> 24: byte for byte, entry in enumerate(_CRC32_TABLE)}
