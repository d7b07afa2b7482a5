"""Many clips at once: utterances of similar length share a batch, and each has the codes that it has alone.

The encoder is causal and a row of every product is the same whatever rows come with it (see `codec`, `nn.linear`): a
clip padded on the right keeps its first frames. What is longer than a batch goes through alone, as a stream.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import Wave
from vqcodec.audio import OnTruncated
from vqcodec.errors import AudioError
from vqcodec.frames import num_frames
from vqcodec.models.engine import Engine
from vqcodec.sessions.new import new_encoder
from vqcodec.sessions.stream import streaming
from vqcodec.tokens.sources.loading import Loaded, load
from vqcodec.tokens.utterances import TokenizedUtterance, Utterance

_WINDOW_BATCHES = 8
"""Batches' worth of clips that are read before they are sorted by length."""
_BLOCK_FRAMES = 512
_T = TypeVar("_T")


@dataclass(frozen=True)
class Failure:
    """An utterance that could not be tokenized, and why."""

    utterance: Utterance
    error: str


Outcome = TokenizedUtterance | Failure


def tokenize(
    utterances: Sequence[Utterance],
    codec: Engine,
    num_codebooks: int,
    *,
    batch_seconds: float,
    on_truncated: OnTruncated = "refuse",
) -> Iterator[Outcome]:
    """Yield the outcome of each utterance, in order; memory is bounded by some batches, however many or long they are.

    `batch_seconds` of audio, padding included, are computed at once; the codes do not depend on it.
    `on_truncated` as in AudioReader.
    """
    most_samples = max(codec.hop_length, round(batch_seconds * codec.sample_rate_hz))
    block_seconds = _BLOCK_FRAMES / codec.frame_rate
    opened = partial(load, block_seconds=block_seconds, on_truncated=on_truncated)
    read = (
        _read(utterance, partial(opened, utterance, codec.sample_rate_hz), most_samples) for utterance in utterances
    )
    for window in _prefetched(_windows(read, most_samples)):
        clips = [item for item in window if isinstance(item, _Clip)]
        codes = _encode_clips(clips, codec, num_codebooks, most_samples)
        for item in window:
            if isinstance(item, _Clip):
                yield item.outcome(codes[id(item)])
            else:
                yield item if isinstance(item, Failure) else _encode_long(item, codec, num_codebooks)


@dataclass(frozen=True, eq=False)
class _Clip:
    """A short utterance, read: wave [T] at the model's rate, samples at the original one."""

    utterance: Utterance
    wave: NDArray[np.float32]
    samples: int
    rate_hz: int

    def outcome(self, codes: NDArray[np.uint16]) -> TokenizedUtterance:
        return _outcome(self.utterance, codes, self.samples, self.rate_hz)


@dataclass(frozen=True, eq=False)
class _Long:
    """An utterance of more than a batch, of which only the beginning, `waves`, has been read."""

    utterance: Utterance
    waves: list[Wave]
    rest: Loaded


def _outcome(utterance: Utterance, codes: NDArray[np.uint16], samples: int, rate_hz: int) -> TokenizedUtterance:
    return TokenizedUtterance(utterance.id, codes, samples, rate_hz, utterance.source, utterance.columns)


def _windows(items: Iterable[_Clip | _Long | Failure], most_samples: int) -> Iterator[list[_Clip | _Long | Failure]]:
    """Runs of utterances, read, each of some batches of clips."""
    window: list[_Clip | _Long | Failure] = []
    waiting = 0
    for item in items:
        window.append(item)
        waiting += len(item.wave) if isinstance(item, _Clip) else most_samples
        if waiting >= _WINDOW_BATCHES * most_samples:
            yield window
            window, waiting = [], 0
    if window:
        yield window


def _read(utterance: Utterance, opened: Callable[[], Loaded], most_samples: int) -> _Clip | _Long | Failure:
    try:
        loaded = opened()
        waves: list[Wave] = []
        for wave in loaded.blocks:
            waves.append(wave)
            if sum(part.shape[1] for part in waves) > most_samples:
                return _Long(utterance, waves, loaded)
        return _Clip(utterance, np.concatenate(waves, axis=1)[0], loaded.samples, loaded.rate_hz)
    except (AudioError, OSError) as error:
        return Failure(utterance, str(error))


def _encode_long(item: _Long, codec: Engine, num_codebooks: int) -> Outcome:
    session = new_encoder(codec, num_codebooks, batch=1)
    parts: list[NDArray[np.uint16]] = []
    try:
        for block in itertools.chain(item.waves, item.rest.blocks):
            parts.append(session.push(block).astype(np.uint16))
    except (AudioError, OSError) as error:
        return Failure(item.utterance, str(error))
    parts.append(session.flush().astype(np.uint16))
    return _outcome(item.utterance, np.concatenate(parts, axis=2)[0], item.rest.samples, item.rest.rate_hz)


def _encode_clips(
    clips: Sequence[_Clip], codec: Engine, num_codebooks: int, most_samples: int
) -> dict[int, NDArray[np.uint16]]:
    """Codes [K, F] of each clip, by its identity."""
    codes: dict[int, NDArray[np.uint16]] = {}
    if not codec.is_causal:
        return {id(clip): _encode_alone(clip, codec, num_codebooks) for clip in clips}
    for batch in _batches(sorted(clips, key=lambda clip: len(clip.wave)), most_samples):
        frames = num_frames(len(batch[-1].wave), codec.hop_length)
        waves = np.zeros((len(batch), frames * codec.hop_length), np.float32)
        for row, clip in zip(waves, batch, strict=True):
            row[: len(clip.wave)] = clip.wave
        indices = np.zeros((len(batch), num_codebooks, 0), np.int64)
        if frames:
            indices, _ = streaming(codec).encode_block(waves, num_codebooks)
        for clip, clip_codes in zip(batch, indices.astype(np.uint16), strict=True):
            codes[id(clip)] = clip_codes[:, : num_frames(len(clip.wave), codec.hop_length)].copy()
    return codes


def _encode_alone(clip: _Clip, codec: Engine, num_codebooks: int) -> NDArray[np.uint16]:
    session = new_encoder(codec, num_codebooks, batch=1)
    codes: NDArray[np.uint16] = np.concatenate((session.push(clip.wave[None]), session.flush()), axis=2)[0]
    return codes.astype(np.uint16, copy=False)


def _batches(clips: Sequence[_Clip], most_samples: int) -> Iterator[list[_Clip]]:
    """Clips, sorted by length, in batches of at most `most_samples` with padding."""
    batch: list[_Clip] = []
    for clip in clips:
        if batch and len(clip.wave) * (len(batch) + 1) > most_samples:
            yield batch
            batch = []
        batch.append(clip)
    if batch:
        yield batch


def _prefetched(items: Iterator[_T]) -> Iterator[_T]:
    """`items`, each made by a thread while the one before is in use."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        following = thread.submit(next, items, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, items, None)
            yield item
