"""Bytes of audio in coded files: container, headers and tags are left out. Of files that their own encoder wrote."""

from collections.abc import Iterator


def ogg_payload_bytes(data: bytes) -> int:
    """Count those of Ogg Opus (RFC 7845) and Speex: the packets after the two that hold the header and the comments."""
    packets = list(_packet_bytes(data))
    return sum(packets[2:])


def flac_payload_bytes(data: bytes) -> int:
    """Count those of FLAC (RFC 9639): all after the metadata blocks."""
    position, is_last = 4, False
    while not is_last:
        is_last = data[position] >= 0x80
        position += 4 + int.from_bytes(data[position + 1 : position + 4])
    return len(data) - position


def lc3_payload_bytes(data: bytes) -> int:
    """Count those of the files of elc3: a header that tells its length, then frames, each after its size in 16 bits."""
    position = int.from_bytes(data[2:4], "little")
    payload = 0
    while position < len(data):
        size = int.from_bytes(data[position : position + 2], "little")
        payload += size
        position += 2 + size
    return payload


def codec2_payload_bytes(data: bytes) -> int:
    """Count those of the files of c2enc whose name ends in .c2: all after 7 bytes of header."""
    return len(data) - 7


def _packet_bytes(data: bytes) -> Iterator[int]:
    """Sizes of the packets of an Ogg file (RFC 3533, section 6): a segment under 255 bytes ends one."""
    position = size = 0
    while position < len(data):
        count = data[position + 26]
        lacing = data[position + 27 : position + 27 + count]
        for segment in lacing:
            size += segment
            if segment < 255:
                yield size
                size = 0
        position += 27 + count + sum(lacing)
