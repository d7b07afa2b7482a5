"""Bytes of audio in coded files: container, headers and tags are left out. Of files that their own encoder wrote."""

from collections.abc import Iterator


def ogg_payload_bytes(data: bytes) -> int:
    """Count those of Ogg Opus (RFC 7845) and Speex: the packets after the two that hold the header and the comments."""
    packets = list(_packet_bytes(data))
    return sum(packets[2:])


def flac_payload_bytes(data: bytes) -> int:
    """Count those of FLAC (RFC 9639): all after the metadata blocks."""
    place, is_last = 4, False
    while not is_last:
        is_last = data[place] >= 0x80
        place += 4 + int.from_bytes(data[place + 1 : place + 4])
    return len(data) - place


def lc3_payload_bytes(data: bytes) -> int:
    """Count those of the files of elc3: a header that tells its length, then frames, each after its size in 16 bits."""
    place = int.from_bytes(data[2:4], "little")
    payload = 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 2], "little")
        payload += size
        place += 2 + size
    return payload


def codec2_payload_bytes(data: bytes) -> int:
    """Count those of the files of c2enc whose name ends in .c2: all after 7 bytes of header."""
    return len(data) - 7


def _packet_bytes(data: bytes) -> Iterator[int]:
    """Sizes of the packets of an Ogg file (RFC 3533, section 6): a segment under 255 bytes ends one."""
    place = size = 0
    while place < len(data):
        count = data[place + 26]
        lacing = data[place + 27 : place + 27 + count]
        for segment in lacing:
            size += segment
            if segment < 255:
                yield size
                size = 0
        place += 27 + count + sum(lacing)
