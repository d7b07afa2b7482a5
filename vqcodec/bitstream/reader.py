"""Reading .vqc files chunk by chunk, by seeking or in one pass; the format is described in `spec`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from vqcodec.bitstream import spec
from vqcodec.bitstream.binary import ByteSource, bytes_to_uint
from vqcodec.bitstream.header import read_header
from vqcodec.bitstream.payload import unpack_codes
from vqcodec.bitstream.records import Head, checksum, head_from_bytes, repaired_heads
from vqcodec.errors import BitstreamError, DamagedError, TruncatedError

_BEYOND_ANY_FRAME = 1 << 63


@dataclass(frozen=True, eq=False)
class Chunk:
    """Consecutive frames of a file: `codes` uint16 `[C, K, F]`, the first of them frame `start_frame`.

    K is 0 where the chunk is damaged and the caller asked to go on.
    """

    start_frame: int
    codes: NDArray[np.uint16]


@dataclass(frozen=True)
class Scan:
    """What the heads of all chunks tell. `samples`: per channel at the original rate."""

    chunks: int
    frames: int
    payload_bytes: int
    samples: int


@dataclass(frozen=True)
class _Record:
    start_frame: int
    frames: int
    payload: bytes


class VqcReader:
    """Reads a .vqc from a binary file object: chunks in order, or a span of frames by seeking.

    Opening reads the header and raises what `read_header` does. `samples` is the header's, or None until the last
    chunk of a stream has been read. A source that cannot seek serves one call of `chunks` or `scan`; one that can
    serves one at a time.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._source = ByteSource(file)
        self.header = read_header(self._source)
        self.samples = self.header.samples
        self._source.mark()

    @property
    def file_bytes(self) -> int | None:
        """Bytes from the header to the end of the file; None if it cannot seek."""
        return self._source.length_bytes

    def chunks(
        self,
        start_frame: int = 0,
        end_frame: int | None = None,
        *,
        num_codebooks: int | None = None,
        on_damage: Callable[[DamagedError], None] | None = None,
    ) -> Iterator[Chunk]:
        """Yield the frames from `start_frame` to before `end_frame` (None: all) in one Chunk per chunk of the file.

        `num_codebooks` unpacks the first layers only. Chunks before the span are passed over by their heads.
        Reading to the end also checks that the file ends where the format says. A damaged chunk raises DamagedError
        with its seconds; with `on_damage` that error goes there, the chunk comes without layers and the next one
        follows (nothing does where even the head of a chunk is lost). Also raises TruncatedError, VersionError,
        BitstreamError, and ValueError for a span or depth that cannot be.
        """
        depth = self.header.num_codebooks if num_codebooks is None else num_codebooks
        if not 1 <= depth <= self.header.num_codebooks:
            raise ValueError(f"num_codebooks {depth} is outside 1 to {self.header.num_codebooks}")
        if start_frame < 0 or (end_frame is not None and end_frame < start_frame):
            raise ValueError(f"no frames from {start_frame} to {end_frame}")
        total = self.header.frames
        end = None if end_frame is None or (total is not None and end_frame >= total) else end_frame
        self._source.rewind()
        records = self._records(start_frame, end, on_damage=on_damage or _raise)
        return (self._cut(record, start_frame, end=end, depth=depth) for record in records)

    def scan(self, *, on_damage: Callable[[DamagedError], None] | None = None) -> Scan:
        """Read the heads of all chunks, and their codes only where the source cannot seek.

        Raises what `chunks` does; damage inside the codes of a chunk goes unnoticed.
        """
        self._source.rewind()
        chunks = frames = payload_bytes = 0
        for record in self._records(_BEYOND_ANY_FRAME, None, on_damage=on_damage or _raise, with_skipped=True):
            chunks += 1
            frames += record.frames
            payload_bytes += self.header.payload_bytes(record.frames)
        if self.samples is None:  # the end is lost and `on_damage` accepts it
            self._take_samples(b"", frames)
        assert self.samples is not None
        return Scan(chunks=chunks, frames=frames, payload_bytes=payload_bytes, samples=self.samples)

    def _records(
        self,
        start_frame: int,
        end: int | None,
        *,
        on_damage: Callable[[DamagedError], None],
        with_skipped: bool = False,
    ) -> Iterator[_Record]:
        """Chunks that reach beyond `start_frame` and begin before `end`; the rest unread, or yielded empty."""
        position, total = 0, self.header.frames
        while total is None or position < total:
            if end is not None and position >= end:
                return
            try:
                head = self._next_head(position)
            except DamagedError as error:
                on_damage(error)
                return
            if head.is_skippable:
                self._body(head, position, on_damage=on_damage)
                continue
            self._check_chunk(head, position)
            if head.is_last or position + head.value > start_frame:
                body = self._body(head, position, on_damage=on_damage)
                if head.is_last:
                    body = self._take_samples(body, position + head.value)
                    total = position + head.value
                if head.value > 0:
                    yield _Record(position, head.value, body)
            elif not self._source.skip(head.body_bytes(self.header) + spec.CRC_BYTES):
                raise self._truncated(position)
            elif with_skipped:
                yield _Record(position, head.value, b"")
            position += head.value
        self._check_end(position, on_damage)

    def _next_head(self, position: int) -> Head:
        """Read a head; one with a single damaged byte is repaired if the checksum of the record confirms it."""
        data = self._source.read(spec.HEAD_BYTES)
        if len(data) < spec.HEAD_BYTES:
            raise self._truncated(position)
        head = head_from_bytes(data)
        if head is not None:
            return head
        for candidate in repaired_heads(data):
            try:
                length_bytes = candidate.body_bytes(self.header) + spec.CRC_BYTES
            except BitstreamError:
                continue
            rest = self._source.read(length_bytes)
            self._source.give_back(rest)
            body = rest[: -spec.CRC_BYTES]
            if len(rest) == length_bytes and rest[len(body) :] == checksum(candidate, body, position=position):
                return candidate
        raise self._damaged(position, None)

    def _check_chunk(self, head: Head, position: int) -> None:
        """Raise BitstreamError if no such chunk may stand after `position` frames."""
        head.body_bytes(self.header)
        if head.is_last and self.header.samples is not None:
            raise BitstreamError("the .vqc says its length twice, in its header and in its last chunk")
        total = self.header.frames
        if total is not None and position + head.value > total:
            raise BitstreamError(f"the .vqc has more frames than the {total} of {self.header.samples} samples")

    def _body(self, head: Head, position: int, *, on_damage: Callable[[DamagedError], None]) -> bytes:
        """Body of the record after `head`; empty if its checksum fails and `on_damage` returns."""
        body = self._source.read(head.body_bytes(self.header))
        stored = self._source.read(spec.CRC_BYTES)
        if len(stored) < spec.CRC_BYTES:
            raise self._truncated(position)
        if stored != checksum(head, body, position=position):
            on_damage(self._damaged(position, position if head.is_skippable else position + head.value))
            return b""
        return body

    def _take_samples(self, body: bytes, frames: int) -> bytes:
        """Set `samples` from the start of the last chunk's body (all that `frames` cover if it is damaged)."""
        header = self.header
        if not body:
            self.samples = frames * header.hop_length * header.original_rate_hz // header.sample_rate_hz
            return b""
        samples = bytes_to_uint(body[: spec.MAX_SAMPLES_BYTES])
        if header.frames_for(samples) != frames:
            raise BitstreamError(f"the .vqc has {frames} frames, its {samples} samples ask for another number")
        self.samples = samples
        return body[spec.MAX_SAMPLES_BYTES :]

    def _check_end(self, position: int, on_damage: Callable[[DamagedError], None]) -> None:
        """After the audio only skippable records may follow."""
        while data := self._source.read(spec.HEAD_BYTES):
            head = head_from_bytes(data)
            if head is None or not head.is_skippable:
                raise BitstreamError("the .vqc goes on after the end of its audio; remove what was appended")
            self._body(head, position, on_damage=on_damage)

    def _cut(self, record: _Record, start_frame: int, *, end: int | None, depth: int) -> Chunk:
        """The frames of `record` inside the span, unpacked; of a damaged one, no layers."""
        header = self.header
        depth = depth if record.payload else 0
        codes = unpack_codes(
            record.payload,
            header.bits_per_code,
            channels=header.channels,
            num_codebooks=depth,
            frames=record.frames,
        )
        first = max(0, start_frame - record.start_frame)
        last = record.frames if end is None else min(record.frames, end - record.start_frame)
        return Chunk(record.start_frame + first, codes[:, :, first:last])

    def _damaged(self, start_frame: int, end_frame: int | None) -> DamagedError:
        """The DamagedError of a span of frames; None: to the end of the file."""
        start = self.header.seconds_at(start_frame)
        end = self.header.duration_seconds if end_frame is None else self.header.seconds_at(end_frame)
        where = f"{start:.2f} s to {'the end' if end is None else f'{end:.2f} s'}"
        return DamagedError(f"the .vqc is damaged from {where} (checksum)", start_seconds=start, end_seconds=end)

    def _truncated(self, frame: int) -> TruncatedError:
        seconds, duration = self.header.seconds_at(frame), self.header.duration_seconds
        of = "" if duration is None else f" of {duration:.2f} s"
        return TruncatedError(f"the .vqc is cut: it ends after {seconds:.2f} s{of}")


def _raise(error: DamagedError) -> None:
    raise error
