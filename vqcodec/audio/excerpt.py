"""Excerpts: the part of a file that a row of a manifest names, in seconds, read with an error where it is not there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vqcodec.arrays import Wave
from vqcodec.audio.reader import AudioReader
from vqcodec.errors import AudioError
from vqcodec.frames import clock

START_COLUMNS = ("start", "offset")
DURATION_COLUMN = "duration"
_TOLERANCE_SECONDS = 0.1
"""What an excerpt may lack at the end of a file: times are often rounded, or of another decoder."""


@dataclass(frozen=True)
class Excerpt:
    """The part of a file from `start_seconds` (None: its beginning) on, `duration_seconds` long (None: to its end)."""

    start_seconds: float | None = None
    duration_seconds: float | None = None

    def span(self, rate_hz: int) -> tuple[int, int | None]:
        """Return the first sample and the number of samples; None: to the end."""
        length = None if self.duration_seconds is None else round(self.duration_seconds * rate_hz)
        return round((self.start_seconds or 0) * rate_hz), length

    def span_in(self, audio: AudioReader) -> tuple[int, int]:
        """Return the first sample and the number of samples of the excerpt in a file. Raises AudioError as `read`."""
        start, length = self.span(audio.rate_hz)
        present = max(0, audio.length_samples - start)
        count = present if length is None else min(length, present)
        if self != WHOLE:
            self._check_length(audio, count, audio.name)
        return start, count

    def read(self, audio: AudioReader, block_samples: int, name: str) -> Iterator[Wave]:
        """Yield the waves [C, n] of the excerpt; `name` is what errors call it.

        Raises AudioError as `AudioReader.blocks`, for no samples, and for a file that ends before the excerpt does.
        """
        start, length = self.span(audio.rate_hz)
        if start == 0 and length is None:
            blocks = audio.blocks(block_samples)
        else:
            blocks = audio.excerpt(block_samples, start_samples=start, length_samples=length)
        samples = 0
        for block in blocks:
            samples += block.shape[1]
            yield block
        if length is None or samples < length:  # it goes to the end, which may be that of a file that is cut
            audio.check_whole()
        self._check_length(audio, samples, name)

    def _check_length(self, audio: AudioReader, samples: int, name: str) -> None:
        start, length = self.span(audio.rate_hz)
        end_seconds = (start + samples if samples else audio.length_samples) / audio.rate_hz
        if not samples and 0 < audio.length_samples <= start:
            raise AudioError(
                f"{name}: begins at {clock(start / audio.rate_hz)}, but the audio is {clock(end_seconds)} "
                "long; correct its start"
            )
        if not samples:
            raise AudioError(f"{name}: holds no samples; leave it out")
        # A duration without a start is what a manifest says of the whole file, often by another program's count.
        if length is None or self.start_seconds is None:
            return
        if samples < length - _TOLERANCE_SECONDS * audio.rate_hz:
            raise AudioError(
                f"{name}: is to end at {clock((start + length) / audio.rate_hz)}, but the audio is "
                f"{clock(end_seconds)} long; correct its start and duration"
            )


WHOLE = Excerpt()
"""All of a file."""


def excerpt_of(values: Mapping[str, Any], where: str) -> Excerpt:
    """Return the excerpt that a row of a manifest names; `where` it is, for messages. Raises AudioError."""
    start = next((name for name in START_COLUMNS if values.get(name) not in ("", None)), START_COLUMNS[0])
    return Excerpt(
        _seconds(values.get(start), start, where), _seconds(values.get(DURATION_COLUMN), DURATION_COLUMN, where)
    )


def _seconds(value: Any, name: str, where: str) -> float | None:
    if value in ("", None):
        return None
    try:
        seconds = -1.0 if isinstance(value, bool) else float(value)
    except (ValueError, TypeError, OverflowError):
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise AudioError(f"{where}: {name} {value!r:.80} is no length of time in seconds; give a number such as 1.5")
    if name == DURATION_COLUMN and seconds == 0:
        raise AudioError(f"{where}: duration {value!r} leaves nothing; give more, or none for all up to the end")
    return seconds
