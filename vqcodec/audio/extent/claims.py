"""What the header of a file claims of its sound, against the bytes that are there."""

import io
from typing import BinaryIO

MOST_STRAY_BYTES = 4096
"""What may lie behind the sound without being anything: padding, tags of other programs."""


def is_unknown(length: int) -> bool:
    """Tell whether a size stands for none: programs write such that cannot seek back to write the right one.

    ffmpeg 0xFFFFFFFF, sox 0x7FFFF000, arecord 0x7FFFFFFF, 0x80000000 and the like, less the header or not.
    """
    return length == 0 or 0x7FFF0000 <= length <= 0x80010000 or 0xFFFF0000 <= length <= 0xFFFFFFFF


def size_of(file: BinaryIO) -> int:
    """Count the bytes of `file`, whose position then is its end."""
    return file.seek(0, io.SEEK_END)


def cut_fault(claimed: int, present: int, of: str = "bytes of audio") -> str | None:
    """Tell what is wrong where fewer bytes, or what it is that is counted, are `present` than `claimed`."""
    if claimed <= present:
        return None
    return f"is cut: by its header it has {claimed} {of}, of which {present} are there"


def stray_fault(file: BinaryIO, end: int) -> str | None:
    """Tell what is wrong with more than a little behind the `end` of the sound."""
    file.seek(end)
    rest = file.read(MOST_STRAY_BYTES + 1)
    if len(rest) > MOST_STRAY_BYTES and any(rest):
        return f"has {size_of(file) - end} bytes after the end of its audio that are no part of it, by its header"
    return None
