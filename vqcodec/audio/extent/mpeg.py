"""MPEG audio frames (ISO 11172-3, 13818-3 and the 2.5 of many): how many a file has, and how many it says it has."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from vqcodec.audio.extent.claims import size_of
from vqcodec.audio.extent.splice import MOST_PREFIX_BYTES, splice

# By version 1 or not, and layer: kbit/s of the indices 1 to 14.
_LOW = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_KBPS = {
    (True, 1): tuple(range(32, 449, 32)),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): _LOW,
    (False, 3): _LOW,
}
_RATES_HZ = (44100, 48000, 32000)
_SYNC_BYTES = 1 << 16
"""How far the next frame is looked for."""
_ADDED_SAMPLES = 2 * 4095 + 1152
"""A tag of LAME names up to 4095 at either end; a decoder may hold the last frame back."""
_TAG_BYTES = 48
"""Where a tag of counts lies in the first frame, at the most."""


@dataclass(frozen=True)
class Frame:
    """A frame's header: its 4 bytes as a number, its version (1, 2 or 2.5), layer, rate and length."""

    word: int
    version: float
    layer: int
    rate_hz: int
    size_bytes: int

    @property
    def tag_position(self) -> int:
        """Where a tag of counts would begin: behind the side information, which is zero then."""
        is_mono = self.word >> 6 & 3 == 3
        return (
            4 + {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}[self.version == 1, is_mono]
        )

    @property
    def samples(self) -> int:
        """Samples per channel."""
        return {1: 384, 2: 1152, 3: 1152 if self.version == 1 else 576}[self.layer]

    def has_tag(self, head: bytes) -> bool:
        """Tell whether this frame, whose first bytes are `head`, has no sound but a tag of counts."""
        at = self.tag_position
        return self.layer == 3 and head[at : at + 4] in (b"Xing", b"Info") and not any(head[6:at])

    def alike(self, other: "Frame | None") -> bool:
        """Tell whether both can be of one stream."""
        kind = (self.version, self.layer, self.rate_hz)
        return other is not None and kind == (other.version, other.layer, other.rate_hz)


@dataclass(frozen=True)
class Count:
    """What a walk through a file found.

    `said` is the number of frames that its first frame claims (a Xing or Info tag; Xing's own frame is not counted),
    None without it. `is_cut`: the last frame is not whole. `streams`: how many tags of counts there are, at least 1.
    """

    first: Frame
    first_position: int
    frames: int
    said: int | None
    is_cut: bool
    streams: int


def parse_frame(head: bytes) -> Frame | None:
    """Parse the header that `head` begins with; None if it is none, or one of free format."""
    word = int.from_bytes(head[:4], "big")
    version = {0: 2.5, 2: 2, 3: 1}.get(word >> 19 & 3)
    layer, index, rate = 4 - (word >> 17 & 3), word >> 12 & 15, word >> 10 & 3
    if len(head) < 4 or word >> 21 != 0x7FF or version is None or layer == 4 or index in (0, 15) or rate == 3:
        return None
    kbps = _KBPS[version == 1, layer][index - 1]
    rate_hz = int(_RATES_HZ[rate] // {1: 1, 2: 2, 2.5: 4}[version])
    padding = word >> 9 & 1
    if layer == 1:
        return Frame(word, version, layer, rate_hz, (12000 * kbps // rate_hz + padding) * 4)
    eighths = 72 if layer == 3 and version != 1 else 144
    return Frame(word, version, layer, rate_hz, 1000 * eighths * kbps // rate_hz + padding)


def count_frames(file: BinaryIO) -> Count | None:
    """Walk through `file` from header to header; None if it does not begin as MPEG audio."""
    size = file.seek(0, io.SEEK_END)
    found = first_frame(file)
    if found is None:
        return None
    first_position, first, _ = found
    frames = tags = 0
    said: int | None = None
    is_cut = False
    for position, frame, head in _walk(file, first_position, first):
        if frame.has_tag(head):
            tags += 1
            numbers = head[frame.tag_position + 4 :]
            if tags == 1 and frames == 0 and int.from_bytes(numbers[:4], "big") & 1:
                said = int.from_bytes(numbers[4:8], "big")
        else:
            frames += 1
        is_cut = position + frame.size_bytes > size
    return Count(first, first_position, frames, said, is_cut, max(1, tags))


def least_samples(file: BinaryIO) -> int:
    """Tell how many samples `file` holds at least: those of its frames, but for what encoders add at both ends."""
    count = count_frames(file)
    return 0 if count is None else max(0, count.frames * count.first.samples - _ADDED_SAMPLES)


def first_frame(file: BinaryIO) -> tuple[int, Frame, bytes] | None:
    """Find position, header and first bytes of the first frame; None if `file` does not begin as MPEG audio."""
    position = _next_frame(file, tag_bytes(file), None)
    if position is None:
        return None
    file.seek(position)
    head = file.read(_TAG_BYTES)
    frame = parse_frame(head)
    return None if frame is None else (position, frame, head)


def tag_frame(like: Frame, frames: int) -> bytes:
    """Make a frame without sound whose Xing tag says that `frames` follow, for a stream of layer 3 `like` them."""
    for index in range(1, 15):
        word = like.word & ~(0xF << 12 | 1 << 9) | index << 12 | 1 << 16  # no padding, no CRC
        frame = parse_frame(word.to_bytes(4, "big"))
        if frame is not None and frame.size_bytes >= like.tag_position + 16:
            break
    assert frame is not None
    body = (
        word.to_bytes(4, "big").ljust(like.tag_position, b"\0")
        + b"Xing"
        + (1).to_bytes(4, "big")
        + frames.to_bytes(4, "big")
    )
    return body.ljust(frame.size_bytes, b"\0")


def tag_bytes(file: BinaryIO) -> int:
    """Tell the length of the ID3v2 tag that `file` begins with; 0 without one."""
    file.seek(0)
    head = file.read(10)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    a, b, c, d = (byte & 0x7F for byte in head[6:10])
    return 10 + (a << 21 | b << 14 | c << 7 | d)


def _walk(file: BinaryIO, position: int, first: Frame) -> Iterator[tuple[int, Frame, bytes]]:
    """Position, header and first bytes of each frame; what lies between frames is passed over, as decoders do."""
    while True:
        file.seek(position)
        head = file.read(_TAG_BYTES)
        frame = parse_frame(head)
        if first.alike(frame):
            assert frame is not None
            yield position, frame, head
            position += frame.size_bytes
        else:
            found = _next_frame(file, position, first)
            if found is None:
                return
            position = found


def _next_frame(file: BinaryIO, position: int, like: Frame | None) -> int | None:
    """Find where the next two frames of one stream begin; None if there are none near by."""
    file.seek(position)
    data = file.read(_SYNC_BYTES)
    at = data.find(b"\xff")
    while at >= 0:
        frame = parse_frame(data[at : at + 4])
        if frame is not None and (like is None or frame.alike(like)):
            file.seek(position + at + frame.size_bytes)
            if frame.alike(parse_frame(file.read(4))):
                return position + at
        at = data.find(b"\xff", at + 1)
    return None


def whole_mpeg(file: BinaryIO) -> BinaryIO:
    """Make of an MP3 one that says how long it is; `file` itself, where it does."""
    begin = tag_bytes(file)
    found = first_frame(file)
    if found is None or begin > MOST_PREFIX_BYTES:
        return file
    position, frame, head = found
    count = None if frame.layer != 3 or frame.has_tag(head) else count_frames(file)
    if count is None:
        return file
    file.seek(0)
    return splice(file.read(begin) + tag_frame(frame, count.frames), file, position, size_of(file) - position)


def find_mpeg_fault(file: BinaryIO) -> str | None:
    """Tell what is wrong with the frames of MPEG audio; None: nothing."""
    count = count_frames(file)
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
