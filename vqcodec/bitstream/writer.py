"""Writing .vqc files in one pass; the format is described in `spec`."""

from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import NO_CODE, are_depths
from vqcodec.bitstream import spec
from vqcodec.bitstream.binary import uint_to_bytes
from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.bitstream.header import Header
from vqcodec.bitstream.payload import pack_codes, pack_varied
from vqcodec.bitstream.records import Head, checksum, chunk_head
from vqcodec.bitstream.tags import tags_to_bytes
from vqcodec.system.pipes import write_all


class VqcWriter:
    """Writes codes to a binary file object, which may be a pipe; neither closes nor renames it.

    The bytes depend on the arguments and the codes only, not on how the codes were split over calls. `written_bytes`
    counts those that have left.
    `frames_per_chunk`: None for 256, or fewer where so many would not fit into a chunk. `entropy`: the model's, to
    store chunks entropy-coded where that is smaller. `tags`: names (a-z, 0-9, "_", ".", "-") and texts. `live`: every
    chunk leaves as soon as it is full and the file object is flushed behind it; for headers of unknown samples only,
    since the last chunk may then be one of no frames. Raises BitstreamError for tags and ValueError for a number of
    frames that a file cannot hold.
    """

    def __init__(
        self,
        file: IO[bytes],
        header: Header,
        *,
        frames_per_chunk: int | None = None,
        entropy: EntropyModel | None = None,
        tags: Mapping[str, str] | None = None,
        live: bool = False,
        varied: bool = False,
    ) -> None:
        if live and header.samples is not None:
            raise ValueError(f"the header says {header.samples} samples: a live stream does not know its length")
        most = max_frames_per_chunk(header)
        if frames_per_chunk is None:
            frames_per_chunk = min(spec.DEFAULT_FRAMES_PER_CHUNK, most)
        if not 1 <= frames_per_chunk <= most:
            raise ValueError(f"frames_per_chunk {frames_per_chunk} is outside 1 to {most}")
        if entropy is not None and entropy.codebook_size != header.codebook_size:
            raise ValueError(f"the entropy model has {entropy.codebook_size} codes, the header {header.codebook_size}")
        self._file = file
        self._header = header
        self._frames_per_chunk = frames_per_chunk
        self._waiting = np.zeros((header.channels, header.num_codebooks, 0), np.int32)
        self._written_frames = 0
        self.written_bytes = 0
        self._closed = False
        self._entropy = entropy
        self._live = live
        self._varied = varied
        tags_body = tags_to_bytes(tags or {})
        self._send(header.to_bytes())
        if tags_body:
            self._write_record(Head(spec.TAG_TAGS, len(tags_body)), tags_body)

    @property
    def frames(self) -> int:
        """Frames given to `write` so far."""
        return self._written_frames + self._waiting.shape[2]

    def write(self, codes: NDArray[Any]) -> None:
        """Append integer codes `[C, K, F]`, each in [0, codebook_size), any F.

        Of a writer of `varied` depths, frames may have fewer: from a layer on all their codes are -1, and take no bits.
        Raises ValueError for another shape or type, codes out of range, or more frames than the header's samples
        need.
        """
        # The last full chunk waits for more frames, since only `close` knows whether it is the last of all.
        self._append(codes, most_waiting=self._frames_per_chunk - 1 if self._live else self._frames_per_chunk)

    def change(self, frames_per_chunk: int, entropy: EntropyModel | None) -> None:
        """Let chunks have `frames_per_chunk` frames, or as many as fit, from here on; what waits leaves as one.

        `entropy`: the model's, for these chunks.
        """
        if self._waiting.shape[2]:
            self._write_chunk(self._waiting)
            self._waiting = self._waiting[:, :, :0]
        self._frames_per_chunk = min(frames_per_chunk, max_frames_per_chunk(self._header))
        self._entropy = entropy

    def close(self, samples: int | None = None, *, tail: NDArray[Any] | None = None) -> None:
        """Write what waits and end the audio; a second call does nothing.

        `samples`: the length per channel at the original rate if the header leaves it unknown; None then stands
        for all that the frames cover. `tail`: the last codes [C, K, F], as if they were written before; also of a live
        stream the last chunk then has frames, so that who reads frame by frame knows before the last one where the
        audio ends. Raises ValueError if the frames written are not those that the samples need.
        """
        if self._closed:
            return
        if tail is not None:
            self._append(tail, most_waiting=self._frames_per_chunk)
        samples = self._final_samples(samples)
        if self._header.frames_for(samples) != self.frames:
            needed = self._header.frames_for(samples)
            raise ValueError(f"{samples} samples need {needed} frames, {self.frames} were written")
        if self._header.samples is None:
            end = uint_to_bytes(samples, spec.MAX_SAMPLES_BYTES)
            self._write_chunk(self._waiting, end=end)
        elif self._waiting.shape[2] > 0:
            self._write_chunk(self._waiting)
        self._waiting = self._waiting[:, :, :0]
        self._closed = True

    def _append(self, codes: NDArray[Any], *, most_waiting: int) -> None:
        """Add `codes`, and write full chunks until at most `most_waiting` frames wait."""
        self._check_codes(codes)
        waiting = np.concatenate([self._waiting, codes.astype(np.int32)], axis=2)
        start = 0
        while waiting.shape[2] - start > most_waiting:
            self._write_chunk(waiting[:, :, start : start + self._frames_per_chunk])
            start += self._frames_per_chunk
        self._waiting = waiting[:, :, start:].copy()

    def _final_samples(self, samples: int | None) -> int:
        header = self._header
        if header.samples is None:
            if samples is not None:
                return samples
            return self.frames * header.hop_length * header.original_rate_hz // header.sample_rate_hz
        if samples not in (None, header.samples):
            raise ValueError(f"the header says {header.samples} samples, close() {samples}")
        return header.samples

    def _check_codes(self, codes: NDArray[Any]) -> None:
        header = self._header
        if self._closed:
            raise ValueError("the writer is closed")
        if codes.ndim != 3 or codes.shape[:2] != (header.channels, header.num_codebooks):
            wanted = f"[{header.channels}, {header.num_codebooks}, F]"
            raise ValueError(f"codes must have the shape {wanted}, not {list(codes.shape)}")
        if codes.dtype.kind not in "iu":
            raise ValueError(f"codes must be integers, not {codes.dtype}")
        lowest = NO_CODE if self._varied else 0
        if codes.size and not (codes.min() >= lowest and codes.max() < header.codebook_size):
            raise ValueError(f"codes must be in {lowest} to {header.codebook_size - 1}")
        if not are_depths(codes):
            raise ValueError("a frame has a code above one that is -1: depth leaves out all layers above, no other")
        if header.frames is not None and self.frames + codes.shape[2] > header.frames:
            raise ValueError(f"more frames than the {header.frames} of {header.samples} samples")

    def _write_chunk(self, codes: NDArray[np.int32], *, end: bytes = b"") -> None:
        """Write a chunk; `end`, the number of samples, makes it the last one."""
        bits = self._header.bits_per_code
        if codes.min(initial=0) < 0:
            most = self._header.varied_bytes(codes.shape[2])
            coding, payload = spec.CODING_DEPTHS, pack_varied(codes, bits, self._entropy) if most else b""
            if not 0 < len(payload) <= most:
                half = codes.shape[2] // 2
                self._write_chunk(codes[:, :, :half])
                self._write_chunk(codes[:, :, half:], end=end)
                return
        else:
            coding, payload = pack_codes(codes.astype(np.uint16), bits, self._entropy)
        body = end + payload
        self._write_record(chunk_head(coding, codes.shape[2], len(body), is_last=bool(end)), body)
        self._written_frames += codes.shape[2]

    def _write_record(self, head: Head, body: bytes) -> None:
        self._send(head.to_bytes() + body + checksum(head, body, position=self._written_frames))

    def _send(self, data: bytes) -> None:
        write_all(self._file, data)
        self.written_bytes += len(data)
        if self._live:
            self._file.flush()


def max_frames_per_chunk(header: Header) -> int:
    """Count frames that fit into a chunk of a file with `header`, by the count's width and the bound on payloads."""
    codes_per_layer = spec.MAX_PAYLOAD_BYTES // header.num_codebooks * 8 // header.bits_per_code
    return min(spec.MAX_CHUNK_FRAMES, codes_per_layer // header.channels)
