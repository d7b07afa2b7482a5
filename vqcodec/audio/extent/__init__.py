"""How much sound a file holds by its own bytes, where libsndfile would believe a header that is wrong.

`whole` makes such a file one that libsndfile reads to its end; `find_fault` says of a file that it is cut, or holds
more than libsndfile would read. Both look at headers of chunks, pages and frames only: a module each.
"""

import math
import re
import struct
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

from vqcodec.audio.extent.chunks import find_aiff_fault, find_wave_fault, whole_wave
from vqcodec.audio.extent.claims import MOST_STRAY_BYTES, cut_fault, is_unknown, size_of, stray_fault
from vqcodec.audio.extent.flac import find_flac_fault
from vqcodec.audio.extent.mpeg import find_mpeg_fault, parse_frame, tag_bytes, whole_mpeg
from vqcodec.audio.extent.ogg import find_ogg_fault

__all__ = ["find_fault", "is_mpeg", "whole"]

_MOST_SPHERE_BYTES = 1024
_SDS_HEAD_BYTES, _SDS_BLOCK_BYTES = 21, 127


def whole(file: BinaryIO) -> BinaryIO:
    """Make of `file` one that libsndfile reads to its end, if it would not read `file` itself so.

    That is a WAV whose size is unknown (0, or as large as can be) or has wrapped round at 4 GiB, and an MP3 that does
    not say how long it is, whose length libsndfile guesses from its first frame.
    """
    kind = _kind(file)
    if kind == "wave":
        return whole_wave(file)
    if kind == "mpeg":
        return whole_mpeg(file)
    return file


def is_mpeg(file: BinaryIO) -> bool:
    """Tell whether `file` begins as MPEG audio, such as MP3."""
    return _kind(file) == "mpeg"


def find_fault(file: BinaryIO, log: str = "", samples: int = 0) -> str | None:
    """Tell what is wrong with the length of `file`: it is cut, or goes on where libsndfile stops; None: nothing.

    `log` is what libsndfile notes about formats that are not looked into here, `samples` how many per channel it
    reads. What begins without its length (PAF, PVF, IRCAM) is what is there. The position in `file` is kept.
    """
    position = file.tell()
    kind = _kind(file)
    try:
        return _FAULTS[kind](file) if kind else _fault_in(log, samples)
    finally:
        file.seek(position)


def _kind(file: BinaryIO) -> str | None:
    start = tag_bytes(file)
    file.seek(start)
    head = file.read(12)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:] == b"WAVE":
        return "wave"
    if head[:4] == b"FORM" and head[8:11] == b"AIF":
        return "aiff"
    named = {b"OggS": "ogg", b"fLaC": "flac", b".snd": "au", b"NIST": "sphere"}.get(head[:4])
    if named is None and parse_frame(head) is not None:
        return "mpeg"
    return named


def _au_fault(file: BinaryIO) -> str | None:
    """A header of AU: its own length, and that of the sound."""
    file.seek(4)
    start, length = struct.unpack(">II", file.read(8).ljust(8, b"\0"))
    present = max(0, size_of(file) - start)
    if is_unknown(length):
        return None
    return cut_fault(length, present) or stray_fault(file, start + length)


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
    return cut_fault(length, max(0, size_of(file) - start)) or stray_fault(file, start + length)


def _fault_in(log: str, samples: int) -> str | None:
    """What libsndfile found in other formats, such as `Data Size : 64000 (should be 31988)`."""
    if re.search(r"^(2BIT|MPC2000|MATLAB 5|GNU Octave)", log, re.MULTILINE):
        *_, claimed = re.findall(r"(?:Frames|Cols) *: (\d+)", log) or ["0"]
        return cut_fault(int(claimed), samples, "samples")
    dump = re.search(r"Length : (\d+)\nMidi Sample Dump", log)
    if dump and (int(dump[1]) - _SDS_HEAD_BYTES) % _SDS_BLOCK_BYTES:
        return f"is cut: its last block of {_SDS_BLOCK_BYTES} bytes is not whole"
    if "Seems to be a truncated file" in log:  # Creative Voice
        return f"is cut: its last block is not whole, and {samples} samples are there"
    for claimed, present in re.findall(r"(\d+) \(?should be (\d+)", log):
        if not is_unknown(int(claimed)) and (fault := cut_fault(int(claimed), int(present))):
            return fault
    return None


_FAULTS: dict[str, Callable[[BinaryIO], str | None]] = {
    "wave": find_wave_fault,
    "aiff": find_aiff_fault,
    "au": _au_fault,
    "sphere": _sphere_fault,
    "ogg": partial(find_ogg_fault, most_stray_bytes=MOST_STRAY_BYTES),
    "flac": find_flac_fault,
    "mpeg": find_mpeg_fault,
}
