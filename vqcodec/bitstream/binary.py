"""Bytes of file objects that may return fewer than asked, and the three checksums of .vqc."""

import binascii
import io
import zlib
from typing import IO

from vqcodec.errors import BitstreamError

# A claimed length costs memory only as its bytes arrive.
READ_BLOCK_BYTES = 1 << 16


class ByteSource:
    """Bytes of a file object from its current position on: exact reads, skips, and bytes given back.

    Text files and non-blocking files without data raise BitstreamError on reading.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._returned = b""
        self._moved = False
        self._held = bytearray()
        self._held_at = 0
        self.seekable = file.seekable()
        self._start = file.tell() if self.seekable else 0
        self._end = file.seek(0, io.SEEK_END) if self.seekable else 0
        self.length_bytes = self._end - self._start if self.seekable else None
        if self.seekable:
            file.seek(self._start)

    def hold(self) -> None:
        """Remember the current position, to which `back` returns."""
        if self.seekable:
            self._held_at = self._file.tell() - len(self._returned)
        self._held = bytearray()

    def back(self, length_bytes: int) -> None:
        """Return to `length_bytes` bytes after the last `hold`."""
        if self.seekable:
            self._returned = b""
            self._file.seek(self._held_at + length_bytes)
        else:
            self._returned = bytes(self._held[length_bytes:]) + self._returned
        self._held = bytearray()

    def read(self, length_bytes: int) -> bytes:
        """Read `length_bytes` bytes, fewer only at the end of the file."""
        self._moved = True
        blocks = [self._returned[:length_bytes]]
        self._returned = self._returned[length_bytes:]
        missing = length_bytes - len(blocks[0])
        while missing > 0:
            block = self._file.read(min(missing, READ_BLOCK_BYTES))
            if not isinstance(block, bytes):
                raise BitstreamError(f"a .vqc is read as bytes, this file object gave {type(block).__name__}")
            if not block:
                break
            blocks.append(block)
            missing -= len(block)
        data = b"".join(blocks)
        if not self.seekable:
            self._held += data
        return data

    def read_ahead(self, least_bytes: int) -> bytes:
        """`least_bytes` bytes, and a block more where that waits for nothing; fewer only at the end of the file."""
        return self.read(least_bytes + READ_BLOCK_BYTES if self.seekable else least_bytes)

    def give_back(self, data: bytes) -> None:
        """Let the next reads start with `data`."""
        self._returned = data + self._returned
        del self._held[max(0, len(self._held) - len(data)) :]

    def skip(self, length_bytes: int) -> bool:
        """Pass over `length_bytes` bytes without reading them if the file can seek; False if it ends before."""
        if not self.seekable:
            return len(self.read(length_bytes)) == length_bytes
        self._moved = True
        ahead = length_bytes - len(self._returned[:length_bytes])
        self._returned = self._returned[length_bytes:]
        # A seek beyond the end would succeed and hide that the file is cut.
        if ahead > self._end - self._file.tell():
            return False
        self._file.seek(ahead, io.SEEK_CUR)
        return True

    def mark(self) -> None:
        """Make the current position the one to which `rewind` returns."""
        self._moved = False
        if self.seekable:
            self._start = self._file.tell() - len(self._returned)

    def rewind(self) -> None:
        """Return to the mark. Raises ValueError if bytes were read since and the file cannot seek."""
        if self.seekable:
            self._returned = b""
            self._file.seek(self._start)
        elif self._moved:
            raise ValueError("this .vqc comes from a stream that cannot seek: it can be read only once")


def uint_to_bytes(value: int, length_bytes: int) -> bytes:
    """Little-endian bytes of an unsigned integer."""
    return value.to_bytes(length_bytes, "little")


def bytes_to_uint(data: bytes) -> int:
    """Unsigned integer of little-endian bytes; 0 of none."""
    return int.from_bytes(data, "little")


def crc8(data: bytes) -> int:
    """CRC-8/AUTOSAR: Hamming distance 4 up to 119 bits."""
    crc = 0xFF
    for byte in data:
        crc = _CRC8_TABLE[crc ^ byte]
    return crc ^ 0xFF


def crc16(data: bytes) -> int:
    """CRC-16/IBM-3740."""
    return binascii.crc_hqx(data, 0xFFFF)


def crc32(data: bytes) -> int:
    """CRC-32/ISO-HDLC, the one of zlib."""
    return zlib.crc32(data)


def crc32_backwards(crc: int, data: bytes) -> int:
    """The 4 bytes, as an integer, after which `data` must follow for the CRC-32 of both to be `crc`."""
    register = crc ^ 0xFFFF_FFFF
    for byte in reversed(bytes(4) + data):
        # The top byte of the register names the table's entry that the step forwards added.
        index = _CRC32_INDEX[register >> 24]
        register = (register ^ _CRC32_TABLE[index]) << 8 & 0xFFFF_FFFF | index ^ byte
    return register ^ 0xFFFF_FFFF


def _crc32_step(byte: int) -> int:
    """Eight shifts of the register by the polynomial 0x04C11DB7, bits reversed."""
    for _ in range(8):
        byte = byte >> 1 ^ (0xEDB8_8320 if byte & 1 else 0)
    return byte


def _crc8_step(byte: int) -> int:
    """Eight shifts of the register by the polynomial 0x2F."""
    for _ in range(8):
        byte = (byte << 1 ^ (0x2F if byte & 0x80 else 0)) & 0xFF
    return byte


_CRC8_TABLE = [_crc8_step(byte) for byte in range(256)]
_CRC32_TABLE = [_crc32_step(byte) for byte in range(256)]
_CRC32_INDEX = {entry >> 24: byte for byte, entry in enumerate(_CRC32_TABLE)}
