"""Read audio files in blocks (libsndfile: WAV, FLAC, Ogg, MP3), with errors that name the file."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import soundfile

from vqcodec.arrays import Wave, find_peak_fault, flushed
from vqcodec.audio import OnTruncated, checked_on_truncated
from vqcodec.audio.containers import decoded, is_container
from vqcodec.audio.extent import find_fault, is_mpeg, whole
from vqcodec.audio.extent.mpeg import least_samples
from vqcodec.audio.libsndfile import ERRORS, UNKNOWN_SAMPLES, HeldSoundFile, SoundFile
from vqcodec.audio.stderr import named_stderr
from vqcodec.errors import AudioError
from vqcodec.frames import clock
from vqcodec.output import check_length, seekable_copy

MIN_RATE_HZ, MAX_RATE_HZ, MAX_CHANNELS = 4000, 192000, 255

TAGS = ("title", "artist", "album", "date", "genre", "comment", "copyright", "license", "tracknumber")
"""What libsndfile knows to read and write, under the same names."""
_MAX_TAG_LENGTH = 4096
_UNRECOGNIZED = 1
"""SF_ERR_UNRECOGNISED_FORMAT"""
_COUNTED_SAMPLES = 1 << 18
_MOST_HEADER_BYTES = 4096
"""A file without samples is not larger: some programs write 0 as the length when they cannot seek back."""


_REMEDY = "fetch or convert it anew; encode and tokenize take what can be read with --on-truncated take"


class AudioReader:
    """An audio file, opened; a context manager.

    `source` is a path or a binary file object; one that cannot seek (a pipe) is copied to a temporary file first.
    `name` is what errors call it. `on_truncated` says what becomes of a file that is cut, or that goes on where
    libsndfile stops: "refuse" it, or "take" what can be read.
    `rate_hz`, `channels` and `length_samples` (per channel) are known at once; where `is_length_exact` is false (MP3,
    and what is taken although it may be cut), more or fewer samples may come. `tags` are the file's title, artist and
    so on. Samples of float files beyond [-1, 1] are kept. Raises AudioError for anything that is no sound, or no sound
    that we code (4 to 192 kHz), ConfigError for another `on_truncated`.
    """

    def __init__(
        self, source: str | Path | BinaryIO, *, name: str | None = None, on_truncated: OnTruncated = "refuse"
    ) -> None:
        self.name = name or (str(source) if isinstance(source, str | Path) else "standard input")
        self._on_truncated = checked_on_truncated(on_truncated)
        self._cleanup = contextlib.ExitStack()
        try:
            self._bytes = self._open_bytes(source)
            self._file = self._open()
            self.rate_hz: int = self._file.samplerate
            self.channels: int = self._file.channels
            self.length_samples: int = self._file.frames
            self.is_length_exact = self._file.format != "MP3" and on_truncated == "refuse"
            if self.length_samples >= UNKNOWN_SAMPLES:
                self._count()
            self.tags = self._read_tags()
            self._check()
        except BaseException:
            self._cleanup.close()
            raise

    def blocks(self, block_samples: int) -> Iterator[Wave]:
        """Yield the samples from the beginning, as waves [C, n], n <= block_samples.

        Raises AudioError for NaN or Inf, and for a file that is not whole, before its first block where that shows.
        """
        self.check_whole()
        done = 0
        while True:
            block = self._read(block_samples, done)
            done += block.shape[1]
            if block.shape[1]:
                yield block
            if block.shape[1] < block_samples:
                break
        if self._on_truncated == "take":
            return
        least = self.length_samples if self.is_length_exact else least_samples(self._bytes)
        if done < least:
            raise AudioError(
                f"{self.name}: ends after {clock(done / self.rate_hz)} of {clock(least / self.rate_hz)}; "
                f"the file is cut or damaged; {_REMEDY}"
            )

    def glance(self, most_seconds: float) -> Wave:
        """Read up to `most_seconds` from the middle, as a wave [C, n]; `blocks` begins at the beginning all the same.

        Raises AudioError as `blocks`.
        """
        most = round(most_seconds * self.rate_hz)
        start = max(0, (self.length_samples - most) // 2)
        try:
            parts = list(self.excerpt(most, start_samples=start, length_samples=most))
        finally:
            self._file = self._open()
        return np.concatenate([np.zeros((self.channels, 0), np.float32), *parts], axis=1)

    def has_equal_channels(self) -> bool:
        """Tell whether there are several channels, all the same; `blocks` begins at the beginning all the same.

        Reads the file up to where they differ. False for a file that `blocks` cannot read.
        """
        if self.channels == 1:
            return False
        try:
            return all(bool((block == block[:1]).all()) for block in self.blocks(_COUNTED_SAMPLES))
        except AudioError:
            return False
        finally:
            self._file = self._open()

    def check_whole(self) -> None:
        """Raise AudioError if the file is cut, or goes on where libsndfile stops, unless such are taken."""
        fault = self._fault() if self._on_truncated == "refuse" else None
        if fault:
            raise AudioError(f"{self.name}: {fault}; {_REMEDY}")

    def _fault(self) -> str | None:
        return find_fault(self._bytes, self._file.extra_info, self._file.frames)

    def excerpt(self, block_samples: int, *, start_samples: int, length_samples: int | None) -> Iterator[Wave]:
        """Yield blocks from `start_samples` on, at most `length_samples`; nothing lies behind the end."""
        try:
            done = self._seek(min(start_samples, self.length_samples))
        except ERRORS as error:
            raise AudioError(
                f"{self.name}: cannot be read from {clock(start_samples / self.rate_hz)} ({_reason(error)})"
            ) from None
        end = None if length_samples is None else done + length_samples
        while end is None or done < end:
            block = self._read(block_samples if end is None else min(block_samples, end - done), done)
            if not block.shape[1]:
                break
            done += block.shape[1]
            yield block

    def _read(self, samples: int, first: int) -> Wave:
        """The next samples [C, n], of which sample `first` is the first."""
        try:
            with self._named():
                if self._on_truncated == "take":
                    block: Wave = self._file.read_to_damage(samples).T
                else:
                    block = self._file.read(samples, dtype="float32", always_2d=True).T
        except ERRORS as error:
            remedy = f"; {_REMEDY}" if self._on_truncated == "refuse" else ""
            raise AudioError(
                f"{self.name}: unreadable after {clock(first / self.rate_hz)} ({_reason(error)}); "
                f"the file is damaged{remedy}"
            ) from None
        check_finite(block, self.name, first=first, rate_hz=self.rate_hz)
        check_peak(block, self.name)
        return flushed(block)

    def _named(self) -> contextlib.AbstractContextManager[None]:
        """While libmpg123 works, which prints what it thinks of a file without its name."""
        return named_stderr(self.name) if self._prints else contextlib.nullcontext()

    def __enter__(self) -> "AudioReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def _open_bytes(self, source: str | Path | BinaryIO) -> BinaryIO:
        """A file that can seek."""
        if isinstance(source, str | Path):
            source = self._open_path(Path(source))
        opened = source if source.seekable() else self._spool(source)
        self._size_bytes = opened.seek(0, io.SEEK_END)
        opened.seek(0)
        if self._size_bytes == 0:
            raise AudioError(f"{self.name}: empty file; give an audio file")
        return opened

    def _open(self) -> SoundFile:
        """Open with libsndfile; every failure becomes an AudioError."""
        source = whole(self._bytes, is_cut_taken=self._on_truncated == "take")
        self._prints = is_mpeg(self._bytes)
        source.seek(0)
        try:
            with self._named():
                opened = SoundFile(source)
            self._cleanup.callback(opened.close)
            return opened
        except (*ERRORS, TypeError) as error:
            if fault := find_fault(self._bytes):
                raise AudioError(f"{self.name}: {fault}; fetch or convert it anew") from None
            self._bytes.seek(0)
            if not is_container(self._bytes.read(16)):
                raise AudioError(f"{self.name}: {_no_audio(error)}") from None
        self._bytes = self._cleanup.enter_context(decoded(self._bytes, self.name, self._on_truncated))
        return self._open()

    def _count(self) -> None:
        """Find the length of a file whose header does not tell it, by reading it once."""
        self.length_samples = 0
        while count := self._read(_COUNTED_SAMPLES, self.length_samples).shape[1]:
            self.length_samples += count
        self._file = self._open()

    def _seek(self, sample: int) -> int:
        if self._file.frames < UNKNOWN_SAMPLES:
            return int(self._file.seek(sample))
        for done in range(0, sample, _COUNTED_SAMPLES):  # libFLAC cannot seek without a length
            self._read(min(_COUNTED_SAMPLES, sample - done), done)
        return sample

    def _open_path(self, path: Path) -> BinaryIO:
        """The file of `path`, or what can be read from a named pipe."""
        check_length(path, AudioError)
        if path.is_dir():
            raise AudioError(f"{path}: is a folder; give a file")
        try:
            return self._cleanup.enter_context(path.open("rb"))
        except OSError as error:
            raise AudioError(f"{path}: cannot read ({error.strerror}); give an audio file") from None

    def _spool(self, source: BinaryIO) -> BinaryIO:
        """A copy that can seek, as libsndfile must."""
        return self._cleanup.enter_context(seekable_copy(source, self._look))

    def _look(self, head: bytes) -> None:
        """Raise AudioError for the first bytes of a pipe that begin no format which libsndfile knows."""
        try:
            HeldSoundFile(io.BytesIO(head)).close()
        except soundfile.LibsndfileError as error:
            if head and error.code == _UNRECOGNIZED and not (head.startswith(b"ID3") or is_container(head)):
                raise AudioError(f"{self.name}: {_no_audio(error)}") from None

    def _read_tags(self) -> dict[str, str]:
        """Tags by name, each a text without control characters but for line ends and tabs."""
        texts = {name: str(getattr(self._file, name)).replace("\r\n", "\n") for name in TAGS}
        cleaned = {name: "".join(c for c in text if c >= " " or c in "\n\t").strip() for name, text in texts.items()}
        return {name: text[:_MAX_TAG_LENGTH] for name, text in cleaned.items() if text}

    def _check(self) -> None:
        if not MIN_RATE_HZ <= self.rate_hz <= MAX_RATE_HZ:
            raise AudioError(f"{self.name}: rate {self.rate_hz} Hz is not in {MIN_RATE_HZ}..{MAX_RATE_HZ}; resample it")
        if self.length_samples == 0 and self._size_bytes > _MOST_HEADER_BYTES:
            fault = self._fault() or f"its header says 0 samples, yet it has {self._size_bytes} bytes"
            raise AudioError(f"{self.name}: {fault}; fetch or convert it anew")
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise AudioError(f"{self.name}: {self.channels} channels, more than {MAX_CHANNELS}; split the file")


def _no_audio(error: Exception) -> str:
    return f"no audio that libsndfile reads ({_reason(error)}); give WAV, FLAC, Ogg or MP3"


def _reason(error: Exception) -> str:
    """What libsndfile says, without the address of the file object."""
    return str(getattr(error, "error_string", error)).rstrip(".")


def first_bad(wave: Wave) -> int:
    """Return the first sample of `wave` [C, n] that is NaN or infinite in a channel; n if there is none."""
    finite = np.isfinite(wave).all(axis=0)
    return wave.shape[1] if finite.all() else int(np.argmin(finite))


def check_finite(wave: Wave, name: str, *, first: int, rate_hz: int) -> None:
    """Raise the AudioError of `name` if a sample of `wave` [C, n] is NaN or infinite; `first` is its first sample."""
    bad = first_bad(wave)
    if bad < wave.shape[1]:
        second = (first + bad) / rate_hz
        raise AudioError(f"{name}: a sample at {clock(second, decimals=3)} is NaN or infinite; repair the file")


def check_peak(wave: Wave, name: str) -> None:
    """Raise the AudioError of `name` if samples of `wave` [C, n] are in the range of integers; full scale is 1."""
    peak = float(np.abs(wave).max(initial=0.0))
    if fault := find_peak_fault(peak):
        raise AudioError(f"{name}: {fault}; divide integers in float by 32768 or so")
