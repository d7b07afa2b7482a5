"""Records of a .vqc file: the guarded head in front of each, its checksum behind, and what the checksum tells."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from vqcodec.bitstream import spec
from vqcodec.bitstream.binary import (
    ByteSource,
    bytes_to_uint,
    crc8,
    crc8_step_back,
    crc32,
    crc32_backwards,
    uint_to_bytes,
)
from vqcodec.bitstream.header import Header
from vqcodec.errors import BitstreamError, VersionError

_POSITION_BYTES = 8
LONGEST_HEAD_BYTES = spec.HEAD_BYTES + spec.SIZE_BYTES


@dataclass(frozen=True)
class Head:
    """Tag and value of a record. `value`: frames of a chunk, body bytes of a skippable record.

    `size`: body bytes of a chunk that is not of fixed width; no other record stores it.
    """

    tag: int
    value: int
    size: int | None = None

    @property
    def is_skippable(self) -> bool:
        """Whether a reader that does not know the tag may pass over the record."""
        return self.tag & 0x80 != 0

    @property
    def is_last(self) -> bool:
        """Whether this chunk ends a file of unknown length."""
        return not self.is_skippable and self.tag & spec.TAG_LAST_BIT != 0

    @property
    def coding(self) -> int:
        """How the codes of this chunk are stored, `spec.CODING_...`."""
        return self.tag >> 1 & 31

    @property
    def frames(self) -> int:
        """Frames of this chunk; 0 of a skippable record."""
        return 0 if self.is_skippable else self.value

    @property
    def head_bytes(self) -> int:
        """Bytes of the head itself."""
        return _head_bytes(self.tag)

    def body_bytes(self, header: Header) -> int:
        """Count the bytes between head and checksum.

        Raises VersionError for a tag of a later version, BitstreamError for a chunk of impossible size.
        """
        if self.is_skippable:
            return self.value
        if not self.tag & spec.TAG_CHUNK or self.coding not in spec.CODINGS:
            raise VersionError(f"the .vqc has a record 0x{self.tag:02x}: a later release wrote it")
        fixed = header.payload_bytes(self.value)
        if fixed > spec.MAX_PAYLOAD_BYTES:
            raise BitstreamError(f"a chunk of {fixed} bytes is over {spec.MAX_PAYLOAD_BYTES}")
        if self.value == 0 and not (self.is_last and self.size is None):
            raise BitstreamError("a chunk has no frames")
        end = spec.MAX_SAMPLES_BYTES if self.is_last else 0
        if self.size is None:
            return fixed + end
        most = fixed + spec.MAX_VARINT_BYTES * header.num_codebooks
        if self.coding == spec.CODING_DEPTHS:
            most = header.varied_bytes(self.value)
        if not end <= self.size <= most + end:
            raise BitstreamError(f"a chunk of {self.value} frames in {self.size} bytes cannot be")
        return self.size

    def to_bytes(self) -> bytes:
        """Return the 4 or 7 bytes of the head."""
        start = bytes([self.tag]) + uint_to_bytes(self.value, 2)
        if self.size is not None:
            start += uint_to_bytes(self.size, spec.SIZE_BYTES)
        return start + bytes([crc8(start)])


def chunk_head(coding: int, frames: int, body_bytes: int, *, is_last: bool) -> Head:
    """Return the head of a chunk."""
    tag = spec.TAG_CHUNK | coding << 1 | (spec.TAG_LAST_BIT if is_last else 0)
    return Head(tag, frames, None if coding == spec.CODING_FIXED else body_bytes)


def read_head_bytes(source: ByteSource) -> bytes:
    """Return the bytes of the head at the current position, fewer only at the end of the file."""
    data = source.read(1)
    return data + source.read(_head_bytes(data[0]) - 1) if data else b""


def head_from_bytes(data: bytes) -> Head | None:
    """Return the head at the start of `data`; None if its checksum fails or a byte is missing."""
    length = _head_bytes(data[0]) if data else spec.HEAD_BYTES
    if len(data) < length or crc8(data[: length - 1]) != data[length - 1]:
        return None
    size = bytes_to_uint(data[3 : length - 1]) if length > spec.HEAD_BYTES else None
    return Head(tag=data[0], value=bytes_to_uint(data[1:3]), size=size)


def repaired_heads(data: bytes) -> Iterator[Head]:
    """Yield every head that differs in exactly one byte from what 4 or 7 damaged bytes begin with: at most eleven."""
    for length in (spec.HEAD_BYTES, LONGEST_HEAD_BYTES):
        if len(data) < length:
            return
        difference = crc8(data[: length - 1]) ^ data[length - 1]
        for position in range(length - 1, -1, -1):
            # The one change of this byte that mends the checksum: each byte further back is a step of the CRC more.
            candidate = data[:position] + bytes([data[position] ^ difference]) + data[position + 1 : length]
            head = head_from_bytes(candidate)
            if head is not None and head.head_bytes == length:
                yield head
            difference = crc8_step_back(difference)


def find_chunks(data: bytes) -> Iterator[tuple[int, Head]]:
    """Yield the places in `data` that look like the head of a chunk, with that head."""
    for match in re.finditer(rb"[\x40-\x45]", data):
        head = head_from_bytes(data[match.start() : match.start() + LONGEST_HEAD_BYTES])
        if head is not None:
            yield match.start(), head


def checksum(head: Head, body: bytes, *, position: int) -> bytes:
    """Return the CRC-32 of a record that stands after `position` frames, as in the file."""
    checked = uint_to_bytes(position, _POSITION_BYTES) + head.to_bytes() + body
    return uint_to_bytes(crc32(checked), spec.CRC_BYTES)


def position_of(crc_of_position: int, *, near: int) -> int:
    """Return the position whose 8 bytes have this CRC-32, below the next multiple of 2 ** 32 after `near`.

    A CRC of 32 bits takes each value for one such position, so this says where a record belongs if it is whole.
    """
    low = crc32_backwards(crc_of_position, uint_to_bytes(near >> 32, _POSITION_BYTES - 4))
    return near >> 32 << 32 | low


def _head_bytes(tag: int) -> int:
    """Chunks of any coding but the fixed-width one store their size."""
    sized = tag & 0x80 == 0 and tag & spec.TAG_CHUNK and tag >> 1 & 31
    return LONGEST_HEAD_BYTES if sized else spec.HEAD_BYTES
