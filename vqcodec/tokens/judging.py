"""How good the codes of a model are as tokens: stable, rich, independent, and how far the first codebooks go.

After STAB, Vashishth et al. 2024, and AudioCodecBench, Wang et al. 2025, without their downstream tasks.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import Wave
from vqcodec.audio.discover import Clip
from vqcodec.audio.downmix import Downmix
from vqcodec.audio.reader import AudioReader
from vqcodec.audio.resample import resample
from vqcodec.errors import AudioError
from vqcodec.frames import codebook_kbps
from vqcodec.models.codebook_usage import CodebookUsage
from vqcodec.models.engine import Engine
from vqcodec.sessions.new import new_decoder, new_encoder, tags_of
from vqcodec.tokens.changes import CHANGES, Recording

_BLOCK_SAMPLES = 1 << 20
FIDELITIES = ("mel_distance", "si_sdr")
"""Metrics of what is decoded of the first codebooks."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TokenQuality:
    """What the codes of K codebooks are like.

    clips, frames: that were judged
    usage:         of each codebook
    same_share:    by change: share of the codes that stay what they are, of each codebook [K]
    mutual_bits:   mutual information in bits of each two codebooks at the same frame, [K, K]; on the diagonal entropy
    kbps:          nominal, of the first 1 .. K codebooks
    fidelity:      by metric: of what is decoded of these, mean over clips, [K]
    """

    clips: int
    frames: int
    usage: CodebookUsage
    same_share: dict[str, Floats]
    mutual_bits: Floats
    kbps: Floats
    fidelity: dict[str, Floats]


def judge(
    engine: Engine,
    clips: Sequence[Clip],
    *,
    num_codebooks: int,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> TokenQuality:
    """Encode every clip as it is and under each of `CHANGES`, and decode it with the first 1 .. `num_codebooks`.

    `seed` draws noise. Raises AudioError for a clip that cannot be read or is silent.
    """
    random = np.random.default_rng(seed)
    kept: list[NDArray[np.int64]] = []
    same = {change.name: np.zeros(num_codebooks) for change in CHANGES}
    compared = dict.fromkeys(same, 0)
    fidelity: dict[str, list[list[float]]] = {name: [] for name in FIDELITIES}
    for count, clip in enumerate(clips, start=1):
        wave = _read(clip, engine.sample_rate_hz)
        codes, tags = _encoded(engine, wave, num_codebooks)
        kept.append(codes)
        for change in CHANGES:
            changed = change.make(Recording(wave, engine.sample_rate_hz, engine.hop_length, random))
            again = _encoded(engine, changed, num_codebooks)[0][:, change.later_frames :]
            frames = min(again.shape[1], codes.shape[1])
            same[change.name] += (again[:, :frames] == codes[:, :frames]).sum(axis=1)
            compared[change.name] += frames
        for name, scores in _fidelity(engine, wave, codes, tags).items():
            fidelity[name].append(scores)
        if on_progress is not None:
            on_progress(count, len(clips))
    every = np.concatenate(kept, axis=1)
    usage = CodebookUsage(num_codebooks, engine.codebook_size)
    usage.add(every.astype(np.uint16))
    step_kbps = codebook_kbps(engine.sample_rate_hz, engine.hop_length, engine.codebook_size)
    return TokenQuality(
        clips=len(clips),
        frames=every.shape[1],
        usage=usage,
        same_share={name: counts / max(compared[name], 1) for name, counts in same.items()},
        mutual_bits=mutual_information(every, random),
        kbps=np.arange(1, num_codebooks + 1, dtype=np.float64) * step_kbps,
        fidelity={name: _mean(scores) for name, scores in fidelity.items()},
    )


def mutual_information(codes: NDArray[np.int64], random: np.random.Generator) -> Floats:
    """Estimate the mutual information in bits of each two rows of codes [K, F]: [K, K]; entropies on the diagonal.

    Few frames make any two codebooks look dependent: what is left of it when the frames of one are shuffled is taken
    off, so that independent ones have about 0, and true dependence is underestimated rather than invented.
    """
    entropies = [_entropy_bits(row) for row in codes]
    mutual = np.diag(entropies)
    order = random.permutation(codes.shape[1])
    for first in range(len(codes)):
        for second in range(first):
            joint = _entropy_bits(_pairs(codes[first], codes[second]))
            by_chance = _entropy_bits(_pairs(codes[first], codes[second][order]))
            mutual[first, second] = mutual[second, first] = max(0.0, by_chance - joint)
    return mutual


def _pairs(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """One integer for each pair."""
    return first * (int(second.max(initial=0)) + 1) + second


def _entropy_bits(values: NDArray[np.int64]) -> float:
    shares = np.unique(values, return_counts=True)[1] / max(len(values), 1)
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # no -0


def _read(clip: Clip, rate_hz: int) -> Wave:
    """The mono wave [T] of a file or the part of it that a manifest names, at `rate_hz`."""
    downmix = Downmix(str(clip.path))
    with AudioReader(clip.path) as audio:
        blocks = [downmix.push(block) for block in clip.excerpt().read(audio, _BLOCK_SAMPLES, str(clip.path))]
    downmix.check()
    wave: Wave = resample(np.concatenate(blocks, axis=1), audio.rate_hz, rate_hz)[0]
    if not wave.any():
        raise AudioError(f"{clip.path}: is silent, so that its codes tell nothing; leave it out")
    return wave


def _encoded(engine: Engine, wave: Wave, num_codebooks: int) -> tuple[NDArray[np.int64], dict[str, str]]:
    """The codes [K, F] of a wave [T], and the tags that decoding needs besides."""
    encoder = new_encoder(engine, num_codebooks, batch=1)
    codes = np.concatenate((encoder.push(np.clip(wave, -1, 1)[None]), encoder.flush()), axis=2)
    return codes[0], tags_of(encoder)


def _fidelity(engine: Engine, wave: Wave, codes: NDArray[np.int64], tags: dict[str, str]) -> dict[str, list[float]]:
    """By metric, what is decoded of the first 1 .. K codebooks."""
    from vqcodec.metrics import METRICS

    scores: dict[str, list[float]] = {name: [] for name in FIDELITIES}
    for count in range(1, len(codes) + 1):
        decoder = new_decoder(engine, batch=1, tags=tags, frames=codes.shape[1])
        wave_hat = np.concatenate((decoder.push(codes[None, :count]), decoder.flush()), axis=1)[0]
        for name, values in scores.items():
            values.append(METRICS[name](wave, wave_hat[: len(wave)], engine.sample_rate_hz))
    return scores


def _mean(scores: list[list[float]]) -> Floats:
    """Over clips, of those that have a value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where none has
        mean: Floats = np.nanmean(np.array(scores), axis=0)
    return mean
