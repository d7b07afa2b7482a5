"""A differentiable model of PESQ (ITU-T P.862, P.862.2): loudness that a listener would hear to be missing or added.

After Martín-Doñas et al. 2018 (PMSQE), with PESQ's compensation of filtering and of gain, which bring it closer to the
standard. Not in it: alignment in time, the norms over time, which count the worst frames most, and the mapping to MOS.
The formulas for bands, filter and threshold of hearing approximate the standard's tables.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from vqcodec.audio.spectral import stft

_BANDS = 49
_LEVEL = 1e7
"""Mean square from 350 to 3250 Hz that PESQ scales waves to, samples being 16-bit integers."""

_QUIET = 1e-5
"""Mean square (-50 dB) below which an item is not raised to `_LEVEL` and counts little: silence stays silence."""

_PER_BARK = 10.73
"""Power per Bark, in PESQ's unit, of a mean square of 1 in one Bark at PESQ's level."""


@dataclass(frozen=True)
class _Ear:
    """Constants per band: filters [49, bins], and as columns [49, 1] threshold power and exponent; level [bins]."""

    filters: Tensor
    threshold: Tensor
    exponent: Tensor
    level: Tensor
    width_bark: float


@lru_cache(maxsize=8)
def _ear(rate_hz: int, bins: int, device: torch.device) -> _Ear:
    hz = torch.linspace(0, rate_hz / 2, bins, dtype=torch.float64)
    width = 6 * math.asinh(rate_hz / 2 / 600) / _BANDS
    bark = (torch.arange(_BANDS, dtype=torch.float64)[:, None] + 0.5) * width
    centre_hz = 600 * torch.sinh(bark / 6)
    bin_bark = (6 * torch.asinh(hz / 600)).clamp(width / 2, (_BANDS - 0.5) * width)
    triangles = (1 - (bin_bark - bark).abs() / width).clamp(min=0)
    headphones = 7.94 * hz**4 / (hz**4 + 100**4)  # 9 dB and a high-pass at 100 Hz: the input filter of P.862.2
    return _Ear(
        filters=(triangles * headphones * _PER_BARK / width).to(device, torch.float32),
        threshold=(0.35 * (1 + (535 / centre_hz) ** 5.3)).to(device, torch.float32),
        exponent=(0.23 * (6 / (bark + 2)).clamp(1, 2) ** 0.15).to(device, torch.float32),
        level=((hz > 350) & (hz < 3250)).to(device, torch.float32),
        width_bark=width,
    )


def perceptual_loss(wave: Tensor, wave_hat: Tensor, rate_hz: int) -> Tensor:
    """Return the disturbance of `wave_hat` against `wave` [B, T], a scalar: about the points that raw PESQ loses.

    The level of each is set, as PESQ does it: that of `wave_hat` is up to the other losses. T is over 16 ms.
    """
    window = 2 * round(0.016 * rate_hz)
    ear = _ear(rate_hz, window // 2 + 1, wave.device)
    true, guess = (_spectrum(x, window) for x in (wave, wave_hat))
    level, level_hat = ((ear.level @ power).mean(1) for power in (true, guess))
    floor = 0.01 * level + _QUIET
    true, guess = (ear.filters @ power for power in (true, guess))
    true = true * (_LEVEL / (level + floor))[:, None, None]
    guess = guess * (_LEVEL / (level_hat + floor))[:, None, None]
    true = _filtered_alike(true, guess, ear)
    guess = guess * _gains(true, guess, ear)
    true_loudness, guess_loudness = _loudness(true, ear), _loudness(guess, ear)
    masked = 0.25 * torch.minimum(true_loudness, guess_loudness)
    heard = F.relu((guess_loudness - true_loudness).abs() - masked) * ear.width_bark
    added = ((guess + 50) / (true + 50)) ** 1.2
    added = torch.where(added < 3, 0, added.clamp(max=12))
    symmetric = math.sqrt(_BANDS * ear.width_bark) * torch.linalg.vector_norm(heard, dim=1)
    asymmetric = (heard * added).sum(1)
    weight = ((_audible(true, ear, 100) + 1e5) / 1e7) ** -0.04
    lost: Tensor = ((0.1 * symmetric + 0.0309 * asymmetric) * weight).mean(1)
    return (lost * level / (level + _QUIET)).mean()


def _spectrum(wave: Tensor, window: int) -> Tensor:
    """Power [B, bins, S] whose sum over bins is the mean square of each frame."""
    power = torch.view_as_real(stft(wave, window, window // 2)).square().sum(-1)
    return power * (2 / (window * 0.375 * window))  # 0.375: the mean square of a Hann window


def _audible(power: Tensor, ear: _Ear, factor: float) -> Tensor:
    """Sum [B, S] over the bands whose power [B, 49, S] is above `factor` times the threshold of hearing."""
    return (power * (power > factor * ear.threshold)).sum(1)


def _filtered_alike(true: Tensor, guess: Tensor, ear: _Ear) -> Tensor:
    """`true` [B, 49, S] with the long-term spectrum of `guess`, up to 20 dB: filtering is barely heard."""
    speaks = (_audible(true, ear, 100) > 1e7)[:, None]
    true_mean, guess_mean = ((p * (speaks & (p > 100 * ear.threshold))).mean(2) for p in (true, guess))
    return true * ((guess_mean + 1000) / (true_mean + 1000)).clamp(0.01, 100)[..., None]


def _gains(true: Tensor, guess: Tensor, ear: _Ear) -> Tensor:
    """Factors [B, 1, S] that give the frames of `guess` the audible power of `true`, smoothed: gain is barely heard."""
    ratio = (_audible(true, ear, 1) + 5e3) / (_audible(guess, ear, 1) + 5e3)
    before = torch.cat((ratio[:, :1], ratio[:, :-1]), dim=1)
    return (0.2 * before + 0.8 * ratio).clamp(3e-4, 5)[:, None]


def _loudness(power: Tensor, ear: _Ear) -> Tensor:
    """Zwicker's law: sone per Bark [B, 49, S]; 0 below the threshold of hearing."""
    over: Tensor = (0.5 + 0.5 * (power / ear.threshold).clamp(min=1)) ** ear.exponent - 1
    return 0.1866 * (2 * ear.threshold) ** ear.exponent * over
