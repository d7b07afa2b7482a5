"""Reading .vqc files chunk by chunk, by seeking or in one pass; the format is described in `spec`."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.bitstream import spec
from vqcodec.bitstream.binary import ByteSource, bytes_to_uint
from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.bitstream.header import read_header
from vqcodec.bitstream.payload import (
    fill_pauses,
    split_layers,
    split_varied,
    unpack_codes,
    unpack_varied,
    varied_layer_bytes,
)
from vqcodec.bitstream.records import (
    Head,
    checksum,
    head_from_bytes,
    read_head_bytes,
    repaired_heads,
)
from vqcodec.bitstream.resync import SHORTEST_RECORD_BYTES, find_whole_chunks
from vqcodec.bitstream.tags import parse_tags
from vqcodec.errors import BitstreamError, DamagedError, TruncatedError
from vqcodec.frames import ceil_div, clock

_BEYOND_ANY_FRAME = 1 << 63
_MOST_REPAIR_BYTES = 1 << 26
"""Bytes that are read to find which byte of a head is damaged, beside 64 for each byte before it."""

OnDamage = Callable[[BitstreamError], None]
"""Told of damage that is passed over: a DamagedError with its seconds, a TruncatedError, or bytes after the end."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Consecutive frames of a file: `codes` `[C, K, F]`, the first of them frame `start_frame`.

    uint16, or of a chunk of varied depth int32, with -1 where a frame has no code. K is 0 where the frames are lost and
    the caller asked to go on.
    """

    start_frame: int
    codes: NDArray[Any]


@dataclass(frozen=True)
class Scan:
    """What the heads of all chunks tell.

    samples: per channel at the original rate
    spans:   (frames, bytes) of the chunks in order, joined to spans of a second or more
    """

    chunks: int
    entropy_coded_chunks: int
    frames: int
    samples: int
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Record:
    """A record after `position` frames. `body`: None where it was passed over or is lost; `head`: None where lost."""

    position: int
    frames: int
    head: Head | None = None
    body: bytes | None = None


class VqcReader:
    """Reads a .vqc from a binary file object: chunks in order, or a span of frames by seeking.

    Opening reads the header and the tags and raises what `read_header` does. `samples` is the header's, or None until
    the last chunk of a stream has been read. A source that cannot seek serves one call of `chunks`, `records` or
    `scan`; one that can serves one at a time.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._source = ByteSource(file)
        self.header = read_header(self._source)
        self._record_at = self._lost_frames = self._repair_bytes = 0
        self.samples = self.header.samples
        self.tags: Mapping[str, str] = self._read_tags()
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
        entropy: EntropyModel | None = None,
        fill: bool = False,
        on_damage: OnDamage | None = None,
    ) -> Iterator[Chunk]:
        """Yield the frames from `start_frame` to before `end_frame` (None: all) in one Chunk per chunk of the file.

        `num_codebooks` unpacks the first layers only. `entropy` is the model's, for entropy-coded chunks. With `fill`
        frames of pauses have the codes that they sound as. Chunks before the span are passed over by their heads.
        Reading to the end also checks that the file ends where it should.
        A damaged chunk raises DamagedError with its seconds. With `on_damage` that error goes there, the lost frames
        come without layers, and reading goes on at the next whole chunk, wherever inserted or missing bytes have moved
        it. Also raises TruncatedError, VersionError, BitstreamError, ModelError (`entropy` is missing or another),
        and ValueError for a span or depth that cannot be.
        """
        depth = self.header.num_codebooks if num_codebooks is None else num_codebooks
        if not 1 <= depth <= self.header.num_codebooks:
            raise ValueError(f"num_codebooks {depth} is outside 1 to {self.header.num_codebooks}")
        if start_frame < 0 or (end_frame is not None and end_frame < start_frame):
            raise ValueError(f"no frames from {start_frame} to {end_frame}")
        total = self.header.frames
        end = None if end_frame is None or (total is not None and end_frame >= total) else end_frame
        self._source.rewind()
        records = self._records(start_frame, end, on_damage=on_damage)
        return (
            self._cut(record, start_frame, end=end, depth=depth, entropy=entropy, fill=fill)
            for record in records
            if record.frames and record.position + record.frames > start_frame
        )

    def records(self, *, on_damage: OnDamage | None = None) -> Iterator[Record]:
        """Yield every record with its body, checksums checked; raises what `chunks` does."""
        self._source.rewind()
        return self._records(0, None, on_damage=on_damage)

    def scan(self) -> Scan:
        """Read the heads of all chunks, and their codes only where the source cannot seek.

        Raises what `chunks` does; damage inside the codes of a chunk goes unnoticed.
        """
        self._source.rewind()
        chunks = coded = frames = 0
        spans: list[tuple[int, int]] = []
        second = ceil_div(self.header.sample_rate_hz, self.header.hop_length)
        for record in self._records(_BEYOND_ANY_FRAME, None, on_damage=None):
            if record.frames and record.head is not None:
                chunks += 1
                coded += record.head.coding != spec.CODING_FIXED
                frames += record.frames
                before = spans.pop() if spans and spans[-1][0] < second else (0, 0)
                spans.append((before[0] + record.frames, before[1] + self._source.position - self._record_at))
        assert self.samples is not None
        return Scan(chunks=chunks, entropy_coded_chunks=coded, frames=frames, samples=self.samples, spans=tuple(spans))

    def _records(self, start_frame: int, end: int | None, *, on_damage: OnDamage | None) -> Iterator[Record]:
        """Records up to frame `end`; the bodies of chunks that end at or before `start_frame` are passed over."""
        position, total = 0, self.header.frames
        self._lost_frames = self._repair_bytes = 0
        while total is None or position < total:
            if end is not None and position >= end:
                return
            self._record_at = self._source.hold()
            try:
                record = self._next(position, start_frame)
            except BitstreamError as error:
                if on_damage is None:
                    raise
                lost = self._recover(position, error, on_damage)
                if lost is None:
                    break
                record = lost
            yield record
            position += record.frames
            if record.head is not None and record.head.is_last:
                total = position
        else:
            yield from self._after_the_end(position, on_damage)
        if self.samples is None:  # the end is lost, and `on_damage` accepts it
            self.samples = self._covered_samples(position)

    def _next(self, position: int, start_frame: int) -> Record:
        """Read the record after `position` frames, or only its head if it ends at or before `start_frame`."""
        head = self._next_head(position)
        length_bytes = head.body_bytes(self.header)
        self._check_chunk(head, position)
        if head.is_skippable or head.is_last or position + head.frames > start_frame:
            body = self._body(head, position)
            if head.is_last:
                self._take_samples(body, position + head.frames)
            return Record(position, head.frames, head, body)
        if not self._source.skip(length_bytes + spec.CRC_BYTES):
            raise self._truncated(position)
        return Record(position, head.frames, head)

    def _next_head(self, position: int) -> Head:
        """Read a head; one with a single damaged byte is repaired if the checksum of the record confirms it."""
        data = read_head_bytes(self._source)
        head = head_from_bytes(data)
        if head is not None:
            return head
        data += self._source.read(SHORTEST_RECORD_BYTES - len(data))
        if len(data) < SHORTEST_RECORD_BYTES:
            raise self._truncated(position)
        self._source.go_to(self._record_at)
        # The shortest first: a pipe may take long to give the bytes that a long one asks for.
        for length_bytes, candidate in sorted(self._possible(repaired_heads(data)), key=lambda pair: pair[0]):
            self._repair_bytes += length_bytes
            if self._repair_bytes > _MOST_REPAIR_BYTES + 64 * self._record_at:
                break
            rest = self._source.read(candidate.head_bytes + length_bytes)[candidate.head_bytes :]
            self._source.go_to(self._record_at)
            body = rest[: -spec.CRC_BYTES]
            if len(rest) == length_bytes and rest[len(body) :] == checksum(candidate, body, position=position):
                self._source.read(candidate.head_bytes)
                return candidate
        raise self._damaged(position, None)

    def _possible(self, heads: Iterable[Head]) -> Iterator[tuple[int, Head]]:
        """Yield (bytes to the next head, head) for each of `heads` that the format allows."""
        for head in heads:
            with contextlib.suppress(BitstreamError):
                yield head.body_bytes(self.header) + spec.CRC_BYTES, head

    def _check_chunk(self, head: Head, position: int) -> None:
        """Raise BitstreamError if no such chunk may stand after `position` frames."""
        if head.is_last and self.header.samples is not None:
            raise BitstreamError("the .vqc says its length twice, in its header and in its last chunk")
        total = self.header.frames
        if total is not None and position + head.frames > total:
            raise BitstreamError(f"the .vqc has more frames than the {total} of {self.header.samples} samples")

    def _check_tags(self, body: bytes) -> None:
        """Raise BitstreamError for tags that no writer makes."""
        if self._record_at != self._first_record_at:
            raise BitstreamError("the tags of the .vqc do not follow its header")
        parse_tags(body)

    def _body(self, head: Head, position: int) -> bytes:
        """Body of the record after `head`."""
        body = self._source.read(head.body_bytes(self.header))
        stored = self._source.read(spec.CRC_BYTES)
        if len(stored) < spec.CRC_BYTES:
            raise self._truncated(position)
        if stored != checksum(head, body, position=position):
            raise self._damaged(position, position + head.frames)
        if head.tag == spec.TAG_TAGS:
            self._check_tags(body)
        return body

    def _recover(self, position: int, error: BitstreamError, on_damage: OnDamage) -> Record | None:
        """After `error` in the record behind `position` frames: what is lost up to the next whole chunk.

        None where nothing whole follows and the number of lost frames is unknown, or more than the bytes can have held.
        """
        self._source.go_to(self._record_at)
        head = head_from_bytes(read_head_bytes(self._source))
        self._source.go_to(self._record_at)
        end = self._resync(position)
        if end is None and not isinstance(error, DamagedError):
            on_damage(error)
            return None
        if end is None:
            end = self.header.frames if head is None else position + head.frames
            passed = self._source.position - self._record_at
            if end is not None and end > position + spec.DEFAULT_FRAMES_PER_CHUNK + 8 * passed:
                end = None
        is_malformed = end == position and not isinstance(error, DamagedError)
        on_damage(error if is_malformed else self._damaged(position, end))
        if end is None:
            return None
        self._lost_frames += end - position
        return Record(position, end - position)

    def _resync(self, position: int) -> int | None:
        """Go to the next whole chunk, or to the end; returns the chunk's position, `position` or later, or None.

        What stands here for `position` is not taken: reading it has failed, whatever its checksum says.
        """
        total = self.header.frames
        for start, head, found in find_whole_chunks(self._source, self.header, near=position):
            if start == self._record_at and found == position:
                continue
            if total is not None and (head.is_last or found + head.frames > total):
                continue
            # More than the bytes can have held, and what looks like a chunk behind them is chance, or an attack.
            most_lost = spec.MAX_LOST_FRAMES + 8 * start
            if 0 <= found - position <= most_lost - self._lost_frames:
                self._source.go_to(start)
                return found
        return None

    def _take_samples(self, body: bytes, frames: int) -> None:
        """Set `samples` from the start of the last chunk's body."""
        samples = bytes_to_uint(body[: spec.MAX_SAMPLES_BYTES])
        if self.header.frames_for(samples) != frames:
            raise BitstreamError(f"the .vqc has {frames} frames, its {samples} samples ask for another number")
        self.samples = samples

    def _covered_samples(self, frames: int) -> int:
        """All samples that `frames` frames cover."""
        return frames * self.header.hop_length * self.header.original_rate_hz // self.header.sample_rate_hz

    def _after_the_end(self, position: int, on_damage: OnDamage | None) -> Iterator[Record]:
        """After the audio only skippable records may follow."""
        try:
            while True:
                self._record_at = self._source.hold()
                data = read_head_bytes(self._source)
                if not data:
                    break
                head = head_from_bytes(data)
                if head is None or not head.is_skippable:
                    raise BitstreamError("the .vqc goes on after the end of its audio; remove what was appended")
                yield Record(position, 0, head, self._body(head, position))
        except BitstreamError as error:
            if on_damage is None:
                raise
            on_damage(error)

    @property
    def decoded_channels(self) -> int:
        """The channels of the input: those of the codes, or as many as the tags say were all the same."""
        text = self.tags.get(spec.EQUAL_CHANNELS, "")
        is_count = text.isascii() and text.isdecimal() and text == text.lstrip("0") and len(text) <= 3
        count = int(text) if is_count else 1
        return count if self.header.channels == 1 and 2 <= count <= spec.MAX_CHANNELS else self.header.channels

    def _read_tags(self) -> Mapping[str, str]:
        """The tags that follow the header; none where there are none, or where the record is damaged or malformed."""
        start = self._record_at = self._first_record_at = self._source.hold()
        head = head_from_bytes(read_head_bytes(self._source))
        try:
            return parse_tags(self._body(head, 0)) if head is not None and head.tag == spec.TAG_TAGS else {}
        except BitstreamError:
            return {}  # whoever reads the records is told
        finally:
            self._source.go_to(start)

    def _cut(
        self, record: Record, start_frame: int, *, end: int | None, depth: int, entropy: EntropyModel | None, fill: bool
    ) -> Chunk:
        """The frames of `record` inside the span, unpacked; of a lost one, no layers."""
        header = self.header
        last = record.frames if end is None else min(record.frames, end - record.position)
        bits, channels, frames = header.bits_per_code, header.channels, record.frames
        codes: NDArray[Any] = np.zeros((channels, 0, frames), np.uint16)
        if record.head is not None and record.body is not None:
            payload = record.body[spec.MAX_SAMPLES_BYTES if record.head.is_last else 0 :]
            if record.head.coding == spec.CODING_DEPTHS:
                most = varied_layer_bytes(channels * frames, bits)
                varied = split_varied(payload, header.num_codebooks, most)[:depth]
                codes = unpack_varied(varied, bits, channels=channels, frames=frames, until=last, entropy=entropy)
                codes = fill_pauses(codes, record.position) if fill else codes
            else:
                size = header.payload_bytes(frames, 1)
                layers = split_layers(payload, record.head.coding, header.num_codebooks, size)[:depth]
                codes = unpack_codes(layers, bits, channels=channels, frames=frames, until=last, entropy=entropy)
        first = max(0, start_frame - record.position)
        return Chunk(record.position + first, codes[:, :, first:last])

    def _damaged(self, start_frame: int, end_frame: int | None) -> DamagedError:
        """The DamagedError of a span of frames; None: to the end of the file."""
        start = self.header.seconds_at(start_frame)
        end = self.header.duration_seconds if end_frame is None else self.header.seconds_at(end_frame)
        where = f"{clock(start)} to {'the end' if end is None else clock(end)}"
        what = (
            f"is damaged from {where}" if start_frame != end_frame else f"has damage at {clock(start)}, no audio lost"
        )
        return DamagedError(f"the .vqc {what} (checksum)", start_seconds=start, end_seconds=end)

    def _truncated(self, frame: int) -> TruncatedError:
        seconds, duration = self.header.seconds_at(frame), self.header.duration_seconds
        of = "" if duration is None else f" of {clock(duration)}"
        return TruncatedError(f"the .vqc is cut: it ends after {clock(seconds)}{of}")
