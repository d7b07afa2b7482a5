"""Training segments as a function of their index: the same index gives the same samples in any process and any run.

That is what makes a resumed run see the data that an uninterrupted one would: there is no position to save but the
step. Clips are drawn in proportion to their length.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from typing_extensions import override

from vqcodec.arrays import Wave
from vqcodec.audio.discover import find_audio
from vqcodec.audio.excerpt import WHOLE, Excerpt
from vqcodec.audio.pitch_shift import shift_pitch
from vqcodec.audio.reader import AudioReader
from vqcodec.errors import AudioError, TrainingError
from vqcodec.frames import ceil_div
from vqcodec.training.config import DataConfig
from vqcodec.training.data.augment import (
    Surroundings,
    augment,
    change_speed,
    degraded_pair,
    draw_disguise,
    draw_speed,
)

SPEAKER_COLUMN = "speaker"
"""The column of manifests that says who speaks."""
_BLOCK_SAMPLES = 1 << 20


@dataclass(frozen=True)
class _Clip:
    """One channel of a file, or the part of it that a manifest names."""

    path: str
    rate_hz: int
    length_samples: int
    start_samples: int = 0
    channel: int = 0
    speaker: str = ""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.length_samples / self.rate_hz


@dataclass(frozen=True)
class Batch:
    """wave [B, 1, T] float32, and the files that its segments come from.

    heard:    for an enhancer, or a decoder that is told the speaker: what the encoder hears instead, as `wave`
    speakers: [B] int64, who speaks
    """

    wave: Tensor
    paths: list[str]
    heard: Tensor | None = None
    speakers: Tensor | None = None


class Segment(NamedTuple):
    """samples [T], or [2, T] with what the encoder hears behind; the path of the clip; which speaker, or -1."""

    samples: Tensor
    path: str
    speaker: int = -1


class Segments(Dataset[Segment]):
    """Random augmented segments, [segment_samples] float32 at `rate_hz`.

    pairs:    a segment is [2, segment_samples]: clean, and as an enhancer hears it
    speakers: names; of the clips of others none is used, and a segment is [2, segment_samples]: as it is, and in
              another voice (`config.disguise`) or as it is. A speaker is drawn by the root of how long he speaks, so
              that few are not drowned by many.
    """

    def __init__(
        self, config: DataConfig, rate_hz: int, seed: int, *, pairs: bool = False, speakers: Sequence[str] = ()
    ) -> None:
        self.config, self.rate_hz, self.seed, self.pairs = config, rate_hz, seed, pairs
        self.segment_samples = round(config.segment_seconds * rate_hz)
        self.clips = usable_clips(config)
        self._indices = {name: index for index, name in enumerate(speakers)}
        if speakers:
            self.clips = _spoken_by(self.clips, speakers)
        seconds = np.array([clip.seconds for clip in self.clips])
        self.hours = float(seconds.sum()) / 3600
        if speakers:
            of_speaker = seconds_by_speaker(self.clips)
            seconds /= np.sqrt([of_speaker[clip.speaker] for clip in self.clips])
        self._around = Surroundings(*(_recordings(sources, rate_hz) for sources in (config.noises, config.rooms)))
        self._cumulative = np.cumsum(seconds) / seconds.sum()
        self._cache: dict[tuple[str, int], NDArray[np.int16]] = {}
        self._cached_bytes = 0

    @override
    def __getitem__(self, index: int) -> Segment:
        """Segment number `index`, the same for every call."""
        random = np.random.default_rng((self.seed, index))
        clip = self.clips[int(np.searchsorted(self._cumulative, random.random(), side="right"))]
        speed = draw_speed(random, self.config)
        wanted = ceil_div(int(self.segment_samples * speed * clip.rate_hz), self.rate_hz) + 1
        start = int(random.integers(0, max(1, clip.length_samples - wanted + 1)))
        samples = self._read(clip, clip.start_samples + start, min(wanted, clip.length_samples - start))
        samples = change_speed(samples, speed)
        if clip.rate_hz != self.rate_hz:
            samples = soxr.resample(samples, clip.rate_hz, self.rate_hz)
        samples = _fit(samples, self.segment_samples)
        if self.pairs:
            samples = np.stack(self.degraded(samples, random))
        else:
            samples = augment(samples, self.rate_hz, random, self.config, self._around)
        if not self._indices:
            return Segment(torch.from_numpy(samples), clip.path)
        factor = draw_disguise(random, self.config)
        pair = np.stack((samples, shift_pitch(samples, factor, self.rate_hz)))
        return Segment(torch.from_numpy(pair), clip.path, self._indices[clip.speaker])

    def degraded(self, samples: NDArray[np.float32], random: np.random.Generator) -> tuple[Wave, Wave]:
        """Return what an enhancer shall give, and what it hears, of `samples` [T]."""
        return degraded_pair(samples, self.rate_hz, random, self.config, self._around)

    def _read(self, clip: _Clip, start: int, count: int) -> NDArray[np.float32]:
        """`count` samples (fewer at the end) of the channel of the clip."""
        key = clip.path, clip.channel
        if key in self._cache:
            return self._cache[key][start : start + count].astype(np.float32) / np.float32(32768)
        if self._cached_bytes < self.config.cache_mb * 1_000_000:
            samples, _ = read_one_channel(clip.path, Excerpt(channel=clip.channel))
            self._cache[key] = np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)
            self._cached_bytes += self._cache[key].nbytes
            return self._read(clip, start, count)
        with AudioReader(clip.path) as reader:
            return _joined(reader.excerpt(count, start_samples=start, length_samples=count), clip.channel)


def read_one_channel(path: str, excerpt: Excerpt = WHOLE) -> tuple[NDArray[np.float32], int]:
    """Read the samples [T] of an audio file, or a part of it, and their rate in Hz.

    Of the channel that the excerpt names, by default the first. Raises AudioError for what cannot be read, holds no
    samples or not that channel, or ends before the excerpt does.
    """
    with AudioReader(path) as reader:
        return _joined(excerpt.read(reader, _BLOCK_SAMPLES, path), 0), reader.rate_hz


def _joined(blocks: Iterable[NDArray[np.float32]], channel: int) -> NDArray[np.float32]:
    return np.concatenate([np.zeros(0, np.float32), *(block[channel] for block in blocks)])


def _recordings(sources: list[str], rate_hz: int) -> list[NDArray[np.float32]]:
    """One channel, [T] at `rate_hz`, of each audio file of `sources`. Raises AudioError, TrainingError."""
    recordings = []
    for found in find_audio(sources) if sources else ():
        samples, own_hz = read_one_channel(str(found.path), found.excerpt())
        samples = soxr.resample(samples, own_hz, rate_hz) if own_hz != rate_hz else samples
        if not np.any(samples):
            raise TrainingError(f"{found.path}: nothing but silence; leave it out of data.noises and data.rooms")
        recordings.append(samples)
    return recordings


def batches(dataset: Segments, steps: range, *, rank: int, world_size: int) -> Iterator[Batch]:
    """Yield the batches of `steps` for process `rank` of `world_size`."""
    size = dataset.config.batch_size
    starts = [(step * world_size + rank) * size for step in steps]
    indices = [list(range(start, start + size)) for start in starts]
    loader = DataLoader(dataset, batch_sampler=indices, num_workers=dataset.config.workers, collate_fn=_collate)
    try:
        yield from loader
    except AudioError as error:  # from a worker it comes with a traceback, whose last line is the error
        raise AudioError(str(error).strip().splitlines()[-1].removeprefix("vqcodec.errors.AudioError: ")) from None


def _collate(items: list[Segment]) -> Batch:
    waves, paths = torch.stack([item.samples for item in items]), [item.path for item in items]
    if waves.ndim == 2:
        return Batch(waves.unsqueeze(1), paths)
    speakers = torch.tensor([item.speaker for item in items])
    return Batch(waves[:, :1], paths, heard=waves[:, 1:], speakers=speakers if speakers[0] >= 0 else None)


def _fit(samples: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Cut to `length` samples or pad with silence."""
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def usable_clips(config: DataConfig) -> list[_Clip]:
    """List the clips of at least half a segment; shorter ones would be mostly padding. Raises TrainingError."""
    clips, failures = [], []
    sources, segment_seconds = config.train, config.segment_seconds
    for found in find_audio(sources):
        try:
            with AudioReader(found.path) as reader:
                reader.check_whole()
                excerpt = found.excerpt()
                start, length = excerpt.span_in(reader)
                speaker = found.columns.get(SPEAKER_COLUMN, "").strip()
                clip = _Clip(str(found.path), reader.rate_hz, length, start, excerpt.channel or 0, speaker)
        except AudioError as error:
            failures.append(str(error))
            continue
        if clip.length_samples >= segment_seconds * clip.rate_hz / 2:
            clips.append(clip)
    if failures:
        raise TrainingError(f"{failures[0]}; or leave it out of data.train (of such files there: {len(failures)})")
    if not clips:
        raise TrainingError(f"data.train {sources}: no clip is {segment_seconds / 2:g} seconds or longer; add speech")
    return clips


def seconds_by_speaker(clips: Iterable[_Clip]) -> dict[str, float]:
    """Sum up how long each speaker speaks in `clips`, in the order in which they come."""
    seconds: dict[str, float] = {}
    for clip in clips:
        seconds[clip.speaker] = seconds.get(clip.speaker, 0.0) + clip.seconds
    return seconds


def speakers_of(config: DataConfig) -> tuple[str, ...]:
    """Return the names, sorted, of whom `config.train` has `config.speaker_seconds`. Raises TrainingError for none."""
    heard = seconds_by_speaker(usable_clips(config))
    names = sorted(name for name, seconds in heard.items() if name and seconds >= config.speaker_seconds)
    if not names:
        longest = max((seconds for name, seconds in heard.items() if name), default=0.0)
        raise TrainingError(
            f"data.speaker_seconds {config.speaker_seconds:g}: nobody speaks so long in data.train (the longest "
            f"{longest:.0f} s); give manifests with a column {SPEAKER_COLUMN}, or ask for less"
        )
    return tuple(names)


def _spoken_by(clips: list[_Clip], speakers: Sequence[str]) -> list[_Clip]:
    """Select the clips whose speaker is among `speakers`. Raises TrainingError for one of these who has none."""
    heard = {clip.speaker for clip in clips}
    if missing := [name for name in speakers if name not in heard]:
        raise TrainingError(
            f"model.speakers: no clip of data.train is spoken by {missing[0]!r} ({len(missing)} of {len(speakers)} "
            f"such); give manifests whose column {SPEAKER_COLUMN} has them"
        )
    return [clip for clip in clips if clip.speaker in set(speakers)]
