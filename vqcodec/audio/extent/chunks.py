"""WAV and AIFF: chunks, each with a name and a length."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from vqcodec.audio.extent.claims import cut_fault, is_unknown, size_of, stray_fault
from vqcodec.audio.extent.splice import MOST_PREFIX_BYTES, splice
from vqcodec.frames import ceil_div


def whole_wave(file: BinaryIO) -> BinaryIO:
    """Make of a WAV one that libsndfile reads to its end; `file` itself, where it would."""
    wave = _Wave(file)
    length = wave.true_length(file)
    if length == wave.length:
        return file
    front = wave.front
    parts = []
    for name, start, size in wave.chunks:
        file.seek(start)
        parts.append(name + struct.pack(f"{wave.order}I", size) + file.read(size + size % 2))
    copied = b"".join(parts)
    if length + front + 28 < 0xFFFFFFFF:
        sizes = (struct.pack(f"{wave.order}I", count) for count in (4 + front + 8 + length, length))
        head = wave.form.replace(b"RF64", b"RIFF") + next(sizes) + b"WAVE" + copied + b"data" + next(sizes)
    else:
        unknown = b"\xff" * 4
        sizes64 = struct.pack("<4sIQQQI", b"ds64", 28, 4 + 36 + front + 8 + length, length, 0, 0)
        head = b"RF64" + unknown + b"WAVE" + sizes64 + copied + b"data" + unknown
    return splice(head, file, wave.start, length)


def find_wave_fault(file: BinaryIO) -> str | None:
    """Tell what is wrong with the length of a WAV; None: nothing."""
    wave = _Wave(file)
    if not wave.start:
        return None
    length = wave.true_length(file)
    if length > wave.present and not is_unknown(length):
        return cut_fault(length, wave.present)
    return None if length != wave.length else _after(file, wave.start + length + length % 2, wave.order)


def find_aiff_fault(file: BinaryIO) -> str | None:
    """Tell what is wrong with the length of an AIFF; None: nothing."""
    size, claimed = size_of(file), 0
    for name, start, length in chunks(file, 12, ">"):
        if name == b"COMM":
            file.seek(start)
            channels, frames, bits = struct.unpack(">HIH", file.read(8).ljust(8, b"\0"))
            kind = file.read(14)[10:] if length > 18 else b"NONE"
            claimed = channels * frames * ceil_div(bits, 8) if kind in (b"NONE", b"sowt", b"twos") else 0
        if name == b"SSND" and start + length > size:
            return cut_fault(length, size - start)
        if name == b"SSND":
            file.seek(start)
            present = length - 8 - int.from_bytes(file.read(4), "big")  # behind an offset that hardly anyone uses
            if claimed > present:
                return cut_fault(claimed, max(0, present))
        if start + length >= size:
            return None
        if name == b"SSND":
            return _after(file, start + length + length % 2, ">")
    return None


class _Wave:
    """Where the sound of a WAV lies: `start`, and `length` as its header claims; `present` bytes are there."""

    def __init__(self, file: BinaryIO) -> None:
        file.seek(0)
        self.form = file.read(4)
        self.order = ">" if self.form == b"RIFX" else "<"
        self.start = self.length = self.present = 0
        self.chunks: list[tuple[bytes, int, int]] = []  # those in front of the sound
        wide = None
        for name, start, length in chunks(file, 12, self.order):
            if name == b"ds64" and self.form == b"RF64":
                file.seek(start + 8)
                wide = int.from_bytes(file.read(8), "little")
            elif name == b"data":
                self.start, self.length = start, length
                break
            else:
                self.chunks.append((name, start, length))
        if wide is not None and self.length == 0xFFFFFFFF:
            self.length = wide
        self.present = max(0, size_of(file) - self.start)
        self.front = sum(8 + size + size % 2 for _, _, size in self.chunks)

    @property
    def can_be_longer(self) -> bool:
        """Whether a header can be made that tells another length: RF64 has one order of bytes."""
        is_large = self.present + self.front + 64 > 0xFFFFFFFF
        return self.start > 0 and self.front <= MOST_PREFIX_BYTES and not (is_large and self.order == ">")

    def true_length(self, file: BinaryIO) -> int:
        """Count the bytes of sound: as claimed, or to the end where the claim is none, or has wrapped round."""
        if not self.can_be_longer:
            return self.length
        if self.length > self.present:
            return self.present if is_unknown(self.length) else self.length
        end = _end_of_chunks(file, self.start + self.length + self.length % 2, self.order)
        if end >= size_of(file):
            return self.length
        if self.length == 0:
            return self.present
        return self.length if self.form == b"RF64" else self.length + (self.present - self.length >> 32 << 32)


def chunks(file: BinaryIO, position: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, first byte and claimed length of each chunk from `position` on, up to what has no printable name."""
    while True:
        file.seek(position)
        head = file.read(8)
        if len(head) < 8 or not all(0x20 <= byte < 0x7F for byte in head[:4]):
            return
        name, length = struct.unpack(f"{order}4sI", head)
        yield name, position + 8, length
        position += 8 + length + length % 2


def _end_of_chunks(file: BinaryIO, position: int, order: str) -> int:
    """Where whole chunks from `position` on end: the end of the file, if nothing else follows them."""
    size = size_of(file)
    for _, start, length in chunks(file, position, order):
        if start + length > size:
            break
        position = min(size, start + length + length % 2)
    return position


def _after(file: BinaryIO, position: int, order: str) -> str | None:
    """What is wrong with what follows the sound: another file, or bytes that are no chunks."""
    for name, start, _ in chunks(file, position, order):
        if name in (b"RIFF", b"RIFX", b"RF64", b"FORM"):
            return f"has another file joined to it at byte {start - 8}, which would be left out"
    end = _end_of_chunks(file, position, order)
    return stray_fault(file, end)
