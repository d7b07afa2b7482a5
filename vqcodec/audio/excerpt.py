"""Excerpts: the part of a file that a row of a manifest names, read with an error where it is not there.

The one reading of the columns start, offset, duration, end and channel, for every command that takes a manifest.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vqcodec.arrays import Wave
from vqcodec.audio.reader import AudioReader
from vqcodec.errors import AudioError
from vqcodec.frames import clock

START_COLUMNS = ("start", "offset")
DURATION_COLUMN = "duration"
END_COLUMN = "end"
CHANNEL_COLUMN = "channel"
EXCERPT_COLUMNS = (*START_COLUMNS, DURATION_COLUMN, END_COLUMN, CHANNEL_COLUMN)
"""All columns of a manifest that say which part of a file is meant."""
_TOLERANCE_SECONDS = 0.1
"""What an excerpt may lack at the end of a file: times are often rounded, or of another decoder."""
_ROUNDING_SECONDS = 0.02
"""What start + duration and end, or start and offset, may differ by: each may be rounded to hundredths."""


@dataclass(frozen=True)
class Excerpt:
    """The part of a file from `start_seconds` (None: its beginning) on, `duration_seconds` long (None: to its end).

    channel: the only one that is read, from 0; None: all of them
    """

    start_seconds: float | None = None
    duration_seconds: float | None = None
    channel: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it goes from the beginning to the end, of one channel or of all."""
        return self.start_seconds is None and self.duration_seconds is None

    def channels_in(self, audio: AudioReader, name: str) -> int:
        """Count the channels that `read` gives of a file that errors call `name`. Raises AudioError as `read`."""
        if self.channel is None:
            return audio.channels
        if self.channel >= audio.channels:
            there = "0, or none" if audio.channels == 1 else f"0 to {audio.channels - 1}"
            raise AudioError(f"{name}: has no channel {self.channel}; give {there}")
        return 1

    def span(self, rate_hz: int) -> tuple[int, int | None]:
        """Return the first sample and the number of samples; None: to the end."""
        length = None if self.duration_seconds is None else round(self.duration_seconds * rate_hz)
        return round((self.start_seconds or 0) * rate_hz), length

    def span_in(self, audio: AudioReader) -> tuple[int, int]:
        """Return the first sample and the number of samples of the excerpt in a file. Raises AudioError as `read`."""
        self.channels_in(audio, audio.name)
        start, length = self.span(audio.rate_hz)
        present = max(0, audio.length_samples - start)
        count = present if length is None else min(length, present)
        if not self.is_whole:
            self._check_length(audio, count, audio.name)
        return start, count

    def read(self, audio: AudioReader, block_samples: int, name: str) -> Iterator[Wave]:
        """Yield the waves [C, n] of the excerpt, C = 1 where it names a channel; `name` is what errors call it.

        Raises AudioError as `AudioReader.blocks`, for no samples, for a channel that the file does not have, and for a
        file that ends before the excerpt does.
        """
        self.channels_in(audio, name)
        chosen = slice(None) if self.channel is None else slice(self.channel, self.channel + 1)
        start, length = self.span(audio.rate_hz)
        if start == 0 and length is None:
            blocks = audio.blocks(block_samples)
        else:
            blocks = audio.excerpt(block_samples, start_samples=start, length_samples=length)
        samples = 0
        for block in blocks:
            samples += block.shape[1]
            yield block[chosen]
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
    """Return the excerpt that a row of a manifest names; `where` it is, for messages.

    The columns: `start` or `offset`, `duration` or `end`, in seconds, and `channel`, from 0; an empty one says nothing.
    Raises AudioError for what is no time or channel, and for columns that contradict each other.
    """
    filled = {name: values[name] for name in EXCERPT_COLUMNS if values.get(name) not in ("", None)}
    seconds = {name: _seconds(value, name, where) for name, value in filled.items() if name != CHANNEL_COLUMN}
    channel = _channel(filled[CHANNEL_COLUMN], where) if CHANNEL_COLUMN in filled else None
    start, offset, duration, end = (seconds.get(name) for name in (*START_COLUMNS, DURATION_COLUMN, END_COLUMN))
    if start is None:
        start = offset
    elif offset is not None and abs(start - offset) > _ROUNDING_SECONDS:
        told = " and ".join(f"{name} {filled[name]!r:.40}" for name in START_COLUMNS)
        raise AudioError(f"{where}: {told} contradict each other; keep one of them")
    if end is None:
        return Excerpt(start, duration, channel)
    start = start or 0.0
    if end <= start:
        raise AudioError(f"{where}: end {filled[END_COLUMN]!r:.40} is not behind the start, {start:g}; correct one")
    if duration is not None and abs(start + duration - end) > _ROUNDING_SECONDS:
        raise AudioError(
            f"{where}: duration {filled[DURATION_COLUMN]!r:.40} from {start:g} on and end {filled[END_COLUMN]!r:.40} "
            "contradict each other; keep one of them"
        )
    return Excerpt(start, end - start, channel)


def _seconds(value: Any, name: str, where: str) -> float:
    try:
        seconds = -1.0 if isinstance(value, bool) else float(value)
    except (ValueError, TypeError, OverflowError):
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise AudioError(f"{where}: {name} {value!r:.80} is no length of time in seconds; give a number such as 1.5")
    if name == DURATION_COLUMN and seconds == 0:
        raise AudioError(f"{where}: duration {value!r} leaves nothing; give more, or none for all up to the end")
    return seconds


def _channel(value: Any, where: str) -> int:
    """Also 1.0, as pandas writes a column in which some are missing."""
    whole = re.fullmatch(r"(\d{1,9})(\.0*)?", str(value).strip(), re.ASCII)
    if whole is None:
        raise AudioError(f"{where}: channel {value!r:.40} is no number of a channel; give 0, 1 ...")
    return int(whole[1])
