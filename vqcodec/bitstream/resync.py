"""Finding whole chunks among bytes whose beginning is lost, in work that is proportional to the bytes."""

import heapq
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from vqcodec.bitstream import spec
from vqcodec.bitstream.binary import ByteSource, bytes_to_uint, crc32, crc32_ahead_of
from vqcodec.bitstream.header import Header
from vqcodec.bitstream.records import LONGEST_HEAD_BYTES, Head, find_chunks, head_from_bytes, position_of
from vqcodec.errors import BitstreamError

_AHEAD_BYTES = spec.CRC_BYTES + LONGEST_HEAD_BYTES
"""What is looked at behind a body: its checksum and the head of the next record."""
SHORTEST_RECORD_BYTES = spec.HEAD_BYTES + spec.CRC_BYTES
_LONGEST_RECORD_BYTES = spec.MAX_PAYLOAD_BYTES + (1 << 16)


class Found(NamedTuple):
    """A whole chunk: where its head is in the source, and the number of frames before it that its checksum tells."""

    start: int
    head: Head
    position: int


class _Candidate(NamedTuple):
    """What looks like a head, by the end of its body; `crc`: CRC-32 of all that was searched before it."""

    body_end: int
    start: int
    crc: int
    head: Head


def find_whole_chunks(source: ByteSource, header: Header, *, near: int) -> Iterator[Found]:
    """Yield what is a chunk by its head, by its checksum at some position, and by the head or the end that follows.

    Searches from the source's position on, in the order in which the chunks end, so that no long one that is none keeps
    a pipe waiting; `go_to` may return to any that is yielded. `near`: a position in frames, see `position_of`. One CRC
    runs over all bytes; the checksum of each candidate follows from its values at both ends.
    """
    at = source.hold()
    data, waiting, crc = b"", list[_Candidate](), 0
    ended = False
    while not ended:
        # No more of a pipe than the shortest record: another may be long in coming.
        first_end = waiting[0].body_end + _AHEAD_BYTES - at - len(data) if waiting else SHORTEST_RECORD_BYTES
        wanted = min(max(1, first_end), SHORTEST_RECORD_BYTES)
        more = source.read_ahead(wanted)
        ended = len(more) < wanted
        source.hold(_LONGEST_RECORD_BYTES)
        data += more
        # Of what begins or ends before `limit`, all that is looked at has come.
        limit = len(data) if ended else max(0, len(data) - _AHEAD_BYTES)
        view, done = memoryview(data), 0
        for offset, head in chain(_heads(data, header, limit), [(limit, None)]):
            while waiting and waiting[0].body_end <= at + offset:
                candidate = heapq.heappop(waiting)
                end = candidate.body_end - at
                crc, done = crc32(view[done:end], crc), end
                found = _found(candidate, crc, data[end : end + _AHEAD_BYTES], near)
                if found is not None:
                    yield found
            crc, done = crc32(view[done:offset], crc), offset
            if head is not None:
                body_end = at + offset + head.head_bytes + head.body_bytes(header)
                heapq.heappush(waiting, _Candidate(body_end, at + offset, crc, head))
        data, at = data[limit:], at + limit


def _heads(data: bytes, header: Header, limit: int) -> Iterator[tuple[int, Head]]:
    """What looks like the head of a chunk that can be and begins before `limit`."""
    for offset, head in find_chunks(data):
        if offset >= limit:
            return
        try:
            head.body_bytes(header)
        except BitstreamError:
            continue
        yield offset, head


def _found(candidate: _Candidate, crc: int, behind: bytes, near: int) -> Found | None:
    """The candidate, if what stands behind its body can; `crc`: CRC-32 of all that was searched to the body's end."""
    stored, rest = behind[: spec.CRC_BYTES], behind[spec.CRC_BYTES :]
    if len(stored) < spec.CRC_BYTES or (rest and head_from_bytes(rest) is None):
        return None
    of_position = crc32_ahead_of(
        bytes_to_uint(stored),
        start=candidate.crc,
        end=crc,
        length_bytes=candidate.body_end - candidate.start,
    )
    return Found(candidate.start, candidate.head, position_of(of_position, near=near))
