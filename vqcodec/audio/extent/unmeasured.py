"""Formats whose header tells no length: PAF, PVF and IRCAM, and XI as libsndfile writes it.

What is there is their sound, as that of any file of unknown length, but a cut shows where the last sample is not whole.
"""

import re
import struct
from collections.abc import Callable
from typing import BinaryIO

from vqcodec.audio.extent.claims import cut_fault, size_of, stray_fault

_PAF_START, _IRCAM_START = 2048, 1024
_PAF_SAMPLE_BYTES = {0: 2, 1: 32, 2: 1}
"""By the code of the format; 10 samples of 24 bits are in 32 bytes."""
_MOST_PVF_BYTES = 64
_XI_COUNT, _XI_HEAD_BYTES = 296, 40
"""Where the number of samples is, and the bytes of the head of each, which follow it."""
_XI_MOST_SAMPLES = 16


def find_unmeasured_fault(file: BinaryIO) -> str | None:
    """Tell that `file` is of one of these formats, and cut; None: it is not, or that cannot be known."""
    file.seek(0)
    head = file.read(21)
    found = next((find for magic, find in _FAULTS.items() if head.startswith(magic)), None)
    return None if found is None else found(file)


def _paf(file: BinaryIO) -> str | None:
    file.seek(0)
    head = file.read(24)
    order = ">" if head[:4] == b" paf" else "<"
    code, channels = struct.unpack(f"{order}II", head[16:].ljust(8, b"\0"))
    return _part_fault(file, _PAF_START, channels * _PAF_SAMPLE_BYTES.get(code, 0))


def _pvf(file: BinaryIO) -> str | None:
    file.seek(0)
    head = re.match(rb"PVF1\n(\d{1,9}) \d{1,9} (\d{1,9})\n", file.read(_MOST_PVF_BYTES))
    return None if head is None else _part_fault(file, head.end(), int(head[1]) * (int(head[2]) // 8))


def _ircam(file: BinaryIO) -> str | None:
    """Machines wrote it in their own order of bytes, which the number of channels gives away."""
    file.seek(8)
    fields = file.read(8).ljust(8, b"\0")
    channels, encoding = min(struct.unpack("<II", fields), struct.unpack(">II", fields))
    return _part_fault(file, _IRCAM_START, channels * (encoding & 0xFFFF))  # whose lower half are bytes


def _xi(file: BinaryIO) -> str | None:
    """An instrument of samples, each of which names its bytes; libsndfile writes 0, and reads all as one sound."""
    file.seek(_XI_COUNT)
    count = int.from_bytes(file.read(2), "little")
    heads = file.read(_XI_HEAD_BYTES * count)
    if not 0 < count <= _XI_MOST_SAMPLES or len(heads) < _XI_HEAD_BYTES * count:
        return None  # which libsndfile refuses
    if count > 1:
        return f"has {count} samples of an instrument, which would be read as one sound"
    start, length = file.tell(), int.from_bytes(heads[:4], "little")
    if length == 0:
        return _part_fault(file, start, 2 if heads[14] & 0x10 else 1)
    return cut_fault(length, max(0, size_of(file) - start)) or stray_fault(file, start + length)


def _part_fault(file: BinaryIO, start: int, frame_bytes: int) -> str | None:
    """What is wrong where the sound from `start` on is no number of whole samples of all channels."""
    rest = max(0, size_of(file) - start) % frame_bytes if frame_bytes else 0
    return f"is cut: its last sample has {rest} of {frame_bytes} bytes" if rest else None


_FAULTS: dict[bytes, Callable[[BinaryIO], str | None]] = {
    b" paf": _paf,
    b"fap ": _paf,
    b"PVF1\n": _pvf,
    **{b"\x64\xa3" + bytes([machine, 0]): _ircam for machine in (1, 2, 3, 4)},
    **{bytes([0, machine]) + b"\xa3\x64": _ircam for machine in (1, 2, 3, 4)},
    b"Extended Instrument: ": _xi,
}
