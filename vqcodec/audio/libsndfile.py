"""One file as libsndfile reads it: of unknown length, with damage, with headers that lead nowhere."""

import contextlib
import io
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from vqcodec.system.signals import signals_held

UNKNOWN_SAMPLES = 1 << 62
"""A length that no file has: libsndfile says so where the header does not tell (FLAC written to a pipe)."""
ERRORS = (soundfile.LibsndfileError, RuntimeError)
"""What reading raises."""
_PIECE_SAMPLES = 1152
"""What is read at a time up to damage: a decoder of MPEG gives nothing of the piece that it meets it in."""


class HeldSoundFile(soundfile.SoundFile):  # type: ignore[misc]  # it has no types
    """A file object as libsndfile reads or writes it: signals wait, since it calls back into Python for the bytes."""

    def __init__(self, *args: Any, **options: Any) -> None:
        with signals_held():
            super().__init__(*args, **options)

    def read(self, *args: Any, **options: Any) -> NDArray[Any]:
        """Read as soundfile does."""
        with signals_held():
            read: NDArray[Any] = super().read(*args, **options)
        return read

    def write(self, data: NDArray[Any]) -> None:
        """Write as soundfile does."""
        with signals_held():
            super().write(data)

    def seek(self, *args: Any) -> int:
        """Seek as soundfile does."""
        with signals_held():
            return int(super().seek(*args))

    def close(self) -> None:
        """Close as soundfile does."""
        with signals_held():
            super().close()


class SoundFile(HeldSoundFile):
    """One to read, that does not seek to where it is after each read, which fails where the length is unknown."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(_Forgiving(file))
        self._has_sound = self._is_damaged = False

    def seekable(self) -> bool:
        """Tell whether libsndfile can seek in the file."""
        return bool(super().seekable()) and self.frames < UNKNOWN_SAMPLES

    def read_to_damage(self, samples: int) -> NDArray[np.float32]:
        """Read up to `samples` [n, C] float32, as few as there are in front of damage, with which the sound ends.

        Raises what `read` does, where the damage is in front of all sound.
        """
        out = np.empty((samples, self.channels), np.float32)
        done = 0
        while done < samples and not self._is_damaged:
            piece = out[done : done + _PIECE_SAMPLES]
            before = self.tell() if self.seekable() else 0
            try:
                count = len(self.read(out=piece))
            except ERRORS:
                count = min(len(piece), max(0, self.tell() - before)) if self.seekable() else 0
                if not self._has_sound and not count:
                    raise
                self._is_damaged = True
            self._has_sound = True
            done += count
            if count < len(piece):
                break
        return out[:done]


class _Forgiving:
    """A file in which a seek to nowhere stays where it is, as damaged headers ask for; else Python would print it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Seek as the file does, or stay."""
        with contextlib.suppress(OSError, ValueError):
            self._file.seek(offset, whence)
        return self._file.tell()
