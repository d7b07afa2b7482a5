"""Write audio files in blocks (libsndfile: WAV, FLAC, Ogg, MP3), with errors that name the file."""

import io
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile

from vqcodec.arrays import Wave
from vqcodec.audio.libsndfile import HeldSoundFile
from vqcodec.audio.reader import TAGS
from vqcodec.errors import AudioError, OutputError

# Vorbis for .ogg: it takes any rate, while Opus in libsndfile takes five.
_ENCODINGS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", None),
}
_OPUS_RATES_HZ = (8000, 12000, 16000, 24000, 48000)
_WAV_LIMIT_BYTES = 0xFFFF_FFFF - 1024


class AudioWriter:
    """Write waves [C, n] to a file whose format its suffix names: .wav, .flac (16 bit), .ogg (Vorbis), .opus or .mp3.

    A context manager; use it inside `atomic_output`. Samples are clipped to [-1, 1]. Of `tags`, those that libsndfile
    knows (title, artist, album, date, genre, comment, copyright, license, tracknumber) are written. Raises AudioError
    for a suffix, rate or channel count that cannot be, OutputError of `name` (by default the path) when writing fails.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        rate_hz: int,
        channels: int,
        tags: Mapping[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        self.path = Path(path)
        self._name = name or str(path)
        check_format(self.path, rate_hz=rate_hz, channels=channels)
        container, encoding = _ENCODINGS[self.path.suffix.lower()]
        self._bytes_per_sample = 2 * channels
        self._written = 0
        try:
            self._file = soundfile.SoundFile(str(self.path), "w", rate_hz, channels, subtype=encoding, format=container)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            why = str(error).replace(repr(str(self.path)), "the file")
            raise OutputError(f"{self._name}: cannot write ({why}); choose another target") from None
        for tag in TAGS:
            if tags and tag in tags:
                setattr(self._file, tag, tags[tag])

    def write(self, wave: Wave) -> None:
        """Append `wave` [C, n]."""
        self._written += wave.shape[1]
        if self.path.suffix.lower() == ".wav" and self._written * self._bytes_per_sample > _WAV_LIMIT_BYTES:
            raise OutputError(f"{self._name}: longer than a WAV file can be (4 GiB); write .flac")
        try:
            self._file.write(np.clip(wave.T, -1.0, 1.0))
        except (soundfile.LibsndfileError, RuntimeError, AssertionError) as error:
            raise self._failed(error) from None

    def __enter__(self) -> "AudioWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except (soundfile.LibsndfileError, RuntimeError) as failure:
            if kind is None:
                raise self._failed(failure) from None
        if kind is None:
            self._verify()

    def _verify(self) -> None:
        """libsndfile can lose the end of a file on a full disk without saying so: count what is there."""
        if not self.path.is_file():  # /dev/null and the like
            return
        try:
            present = soundfile.info(str(self.path)).frames
        except soundfile.LibsndfileError as error:
            if self._written == 0:  # an empty Ogg or MP3 is written but not read
                return
            raise self._failed(error) from None
        if present < self._written:
            raise self._failed(f"only {present} of {self._written} samples arrived")

    def _failed(self, why: object) -> OutputError:
        return OutputError(f"{self._name}: cannot write ({why}); is there space left on the disk?")


def fitting_rate(path: str | Path, rate_hz: int) -> int:
    """Give the rate in Hz at which a file of this suffix holds sound of `rate_hz`: for Opus one of five."""
    if Path(path).suffix.lower() != ".opus" or rate_hz in _OPUS_RATES_HZ:
        return rate_hz
    return next((rate for rate in _OPUS_RATES_HZ if rate > rate_hz), _OPUS_RATES_HZ[-1])


def check_format(path: str | Path, *, rate_hz: int, channels: int) -> None:
    """Raise the AudioError that an AudioWriter for `path` would, before any work is done."""
    suffix = Path(path).suffix.lower()
    if suffix not in _ENCODINGS:
        raise AudioError(f"{path}: cannot write {suffix or 'a file without suffix'}; use {', '.join(_ENCODINGS)}")
    container, encoding = _ENCODINGS[suffix]
    if fitting_rate(path, rate_hz) != rate_hz:
        raise AudioError(f"{path}: Opus has no {rate_hz} Hz; use {fitting_rate(path, rate_hz)}, or .wav")
    try:
        HeldSoundFile(io.BytesIO(), "w", rate_hz, channels, subtype=encoding, format=container).close()
    except (soundfile.LibsndfileError, ValueError, RuntimeError):
        raise AudioError(
            f"{path}: {suffix} cannot hold {channels} channel(s) at {rate_hz} Hz; use .wav or another rate"
        ) from None
