"""How much sound a file holds by its own bytes, where libsndfile would believe a header that is wrong.

`whole` makes such a file one that libsndfile reads to its end; `find_fault` says of a file that it is cut, or holds
more than libsndfile would read. Both look at headers of chunks, pages and frames only.
"""

import io
import math
import re
import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO, Literal

from vqcodec.audio import mpeg
from vqcodec.audio.flac import find_flac_fault
from vqcodec.audio.ogg import find_ogg_fault
from vqcodec.frames import ceil_div

OnTruncated = Literal["refuse", "take"]
"""What becomes of a file that is cut, or goes on where libsndfile stops."""

_MOST_PREFIX_BYTES = 16 << 20
_MOST_STRAY_BYTES = 4096
"""What may lie behind the sound without being anything: padding, tags of other programs."""
_MOST_SPHERE_BYTES = 1024


class _Spliced(io.RawIOBase):
    """`prefix`, then the `length` bytes of `file` from `start` on, as one file that can be read."""

    def __init__(self, prefix: bytes, file: BinaryIO, start: int, length: int) -> None:
        self._prefix, self._file, self._start = prefix, file, start
        self._size = len(prefix) + length
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._position = max(0, offset + {0: 0, 1: self._position, 2: self._size}[whence])
        return self._position

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        count = max(0, min(len(buffer), self._size - self._position))
        data = self._prefix[self._position : self._position + count]
        if len(data) < count:
            self._file.seek(self._start + self._position + len(data) - len(self._prefix))
            data += self._file.read(count - len(data))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def _splice(prefix: bytes, file: BinaryIO, start: int, length: int) -> BinaryIO:
    return io.BufferedReader(_Spliced(prefix, file, start, length))


def whole(file: BinaryIO) -> BinaryIO:
    """Make of `file` one that libsndfile reads to its end, if it would not read `file` itself so.

    That is a WAV whose size is unknown (0, or as large as can be) or has wrapped round at 4 GiB, and an MP3 that does
    not say how long it is, whose length libsndfile guesses from its first frame.
    """
    kind = _kind(file)
    if kind == "wave":
        return _whole_wave(file)
    if kind == "mpeg":
        return _whole_mpeg(file)
    return file


def is_mpeg(file: BinaryIO) -> bool:
    """Tell whether `file` begins as MPEG audio, such as MP3."""
    return _kind(file) == "mpeg"


def find_fault(file: BinaryIO, log: str = "") -> str | None:
    """Tell what is wrong with the length of `file`: it is cut, or goes on where libsndfile stops; None: nothing.

    `log` is what libsndfile notes about formats that are not looked into here. The position in `file` is kept.
    """
    position = file.tell()
    kind = _kind(file)
    try:
        return _FAULTS[kind](file) if kind else _fault_in(log)
    finally:
        file.seek(position)


def _kind(file: BinaryIO) -> str | None:
    start = mpeg.tag_bytes(file)
    file.seek(start)
    head = file.read(12)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:] == b"WAVE":
        return "wave"
    if head[:4] == b"FORM" and head[8:11] == b"AIF":
        return "aiff"
    named = {b"OggS": "ogg", b"fLaC": "flac", b".snd": "au", b"NIST": "sphere"}.get(head[:4])
    if named is None and mpeg.parse_frame(head) is not None:
        return "mpeg"
    return named


def _is_unknown(length: int) -> bool:
    """Whether a size stands for none: programs write such that cannot seek back to write the right one.

    ffmpeg 0xFFFFFFFF, sox 0x7FFFF000, arecord 0x7FFFFFFF, 0x80000000 and the like, less the header or not.
    """
    return length == 0 or 0x7FFF0000 <= length <= 0x80010000 or 0xFFFF0000 <= length <= 0xFFFFFFFF


def _size(file: BinaryIO) -> int:
    return file.seek(0, io.SEEK_END)


def _chunks(file: BinaryIO, position: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and claimed length of each chunk from `position` on; ends at what has no printable name."""
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
    size = _size(file)
    for _, start, length in _chunks(file, position, order):
        if start + length > size:
            break
        position = min(size, start + length + length % 2)
    return position


def _after(file: BinaryIO, position: int, order: str) -> str | None:
    """What is wrong with what follows the sound: another file, or bytes that are no chunks."""
    for name, start, _ in _chunks(file, position, order):
        if name in (b"RIFF", b"RIFX", b"RF64", b"FORM"):
            return f"has another file joined to it at byte {start - 8}, which would be left out"
    end = _end_of_chunks(file, position, order)
    return _stray(file, end)


def _stray(file: BinaryIO, end: int) -> str | None:
    """What is wrong with more than a little behind the `end` of the sound."""
    file.seek(end)
    rest = file.read(_MOST_STRAY_BYTES + 1)
    if len(rest) > _MOST_STRAY_BYTES and any(rest):
        return f"has {_size(file) - end} bytes after the end of its audio that are no part of it, by its header"
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
        for name, start, length in _chunks(file, 12, self.order):
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
        self.present = max(0, _size(file) - self.start)
        self.front = sum(8 + size + size % 2 for _, _, size in self.chunks)

    @property
    def can_be_longer(self) -> bool:
        """Whether a header can be made that tells another length: RF64 has one order of bytes."""
        is_large = self.present + self.front + 64 > 0xFFFFFFFF
        return self.start > 0 and self.front <= _MOST_PREFIX_BYTES and not (is_large and self.order == ">")

    def true_length(self, file: BinaryIO) -> int:
        """Bytes of sound: as claimed, or to the end where the claim is none, or has wrapped round."""
        if not self.can_be_longer:
            return self.length
        if self.length > self.present:
            return self.present if _is_unknown(self.length) else self.length
        end = _end_of_chunks(file, self.start + self.length + self.length % 2, self.order)
        if end >= _size(file):
            return self.length
        if self.length == 0:
            return self.present
        return self.length if self.form == b"RF64" else self.length + (self.present - self.length >> 32 << 32)


def _whole_wave(file: BinaryIO) -> BinaryIO:
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
    return _splice(head, file, wave.start, length)


def _cut(claimed: int, present: int) -> str | None:
    if claimed <= present:
        return None
    return f"is cut: by its header it has {claimed} bytes of audio, of which {present} are there"


def _wave_fault(file: BinaryIO) -> str | None:
    wave = _Wave(file)
    if not wave.start:
        return None
    length = wave.true_length(file)
    if length > wave.present and not _is_unknown(length):
        return _cut(length, wave.present)
    return None if length != wave.length else _after(file, wave.start + length + length % 2, wave.order)


def _aiff_fault(file: BinaryIO) -> str | None:
    size, claimed = _size(file), 0
    for name, start, length in _chunks(file, 12, ">"):
        if name == b"COMM":
            file.seek(start)
            channels, frames, bits = struct.unpack(">HIH", file.read(8).ljust(8, b"\0"))
            kind = file.read(14)[10:] if length > 18 else b"NONE"
            claimed = channels * frames * ceil_div(bits, 8) if kind in (b"NONE", b"sowt", b"twos") else 0
        if name == b"SSND" and start + length > size:
            return _cut(length, size - start)
        if name == b"SSND":
            file.seek(start)
            present = length - 8 - int.from_bytes(file.read(4), "big")  # behind an offset that hardly anyone uses
            if claimed > present:
                return _cut(claimed, max(0, present))
        if start + length >= size:
            return None
        if name == b"SSND":
            return _after(file, start + length + length % 2, ">")
    return None


def _au_fault(file: BinaryIO) -> str | None:
    """A header of AU: its own length, and that of the sound."""
    file.seek(4)
    start, length = struct.unpack(">II", file.read(8).ljust(8, b"\0"))
    present = max(0, _size(file) - start)
    if _is_unknown(length):
        return None
    return _cut(length, present) or _stray(file, start + length)


def _sphere_fault(file: BinaryIO) -> str | None:
    """A header of NIST SPHERE: its own length, and lines such as `sample_count -i 16000`."""
    file.seek(0)
    head = file.read(_MOST_SPHERE_BYTES)
    numbers = dict(re.findall(rb"^(\w+) -i (\d{1,12})$", head, re.MULTILINE))
    sizes = [int(numbers.get(name, 1)) for name in (b"sample_count", b"channel_count", b"sample_n_bytes")]
    if b"sample_count" not in numbers or (b"sample_coding -s" in head and b"shorten" in head):
        return None
    header_size = head[8:16].strip()
    start, length = int(header_size) if header_size.isdigit() else _MOST_SPHERE_BYTES, math.prod(sizes)
    return _cut(length, max(0, _size(file) - start)) or _stray(file, start + length)


def _whole_mpeg(file: BinaryIO) -> BinaryIO:
    begin = mpeg.tag_bytes(file)
    found = mpeg.first_frame(file)
    if found is None or begin > _MOST_PREFIX_BYTES:
        return file
    position, frame, head = found
    count = None if frame.layer != 3 or frame.has_tag(head) else mpeg.count_frames(file)
    if count is None:
        return file
    file.seek(0)
    return _splice(file.read(begin) + mpeg.tag_frame(frame, count.frames), file, position, _size(file) - position)


def _mpeg_fault(file: BinaryIO) -> str | None:
    count = mpeg.count_frames(file)
    if count is None:
        return None
    if count.streams > 1:
        return "has another MP3 joined to it, which would be left out"
    if count.said is None:
        return "is cut: its last frame is not whole" if count.is_cut else None
    if count.frames < count.said - 1 or count.is_cut:
        return f"is cut: by its header it has {count.said} frames, of which {count.frames - count.is_cut} are there"
    if count.frames > count.said + 1:
        return f"has {count.frames} frames where its header says {count.said}; the others would be left out"
    return None


def _fault_in(log: str) -> str | None:
    """What libsndfile found in other formats, such as `Data Size : 64000 (should be 31988)`."""
    for claimed, present in re.findall(r"(\d+) \(?should be (\d+)", log):
        if not _is_unknown(int(claimed)) and (fault := _cut(int(claimed), int(present))):
            return fault
    return None


_FAULTS: dict[str, Callable[[BinaryIO], str | None]] = {
    "wave": _wave_fault,
    "aiff": _aiff_fault,
    "au": _au_fault,
    "sphere": _sphere_fault,
    "ogg": partial(find_ogg_fault, most_stray_bytes=_MOST_STRAY_BYTES),
    "flac": find_flac_fault,
    "mpeg": _mpeg_fault,
}
