"""Frames of FLAC (RFC 9639): what lies behind the samples that the header of a file counts.

libFLAC stops at that number, whatever follows.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO

_TAIL_BYTES = 1 << 20
"""How far from the end frames are looked for; few are so long."""
_HEAD_BYTES = 16
_SIZES = {1: 192, **{code: 576 << code - 2 for code in range(2, 6)}, **{code: 256 << code - 8 for code in range(8, 16)}}
"""Samples of a frame, by the code in its head; 6 and 7 stand for a number of one and two bytes behind."""


@dataclass(frozen=True)
class _Frame:
    """The head of a frame: where it is, the bytes that all frames of a file share, and the samples that it holds."""

    position: int
    kind: bytes
    first_sample: int
    end_sample: int


def find_flac_fault(file: BinaryIO) -> str | None:
    """Tell what lies behind the samples of which the header of `file` speaks: more of them, or another file."""
    file.seek(0)
    try:
        data: mmap.mmap | bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (AttributeError, OSError, ValueError):  # in memory, or no file of the system
        data = file.read()
    start = data.find(b"fLaC")
    joined = [at for block in (b"\0", b"\x80") if (at := data.find(b"fLaC" + block + b"\0\0\x22", start + 4)) > 0]
    if joined:
        return f"has another file joined to it at byte {min(joined)}, which would be left out"
    head = data[start + 8 : start + 42]
    said = int.from_bytes(head[13:18], "big") & (1 << 36) - 1
    more = _frame_behind(data, _first_frame(data, start), said, int.from_bytes(head[:2], "big")) if said else None
    if more is not None:
        return f"goes on to sample {more.end_sample}, where its header says {said}; the others would be left out"
    return None


def _frame_behind(data: mmap.mmap | bytes, first: int, said: int, fixed_size: int) -> _Frame | None:
    """A whole frame near the end that holds a sample behind the first `said`."""
    first_frame = _parse(data[first : first + _HEAD_BYTES], first, fixed_size)
    if first_frame is None:
        return None
    frames = [
        frame
        for frame in _frames(data, max(first, len(data) - _TAIL_BYTES), first_frame.kind[:2], fixed_size)
        if frame.kind == first_frame.kind
    ]
    ends = [frame.position for frame in frames] + [len(data)]
    for index, frame in enumerate(frames):
        is_behind = frame.end_sample > said
        if is_behind and any(_is_frame(data[frame.position : end]) for end in ends[index + 1 : index + 5]):
            return frame
    return None


def _first_frame(data: mmap.mmap | bytes, start: int) -> int:
    """Where the blocks of metadata end."""
    position, is_last = start + 4, False
    while not is_last and position + 4 <= len(data):
        is_last = data[position] >= 0x80
        position += 4 + int.from_bytes(data[position + 1 : position + 4], "big")
    return position


def _frames(data: mmap.mmap | bytes, position: int, sync: bytes, fixed_size: int) -> Iterator[_Frame]:
    """What looks like a frame's head, with a right checksum, from `position` on."""
    while (position := data.find(sync, position)) >= 0:
        frame = _parse(data[position : position + _HEAD_BYTES], position, fixed_size)
        if frame is not None:
            yield frame
        position += 1


def _parse(head: bytes, position: int, fixed_size: int) -> _Frame | None:
    """The frame whose head begins with these bytes. `fixed_size`: samples of each, where frames are numbered."""
    if len(head) < _HEAD_BYTES or head[0] != 0xFF or head[1] not in (0xF8, 0xF9):
        return None
    coded_number, offset = _coded_number(head)
    code, rate = head[2] >> 4, head[2] & 15
    size_bytes = {6: 1, 7: 2}.get(code, 0)
    size = int.from_bytes(head[offset : offset + size_bytes], "big") + 1 if size_bytes else _SIZES.get(code, 0)
    end = offset + size_bytes + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if not offset or not size or end >= len(head) or _crc(head[:end], 8, 0x07) != head[end]:
        return None
    first_sample = coded_number if head[1] == 0xF9 else coded_number * fixed_size
    kind = head[:2] + bytes([rate, head[3] & 0x0E])  # channels may be coded in other ways from frame to frame
    return _Frame(position, kind, first_sample, first_sample + size)


def _coded_number(head: bytes) -> tuple[int, int]:
    """The number in a frame's head, up to 36 bits coded as UTF-8 codes characters, and where it ends; 0: none."""
    ones = 8 - (head[4] ^ 0xFF).bit_length()
    value = head[4] & 0x7F >> ones
    rest = head[5 : 4 + max(1, ones)]
    if ones in (1, 8) or any(byte >> 6 != 2 for byte in rest):
        return 0, 0
    for byte in rest:
        value = value << 6 | byte & 63
    return value, 5 + len(rest)


def _is_frame(data: bytes) -> bool:
    """Whether a frame's last two bytes are its checksum."""
    return len(data) > 2 and _crc(data[:-2], 16, 0x8005) == int.from_bytes(data[-2:], "big")


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    """A CRC that begins with 0 and reverses nothing."""
    table, register, mask = _crc_table(bits, polynomial), 0, (1 << bits) - 1
    for byte in data:
        register = (register << 8 ^ table[register >> bits - 8 ^ byte]) & mask
    return register


@cache
def _crc_table(bits: int, polynomial: int) -> list[int]:
    table = [byte << bits - 8 for byte in range(256)]
    for _ in range(8):
        table = [value << 1 ^ (polynomial if value >> bits - 1 else 0) for value in table]
        table = [value & (1 << bits) - 1 for value in table]
    return table
