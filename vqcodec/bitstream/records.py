"""Records of a .vqc file: the guarded head in front of each, its checksum behind, and the repair of a head."""

from collections.abc import Iterator
from dataclasses import dataclass

from vqcodec.bitstream import spec
from vqcodec.bitstream.binary import bytes_to_uint, crc8, crc32, uint_to_bytes
from vqcodec.bitstream.header import Header
from vqcodec.errors import BitstreamError, VersionError

_POSITION_BYTES = 8


@dataclass(frozen=True)
class Head:
    """Tag and value of a record. `value`: frames of a chunk, body bytes of a skippable record."""

    tag: int
    value: int

    @property
    def is_skippable(self) -> bool:
        """Whether a reader that does not know the tag may pass over the record."""
        return self.tag & 0x80 != 0

    @property
    def is_last(self) -> bool:
        """Whether this chunk ends a file of unknown length."""
        return self.tag == spec.TAG_LAST_CHUNK

    def body_bytes(self, header: Header) -> int:
        """Bytes between head and checksum.

        Raises VersionError for a tag of a later version, BitstreamError for a chunk of impossible size.
        """
        if self.is_skippable:
            return self.value
        if self.tag not in (spec.TAG_CHUNK, spec.TAG_LAST_CHUNK):
            raise VersionError(f"the .vqc has a record 0x{self.tag:02x}: a later release wrote it")
        payload_bytes = header.payload_bytes(self.value)
        if payload_bytes > spec.MAX_PAYLOAD_BYTES:
            raise BitstreamError(f"a chunk of {payload_bytes} bytes is over {spec.MAX_PAYLOAD_BYTES}")
        if self.is_last:
            return payload_bytes + spec.MAX_SAMPLES_BYTES
        if self.value == 0:
            raise BitstreamError("a chunk has no frames")
        return payload_bytes

    def to_bytes(self) -> bytes:
        """The four bytes in the file."""
        start = bytes([self.tag]) + uint_to_bytes(self.value, 2)
        return start + bytes([crc8(start)])


def head_from_bytes(data: bytes) -> Head | None:
    """The head in four bytes; None if its checksum fails or a byte is missing."""
    if len(data) < spec.HEAD_BYTES or crc8(data[:3]) != data[3]:
        return None
    return Head(tag=data[0], value=bytes_to_uint(data[1:3]))


def repaired_heads(data: bytes) -> Iterator[Head]:
    """Every head that differs from the four damaged bytes in exactly one byte: at most four."""
    for place in range(spec.HEAD_BYTES):
        for value in range(256):
            head = head_from_bytes(data[:place] + bytes([value]) + data[place + 1 :])
            if head is not None:
                yield head


def checksum(head: Head, body: bytes, *, position: int) -> bytes:
    """CRC-32 of a record that stands after `position` frames, as in the file."""
    checked = uint_to_bytes(position, _POSITION_BYTES) + head.to_bytes() + body
    return uint_to_bytes(crc32(checked), spec.CRC_BYTES)
