"""How much sound a file holds by its own bytes, where libsndfile would believe a header that is wrong.

`whole` makes such a file one that libsndfile reads to its end; `find_fault` says of a file that it is cut, or holds
more than libsndfile would read. Both look at headers of chunks, pages and frames only: a module each.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

from vqcodec.audio.extent.chunks import find_aiff_fault, find_wave_fault, whole_wave
from vqcodec.audio.extent.claims import MOST_STRAY_BYTES, cut_fault, is_unknown
from vqcodec.audio.extent.flac import find_flac_fault
from vqcodec.audio.extent.mpeg import find_mpeg_fault, parse_frame, tag_bytes, whole_mpeg
from vqcodec.audio.extent.named import find_named_fault, kind_of, whole_named
from vqcodec.audio.extent.ogg import find_ogg_fault, taken_ogg
from vqcodec.audio.extent.unmeasured import find_unmeasured_fault

__all__ = ["find_fault", "is_mpeg", "whole"]

_MOST_PADDING_SAMPLES = 8
_HEAD_BYTES = 32
"""What tells a file of a format without lengths from sound."""
_BLOCK_BYTES = 1 << 20
_SDS_HEAD_BYTES, _SDS_BLOCK_BYTES = 21, 127


def whole(file: BinaryIO, *, is_cut_taken: bool = False) -> BinaryIO:
    """Make of `file` one that libsndfile reads to its end, if it would not read `file` itself so.

    That is a WAV whose size is unknown (0, or as large as can be) or has wrapped round at 4 GiB, an MP3 that does not
    say how long it is, whose length libsndfile guesses from its first frame, and what goes on behind its sound, which
    libsndfile would take for more of it (W64, SPHERE and the like). With `is_cut_taken` also an Ogg whose last page is
    not whole.
    """
    kind = _kind(file)
    if kind == "ogg" and is_cut_taken:
        return taken_ogg(file)
    if kind == "wave":
        return whole_wave(file)
    if kind == "mpeg":
        return whole_mpeg(file)
    return file if kind is None or kind in _FAULTS else whole_named(file, kind)


def is_mpeg(file: BinaryIO) -> bool:
    """Tell whether `file` begins as MPEG audio, such as MP3."""
    return _kind(file) == "mpeg"


def find_fault(file: BinaryIO, log: str = "", samples: int = 0) -> str | None:
    """Tell what is wrong with the length of `file`: it is cut, or goes on where libsndfile stops; None: nothing.

    `log` is what libsndfile notes about formats that are not looked into here, `samples` how many per channel it
    reads. What begins without its length (PAF, PVF, IRCAM) is what is there, if its last sample is whole. The position
    in `file` is kept.
    """
    position = file.tell()
    kind = _kind(file)
    try:
        if kind is None:
            return _fault_in(log, samples) or _joined_fault(file) or find_unmeasured_fault(file)
        return _FAULTS[kind](file) if kind in _FAULTS else find_named_fault(file, kind)
    finally:
        file.seek(position)


def _kind(file: BinaryIO) -> str | None:
    start = tag_bytes(file)
    file.seek(start)
    head = file.read(16)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return "wave"
    if head[:4] == b"FORM" and head[8:11] == b"AIF":
        return "aiff"
    named = {b"OggS": "ogg", b"fLaC": "flac"}.get(head[:4]) or kind_of(head)
    if named is None and parse_frame(head) is not None:
        return "mpeg"
    return named


def _fault_in(log: str, samples: int) -> str | None:
    """What libsndfile found in other formats, such as `Data Size : 64000 (should be 31988)`."""
    if re.search(r"^(2BIT|MPC2000|MATLAB 5|GNU Octave)", log, re.MULTILINE):
        *_, claimed = re.findall(r"(?:Frames|Cols) *: (\d+)", log) or ["0"]
        if samples > int(claimed) + _MOST_PADDING_SAMPLES:
            return f"has {samples} samples where its header says {claimed}; the others are no part of its audio"
        return cut_fault(int(claimed), samples, "samples")
    dump = re.search(r"Length : (\d+)\nMidi Sample Dump", log)
    if dump and (int(dump[1]) - _SDS_HEAD_BYTES) % _SDS_BLOCK_BYTES:
        return f"is cut: its last block of {_SDS_BLOCK_BYTES} bytes is not whole"
    for claimed, present in re.findall(r"(\d+) \(?should be (\d+)", log):
        if not is_unknown(int(claimed)) and (fault := cut_fault(int(claimed), int(present))):
            return fault
    return None


def _joined_fault(file: BinaryIO) -> str | None:
    """Another file like `file` in it, where no header says how long the sound is."""
    file.seek(0)
    head = before = file.read(_HEAD_BYTES)
    position = _HEAD_BYTES
    while block := file.read(_BLOCK_BYTES):
        at = (before + block).find(head, 1 if position == _HEAD_BYTES else 0)
        if at >= 0:
            return f"has another file joined to it at byte {position - len(before) + at}, which would be left out"
        position += len(block)
        before = (before + block)[-_HEAD_BYTES + 1 :]
    return None


_FAULTS: dict[str, Callable[[BinaryIO], str | None]] = {
    "wave": find_wave_fault,
    "aiff": find_aiff_fault,
    "ogg": partial(find_ogg_fault, most_stray_bytes=MOST_STRAY_BYTES),
    "flac": find_flac_fault,
    "mpeg": find_mpeg_fault,
}
