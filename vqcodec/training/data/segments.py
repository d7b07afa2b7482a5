"""Training segments as a function of their index: the same index gives the same samples in any process and any run.

That is what makes a resumed run see the data that an uninterrupted one would: there is no position to save but the
step. Clips are drawn in proportion to their length.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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
from vqcodec.audio.reader import AudioReader
from vqcodec.errors import AudioError, TrainingError
from vqcodec.frames import ceil_div
from vqcodec.training.config import DataConfig
from vqcodec.training.data.augment import Surroundings, augment, change_speed, degraded_pair, draw_speed

_BLOCK_SAMPLES = 1 << 20


@dataclass(frozen=True)
class _Clip:
    """One channel of a file, or the part of it that a manifest names."""

    path: str
    rate_hz: int
    length_samples: int
    start_samples: int = 0
    channel: int = 0


@dataclass(frozen=True)
class Batch:
    """wave [B, 1, T] float32, the files that its segments come from, and for an enhancer what it hears, as `wave`."""

    wave: Tensor
    paths: list[str]
    heard: Tensor | None = None


class Segments(Dataset[tuple[Tensor, str]]):
    """Random augmented segments, [segment_samples] float32 at `rate_hz`, with the path of their clip.

    Of `pairs` a segment is [2, segment_samples]: clean, and as an enhancer hears it.
    """

    def __init__(self, config: DataConfig, rate_hz: int, seed: int, *, pairs: bool = False) -> None:
        self.config, self.rate_hz, self.seed, self.pairs = config, rate_hz, seed, pairs
        self.segment_samples = round(config.segment_seconds * rate_hz)
        self.clips = _usable_clips(config.train, config.segment_seconds)
        seconds = np.array([clip.length_samples / clip.rate_hz for clip in self.clips])
        self.hours = float(seconds.sum()) / 3600
        self._around = Surroundings(*(_recordings(sources, rate_hz) for sources in (config.noises, config.rooms)))
        self._cumulative = np.cumsum(seconds) / seconds.sum()
        self._cache: dict[tuple[str, int], NDArray[np.int16]] = {}
        self._cached_bytes = 0

    @override
    def __getitem__(self, index: int) -> tuple[Tensor, str]:
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
        return torch.from_numpy(samples), clip.path

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


def _collate(items: list[tuple[Tensor, str]]) -> Batch:
    waves, paths = torch.stack([samples for samples, _ in items]), [path for _, path in items]
    if waves.ndim == 2:
        return Batch(waves.unsqueeze(1), paths)
    return Batch(waves[:, :1], paths, heard=waves[:, 1:])


def _fit(samples: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Cut to `length` samples or pad with silence."""
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def _usable_clips(sources: list[str], segment_seconds: float) -> list[_Clip]:
    """Clips of at least half a segment; shorter ones would be mostly padding."""
    clips, failures = [], []
    for found in find_audio(sources):
        try:
            with AudioReader(found.path) as reader:
                reader.check_whole()
                excerpt = found.excerpt()
                start, length = excerpt.span_in(reader)
                clip = _Clip(str(found.path), reader.rate_hz, length, start, excerpt.channel or 0)
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
