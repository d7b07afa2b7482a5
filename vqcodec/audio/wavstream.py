"""Samples in streams: WAV and raw PCM, read from pipes as they come and written so (`files` needs files that seek).

The header of a stream was written before its length was known: sizes of 0 or from 0x7FFF0000 on stand for "to the end",
since arecord, sox and ffmpeg write 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFF and the like.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike

from vqcodec.arrays import Wave, flushed
from vqcodec.audio.reader import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ, check_finite, check_peak, first_bad
from vqcodec.errors import AudioError
from vqcodec.system.pipes import is_at_hand, read_exactly, read_some, write_all

UNKNOWN_BYTES = 0xFFFF_FFFF
"""The size in a header that we write before the length is known, as ffmpeg does."""
_FIRST_UNKNOWN_BYTES = 0x7FFF_0000
_RIFF_HEAD_BYTES, _CHUNK_HEAD_BYTES, _HEADER_BYTES = 12, 8, 44
_SHORTEST_FORMAT_BYTES, _EXTENSIBLE_BYTES, _LONGEST_FORMAT_BYTES = 16, 40, 4096
_SKIP_BYTES = 1 << 16
_LONG_SIZES_BYTES = 16
"""The sizes of an RF64 file and of its data, 64 bits each, at the start of its ds64."""
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_SUBFORMAT_END = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the format's number in the GUID of a WAVE_FORMAT_EXTENSIBLE."""


def _from_24_bits(data: bytes) -> Wave:
    padded = np.zeros((len(data) // 3, 4), np.uint8)
    padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return _scaled(padded.tobytes(), "<i4", 31)


def _scaled(data: bytes, kind: DTypeLike, bits: int) -> Wave:
    return np.frombuffer(data, kind).astype(np.float32) * np.float32(2.0**-bits)


def _from_doubles(data: bytes) -> Wave:
    with np.errstate(over="ignore"):  # what becomes infinite is refused with its place
        return np.frombuffer(data, "<f8").astype(np.float32)


_DECODERS: dict[tuple[int, int], Callable[[bytes], Wave]] = {
    (_PCM, 8): lambda data: _scaled(data, np.uint8, 7) - np.float32(1),
    (_PCM, 16): lambda data: _scaled(data, "<i2", 15),
    (_PCM, 24): _from_24_bits,
    (_PCM, 32): lambda data: _scaled(data, "<i4", 31),
    (_FLOAT, 32): lambda data: np.frombuffer(data, "<f4"),
    (_FLOAT, 64): _from_doubles,
}
"""Bytes of whole samples -> floats in [-1, 1], by the format's number and the bits of a sample."""


@dataclass(frozen=True)
class SampleFormat:
    """How the samples of a stream are laid out: channel by channel, `encoding` and `bits` as WAV names them.

    The default is that of raw streams: 16-bit little-endian integers. Raises AudioError for what cannot be coded.
    """

    rate_hz: int
    channels: int
    bits: int = 16
    encoding: int = _PCM

    def __post_init__(self) -> None:
        if not MIN_RATE_HZ <= self.rate_hz <= MAX_RATE_HZ:
            raise AudioError(f"rate {self.rate_hz} Hz is not in {MIN_RATE_HZ}..{MAX_RATE_HZ}; resample it")
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise AudioError(f"{self.channels} channels, not 1 to {MAX_CHANNELS}")
        if (self.encoding, self.bits) not in _DECODERS:
            raise AudioError(
                f"samples of {self.bits} bits in WAV format {self.encoding}; give 8 to 32-bit integers or 32-bit floats"
            )

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * self.bits // 8

    def to_wave(self, data: bytes) -> Wave:
        """Return the wave [C, n] of whole samples."""
        return _DECODERS[self.encoding, self.bits](data).reshape(-1, self.channels).T


class SampleStream:
    """A stream of samples that is read as it comes: `raw` is its format, None has it start with a WAV header.

    `format` is known at once. Errors start with `name`. Raises AudioError for anything that is no WAV stream, or none
    that we code.
    """

    def __init__(self, file: IO[bytes], *, name: str, raw: SampleFormat | None = None) -> None:
        self._file = file
        self._name = name
        self._left_bytes: int | None = None  # None: to the end
        self._cut_bytes = self._padding_bytes = 0
        try:
            self.format = raw or self._read_header()
        except AudioError as error:
            raise AudioError(f"{name}: {error}") from None

    def blocks(self, most_samples: int) -> Iterator[Wave]:
        """Yield what has come, as waves [C, n], 1 <= n <= most_samples, to the end of the stream or of its WAV data.

        A sample that is cut at the end is dropped; `find_fault` then tells of it. Raises AudioError for NaN or Inf,
        after the samples before it, and for samples in the range of integers.
        """
        data, done = b"", 0
        while more := self._next(most_samples * self.format.frame_bytes - len(data)):
            data += more
            whole = len(data) - len(data) % self.format.frame_bytes
            if whole:
                wave = flushed(self.format.to_wave(data[:whole]))
                good = first_bad(wave)
                check_peak(wave[:, :good], self._name)
                if good:
                    yield wave[:, :good]
                check_finite(wave, self._name, first=done, rate_hz=self.format.rate_hz)
                done += wave.shape[1]
                data = data[whole:]
        self._cut_bytes = len(data)

    def find_fault(self) -> str | None:
        """Tell, when all `blocks` have come, what is wrong with the length of the stream; None: nothing.

        It has ended too early, or goes on with what would be left out, as far as that shows without waiting.
        """
        if self._left_bytes:
            return f"is cut: {self._left_bytes} bytes of audio that its header announces have not come"
        if self._cut_bytes:
            return f"is cut: its last sample has {self._cut_bytes} of {self.format.frame_bytes} bytes"
        if self._left_bytes is None:
            return None
        behind = b""
        while len(behind) < _CHUNK_HEAD_BYTES and is_at_hand(self._file):
            if not (more := read_some(self._file, _CHUNK_HEAD_BYTES - len(behind))):
                break
            behind += more
        name = behind[self._padding_bytes :][:4]
        if name in (b"RIFF", b"RIFX", b"RF64"):
            return "has another file joined to it, which would be left out"
        if not all(0x20 <= byte < 0x7F for byte in name):
            return "goes on behind the audio that its header announces, which would be left out"
        return None

    def _next(self, most_bytes: int) -> bytes:
        if self._left_bytes is None:
            return read_some(self._file, most_bytes)
        data = read_some(self._file, min(most_bytes, self._left_bytes)) if self._left_bytes else b""
        self._left_bytes -= len(data)
        return data

    def _read_header(self) -> SampleFormat:
        """Read up to the first sample."""
        start = read_exactly(self._file, _RIFF_HEAD_BYTES)
        if not start:
            raise AudioError("empty stream; give WAV or raw samples")
        if len(start) == _RIFF_HEAD_BYTES and (start[:4] not in (b"RIFF", b"RF64") or start[8:] != b"WAVE"):
            raise AudioError(f"no WAV stream (it starts with {start!r}); give WAV, or the rate of raw samples")
        found, passed = None, _RIFF_HEAD_BYTES
        riff_bytes = int.from_bytes(start[4:8], "little") + _CHUNK_HEAD_BYTES
        long_bytes: int | None = None
        while True:
            head = self._exactly(_CHUNK_HEAD_BYTES)
            size = int.from_bytes(head[4:], "little")
            passed += _CHUNK_HEAD_BYTES
            if head[:4] == b"data" and found is not None:
                # 0 is unknown as well, unless the file is known to go on: then there is no sound before what follows.
                is_empty = size == 0 and passed < riff_bytes < _FIRST_UNKNOWN_BYTES
                if is_empty or 0 < size < _FIRST_UNKNOWN_BYTES:
                    self._left_bytes = size
                elif long_bytes:
                    self._left_bytes = long_bytes
                self._padding_bytes = (self._left_bytes or 0) % 2
                return found
            if head[:4] == b"data":
                raise AudioError("a WAV stream without a format before its data")
            if head[:4] == b"fmt ":
                found = self._read_format(size)
            elif head[:4] == b"ds64" and size >= _LONG_SIZES_BYTES:
                long_bytes = int.from_bytes(self._exactly(_LONG_SIZES_BYTES)[8:], "little")
                self._skip(size - _LONG_SIZES_BYTES)
            else:
                self._skip(size)
            self._skip(size % 2)
            passed += size + size % 2

    def _read_format(self, size: int) -> SampleFormat:
        if not _SHORTEST_FORMAT_BYTES <= size <= _LONGEST_FORMAT_BYTES:
            raise AudioError(f"a WAV format of {size} bytes; the stream is damaged")
        body = self._exactly(size)
        encoding, channels, rate_hz, _, frame_bytes, bits = struct.unpack("<HHIIHH", body[:_SHORTEST_FORMAT_BYTES])
        if encoding == _EXTENSIBLE and body[26:_EXTENSIBLE_BYTES] == _SUBFORMAT_END:
            encoding = int.from_bytes(body[24:26], "little")
        found = SampleFormat(rate_hz, channels, bits, encoding)
        if frame_bytes != found.frame_bytes:
            raise AudioError(f"{channels} samples of {bits} bits in {frame_bytes} bytes; the stream is damaged")
        return found

    def _skip(self, length_bytes: int) -> None:
        while length_bytes:
            length_bytes -= len(self._exactly(min(length_bytes, _SKIP_BYTES)))

    def _exactly(self, length_bytes: int) -> bytes:
        data = read_exactly(self._file, length_bytes)
        if len(data) < length_bytes:
            raise AudioError("a WAV stream that ends inside its header")
        return data


class SampleWriter:
    """Writes waves [C, n] as 16-bit samples, each flushed; a WAV header of unknown length comes first unless `raw`."""

    def __init__(self, file: IO[bytes], *, rate_hz: int, channels: int, raw: bool = False) -> None:
        self._file = file
        self._rate_hz, self._channels, self._raw = rate_hz, channels, raw
        self.samples = 0
        if not raw:
            self._send(wav_header(rate_hz, channels))

    def write(self, wave: Wave) -> None:
        """Append `wave`, clipped to [-1, 1] and rounded down, as libsndfile does."""
        self.samples += wave.shape[1]
        scaled = np.floor(wave.T * np.float32(0x8000))
        self._send(np.clip(scaled, -0x8000, 0x7FFF).astype("<i2").tobytes())

    def fill_in_length(self) -> None:
        """Write the length into the header, at the start of a file that can seek, unless WAV cannot hold it."""
        data_bytes = 2 * self._channels * self.samples
        if not self._raw and data_bytes + _HEADER_BYTES <= UNKNOWN_BYTES:
            self._file.seek(0)
            self._send(wav_header(self._rate_hz, self._channels, data_bytes))

    def _send(self, data: bytes) -> None:
        write_all(self._file, data)
        self._file.flush()


def wav_header(rate_hz: int, channels: int, data_bytes: int = UNKNOWN_BYTES) -> bytes:
    """Return the 44 bytes before 16-bit samples."""
    riff_bytes = min(data_bytes + _HEADER_BYTES - _CHUNK_HEAD_BYTES, UNKNOWN_BYTES)
    fields: tuple[Any, ...] = (16, _PCM, channels, rate_hz, 2 * channels * rate_hz, 2 * channels, 16)
    return struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", riff_bytes, b"WAVEfmt ", *fields, b"data", data_bytes)
