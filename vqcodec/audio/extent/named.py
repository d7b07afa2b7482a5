"""Formats whose header names where the sound ends: AU, NIST SPHERE, W64, CAF, 8SVX, Creative Voice and Psion WVE.

libsndfile reads most of them on to the end of the file, and takes what lies there for sound.
"""

import math
import re
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

from vqcodec.audio.extent.chunks import chunks
from vqcodec.audio.extent.claims import cut_fault, is_unknown, size_of, stray_fault
from vqcodec.audio.extent.splice import MOST_PREFIX_BYTES, splice

Sound = tuple[int, int]
"""The first byte of the sound, and how many there are by the header."""

_MOST_SPHERE_BYTES = 1024
_W64_HEAD_BYTES, _W64_CHUNK_BYTES = 40, 24
_W64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_W64_NAMES = bytes.fromhex("f3acd3118cd100c04f8edb8a")
"""What follows the four letters in the names of all chunks but the first."""


def kind_of(head: bytes) -> str | None:
    """Tell which of these formats a file is that begins with `head`, of 16 bytes; None: none."""
    if head[:4] == b"FORM" and head[8:12] in (b"8SVX", b"16SV"):
        return "svx"
    return next((kind for kind, (magic, _) in _FORMATS.items() if magic and head.startswith(magic)), None)


def whole_named(file: BinaryIO, kind: str) -> BinaryIO:
    """Make of `file` one that ends with its sound; `file` itself, where it does, or libsndfile heeds the header."""
    if kind == "caf":
        return _with_length(file)
    sound = _FORMATS[kind][1](file)
    if sound is None or sum(sound) >= size_of(file):
        return file
    return splice(b"", file, 0, sum(sound))


def find_named_fault(file: BinaryIO, kind: str) -> str | None:
    """Tell what is wrong with the length of `file`: it is cut, or goes on behind its sound; None: nothing."""
    sound = _FORMATS[kind][1](file)
    if sound is None:
        return None
    start, length = sound
    if fault := cut_fault(length, max(0, size_of(file) - start)):
        return fault
    file.seek(0)
    magic = file.read(4)
    end = _end_of_chunks(file, start + length, kind)
    for position in (start + length, end):
        file.seek(position)
        if file.read(4) == magic:
            return f"has another file joined to it at byte {position}, which would be left out"
    return stray_fault(file, end)


def _au(file: BinaryIO) -> Sound | None:
    file.seek(4)
    start, length = struct.unpack(">II", file.read(8).ljust(8, b"\0"))
    return None if is_unknown(length) else (start, length)


def _sphere(file: BinaryIO) -> Sound | None:
    """A header of lines such as `sample_count -i 16000`."""
    file.seek(0)
    head = file.read(_MOST_SPHERE_BYTES)
    numbers = dict(re.findall(rb"^(\w+) -i (\d{1,12})$", head, re.MULTILINE))
    sizes = [int(numbers.get(name, 1)) for name in (b"sample_count", b"channel_count", b"sample_n_bytes")]
    if b"sample_count" not in numbers or (b"sample_coding -s" in head and b"shorten" in head):
        return None
    header_size = head[8:16].strip()
    return int(header_size) if header_size.isdigit() else _MOST_SPHERE_BYTES, math.prod(sizes)


def _svx(file: BinaryIO) -> Sound | None:
    return next(((start, length) for name, start, length in chunks(file, 12, ">") if name == b"BODY"), None)


def _w64(file: BinaryIO) -> Sound | None:
    found = ((start, length) for name, start, length in _w64_chunks(file, _W64_HEAD_BYTES) if name == b"data")
    return next((sound for sound in found if 0 < sound[1] < 1 << 62), None)


def _caf(file: BinaryIO) -> Sound | None:
    """The length of the last chunk may be -1: up to the end."""
    found = ((start, length) for name, start, length in _caf_chunks(file, 8) if name == b"data")
    return next((sound for sound in found if sound[1] >= 0), None)


def _with_length(file: BinaryIO) -> BinaryIO:
    """Make of a CAF that leaves the length of its sound open, which libsndfile refuses, one that tells it."""
    start = next((start for name, start, length in _caf_chunks(file, 8) if name == b"data" and length == -1), None)
    if start is None or start > MOST_PREFIX_BYTES:
        return file
    length = size_of(file) - start
    file.seek(0)
    return splice(file.read(start - 8) + length.to_bytes(8, "big"), file, start, length)


def _voc(file: BinaryIO) -> Sound | None:
    """Blocks of a byte for their kind and three for their length; 0 ends the file."""
    file.seek(20)
    start = position = int.from_bytes(file.read(2), "little")
    size = size_of(file)
    while position < size:
        file.seek(position)
        head = file.read(4)
        position += 1 if head[:1] == b"\0" else 4 + int.from_bytes(head[1:], "little")
        if head[:1] == b"\0":
            break
    return start, position - start


def _wve(file: BinaryIO) -> Sound | None:
    file.seek(18)
    return 32, int.from_bytes(file.read(4), "big")


def _w64_chunks(file: BinaryIO, position: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and length of each chunk from `position` on; they begin at multiples of 8."""
    size_bytes = size_of(file)
    while position < size_bytes:  # a claim may be beyond what a file can seek to
        file.seek(position)
        head = file.read(_W64_CHUNK_BYTES)
        size = int.from_bytes(head[16:], "little")
        if len(head) < _W64_CHUNK_BYTES or head[4:16] != _W64_NAMES or size < _W64_CHUNK_BYTES:
            return
        yield head[:4], position + _W64_CHUNK_BYTES, size - _W64_CHUNK_BYTES
        position += size + -size % 8


def _caf_chunks(file: BinaryIO, position: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and length of each chunk from `position` on, up to another file or the end."""
    size_bytes = size_of(file)
    while position < size_bytes:
        file.seek(position)
        head = file.read(12)
        if len(head) < 12 or head[:4] == b"caff" or not all(0x20 <= byte < 0x7F for byte in head[:4]):
            return
        name, length = struct.unpack(">4sq", head)
        yield name, position + 12, length
        if length < 0:
            return
        position += 12 + length


def _end_of_chunks(file: BinaryIO, end: int, kind: str) -> int:
    """Where whole chunks behind the sound end, in formats that have such."""
    size = size_of(file)
    if kind == "w64":
        found = [(start, length, -length % 8) for _, start, length in _w64_chunks(file, end + -end % 8)]
        end += -end % 8 if end + -end % 8 <= size else 0
    elif kind == "caf":
        found = [(start, length, 0) for _, start, length in _caf_chunks(file, end)]
    else:
        return end + end % 2 if kind == "svx" and end < size else end
    for start, length, padding in found:
        if length < 0 or start + length > size:
            break
        end = min(size, start + length + padding)
    return end


_FORMATS: dict[str, tuple[bytes, Callable[[BinaryIO], Sound | None]]] = {
    "au": (b".snd", _au),
    "sphere": (b"NIST", _sphere),
    "svx": (b"", _svx),
    "w64": (_W64_RIFF, _w64),
    "caf": (b"caff", _caf),
    "voc": (b"Creative Voice F", _voc),
    "wve": (b"ALawSoundFile**", _wve),
}
