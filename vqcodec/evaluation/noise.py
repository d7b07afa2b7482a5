"""Noise under the clips of an evaluation: which recording and from where on, drawn by seed and name of the clip."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vqcodec.arrays import Wave
from vqcodec.audio.discover import Clip
from vqcodec.audio.excerpt import Excerpt
from vqcodec.audio.resample import resample
from vqcodec.errors import AudioError
from vqcodec.evaluation.clips import clip_hash, random_of, read_clip


@dataclass(frozen=True)
class Noise:
    """A recording, or the part of it that a manifest names, heard from `start_share` of its length on."""

    path: Path
    excerpt: Excerpt
    start_share: float

    def mark(self) -> str:
        """Return a text that is another for another noise, also where a file has changed."""
        return f"{clip_hash(self.path, self.excerpt)} {self.start_share!r}"


def draw_noise(recordings: Sequence[Clip], clip: str, seed: int) -> Noise:
    """Draw the noise of the clip of that name: the same for the same recordings and seed, for all codecs and rates."""
    random = random_of(clip, seed)
    chosen = recordings[int(random.integers(len(recordings)))]
    return Noise(chosen.path, chosen.excerpt(), float(random.random()))


def mixed(wave: Wave, rate_hz: int, noise: Noise, snr_db: float) -> Wave:
    """Add noise to `wave` [T], its power `snr_db` below the wave's: [T], scaled down where it would leave [-1, 1].

    The recording begins again where it ends. Raises AudioError where it cannot be read, and for silence in either.
    """
    samples, noise_hz = read_clip(noise.path, noise.excerpt)
    samples = resample(samples[None], noise_hz, rate_hz)[0]
    start = int(noise.start_share * len(samples))
    heard = samples.take(np.arange(start, start + len(wave)), mode="wrap")
    levels = [float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) for x in (wave, heard)]
    for level, name in zip(levels, ("the clip", str(noise.path)), strict=True):
        if level == 0:
            raise AudioError(f"{name}: is silent, so that no noise is {snr_db:g} dB below the other; leave it out")
    both = wave + heard * np.float32(levels[0] / levels[1] * 10 ** (-snr_db / 20))
    result: Wave = (both / max(1.0, float(np.abs(both).max()))).astype(np.float32)
    return result
