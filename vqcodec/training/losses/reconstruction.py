"""Reconstruction losses on [B, T] waves: bounded on silence and at any level, each a scalar.

All compare spectra. A ratio per spectrogram (spectral convergence) exploded on quiet segments; every term here is an
absolute or logarithmic difference, or divides by the level of the item plus a floor.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from vqcodec.audio.spectral import mel_bank, stft
from vqcodec.training.config import LossConfig
from vqcodec.training.losses.perceptual import perceptual_loss


@dataclass(frozen=True)
class _Scale:
    """One STFT resolution: window in samples (hop: a quarter), mel bands, and the terms it serves beside log-mel."""

    window: int
    mels: int
    magnitude: bool = False
    complex: bool = False
    compressed: bool = False
    level: bool = False


# Windows as in DAC (Kumar et al. 2023), with bands that stay wider than a bin; grouped by what they resolve.
_SCALES = (
    (_Scale(32, 5), _Scale(64, 10), _Scale(128, 20)),
    (
        _Scale(256, 40, complex=True, compressed=True),
        _Scale(512, 80, magnitude=True, complex=True, compressed=True),
    ),
    (
        _Scale(1024, 80, magnitude=True, complex=True, level=True),
        _Scale(2048, 160, magnitude=True, level=True),
    ),
)


def reconstruction_losses(wave: Tensor, wave_hat: Tensor, rate_hz: int, weights: LossConfig) -> dict[str, Tensor]:
    """Return the weighted losses of `wave_hat` [B, T] against `wave` [B, T], by name; their sum is what to minimise.

    mel:        L1 of log10 mel spectra, summed over 7 window lengths (Yamamoto et al. 2020; DAC)
    magnitude:  L1 of square-root magnitudes at the three longest windows
    complex:    L1 of complex spectra over the item's mean magnitude plus a floor, three windows
    compressed: squared error of magnitudes raised to 0.3 and of complex spectra with those magnitudes, two windows
                (Braun and Tashev 2021; in speech enhancement it moves with PESQ)
    level:      L1 of log10 power per mel band, averaged over the item's time: no band is lost as a whole, two windows
    loudness:   L1 of log10 power in bands of 500 Hz and 64 ms where the original is loud (`loudness_loss`)
    grid:       power that comes and goes with the frames of codes (`grid_loss`)
    perceptual: the points that raw PESQ loses, by a differentiable model of it (perceptual.py)

    Above `weights.phase_hz` the terms that compare phases, complex and half of compressed, fade out. Those from
    loudness on are absent at weight 0.

    With `weights.sampled_scales`, one window of each of three groups is drawn (torch's global generator) and
    stands for its group: the same expectation at under half the cost.
    """
    totals = {name: wave.new_zeros(()) for name in ("mel", "magnitude", "complex", "compressed", "level")}
    for group in _SCALES:
        chosen = (group[int(torch.randint(len(group), ()))],) if weights.sampled_scales else group
        for scale in chosen:
            terms = _scale_losses(wave, wave_hat, rate_hz, scale, weights.phase_hz)
            for name, term in terms.items():
                totals[name] = totals[name] + term * (len(group) / len(chosen))
    for name, whole in (("loudness", loudness_loss), ("grid", grid_loss), ("perceptual", perceptual_loss)):
        if getattr(weights, name) > 0:
            totals[name] = whole(wave, wave_hat, rate_hz)
    return {name: getattr(weights, name) * total for name, total in totals.items()}


def loudness_loss(wave: Tensor, wave_hat: Tensor, rate_hz: int) -> Tensor:
    """Return L1 of log10 power of `wave_hat` [B, T] against `wave` [B, T] per band and moment, where `wave` is loud.

    Triangular bands 500 Hz apart from 750 Hz up, means over 64 ms, within 50 dB of the loudest of the item: what a
    regression towards the mean of many phases takes away from the upper bands is put back. T is over 96 ms.
    """
    window = 2 * round(0.016 * rate_hz)
    bands = _loudness_bands(rate_hz, window // 2 + 1, wave.device)
    true, guess = (F.avg_pool1d(bands @ _power(x, window, window // 4), 8, 4) for x in (wave, wave_hat))
    loud = true > 1e-5 * true.amax((1, 2), keepdim=True)
    difference = ((true + 1e-8).log10() - (guess + 1e-8).log10()).abs()
    return (difference * loud).sum() / loud.sum().clamp(min=1)


@lru_cache(maxsize=8)
def _loudness_bands(rate_hz: int, bins: int, device: torch.device) -> Tensor:
    """Triangles [bands, bins], 500 Hz apart and 1 kHz wide."""
    centres_hz = torch.arange(750, max(751, rate_hz // 2), 500, device=device)
    hz = torch.linspace(0, rate_hz / 2, bins, device=device)
    return (1 - (hz - centres_hz[:, None]).abs() / 500).clamp(min=0)


def grid_loss(wave: Tensor, wave_hat: Tensor, rate_hz: int) -> Tensor:
    """Measure how far the level of `wave_hat` over that of `wave`, [B, T], depends on the place in 20 ms: L1, log10.

    A decoder that makes four spectra of each frame of codes tends to make some of them stronger than others, heard as
    a tone of 50 Hz and its multiples in the upper bands. Powers above an eighth of the rate, frames of 10 ms, hop 5.
    """
    window = 2 * round(0.005 * rate_hz)
    true, guess = (_power(x, window, window // 2)[:, window // 8 : window // 2 - 4].sum(1) for x in (wave, wave_hat))
    ratio = ((guess + 1e-6) / (true + 1e-6)).log10()
    whole = ratio.shape[1] // 4 * 4
    places = ratio[:, :whole].reshape(-1, 4).mean(0)
    return (places - places.mean()).abs().mean()


def _power(wave: Tensor, window: int, hop: int) -> Tensor:
    """Power spectra [B, window / 2 + 1, S]."""
    return torch.view_as_real(stft(wave, window, hop)).square().sum(-1)


def _phase_share(rate_hz: int, bins: int, phase_hz: float | None, device: torch.device) -> Tensor:
    """Weights [bins, 1] of phases: 1 below `phase_hz` and 0 above, with a soft step of some 500 Hz."""
    if phase_hz is None:
        return torch.ones(bins, 1, device=device)
    hz = torch.linspace(0, rate_hz / 2, bins, device=device)
    return torch.sigmoid((phase_hz - hz) / 120)[:, None]


def _scale_losses(
    wave: Tensor, wave_hat: Tensor, rate_hz: int, scale: _Scale, phase_hz: float | None
) -> dict[str, Tensor]:
    """The unweighted terms of one resolution."""
    true = torch.view_as_real(stft(wave, scale.window, scale.window // 4))
    guess = torch.view_as_real(stft(wave_hat, scale.window, scale.window // 4))
    true_power, guess_power = true.square().sum(-1), guess.square().sum(-1)
    true_magnitude = true_power.clamp(min=1e-12).sqrt()
    guess_magnitude = guess_power.clamp(min=1e-12).sqrt()
    bank = mel_bank(rate_hz, scale.window, scale.mels, wave.device)
    log_mels = [(bank @ m).clamp(min=1e-5).log10() for m in (true_magnitude, guess_magnitude)]
    losses = {"mel": (log_mels[0] - log_mels[1]).abs().mean()}
    if scale.magnitude:
        roots = [m.clamp(min=1e-5).sqrt() for m in (true_magnitude, guess_magnitude)]
        losses["magnitude"] = (roots[0] - roots[1]).abs().mean()
    share = _phase_share(rate_hz, scale.window // 2 + 1, phase_hz, wave.device)
    if scale.complex:
        # [bins, 1] over [B, bins, S, 2]: a further dimension for the real and imaginary parts.
        error = ((true - guess) * share[..., None]).abs().mean((1, 2, 3))
        losses["complex"] = (error / (true.abs().mean((1, 2, 3)) + 0.02)).mean()
    if scale.compressed:
        losses["compressed"] = _compressed(true, true_power, guess, guess_power, share)
    if scale.level:
        levels = [(bank @ p.mean(-1, keepdim=True)).clamp(min=1e-8).log10() for p in (true_power, guess_power)]
        losses["level"] = (levels[0] - levels[1]).abs().mean()
    return losses


def _compressed(true: Tensor, true_power: Tensor, guess: Tensor, guess_power: Tensor, share: Tensor) -> Tensor:
    """Half the MSE of |X|^0.3 plus half that of X |X|^-0.7, real and imaginary errors summed and times `share`."""
    true_log, guess_log = torch.log(true_power + 1e-6), torch.log(guess_power + 1e-6)
    magnitude = (torch.exp(0.15 * true_log) - torch.exp(0.15 * guess_log)).square().mean()
    complex_error = true * torch.exp(-0.35 * true_log)[..., None] - guess * torch.exp(-0.35 * guess_log)[..., None]
    return 0.5 * magnitude + 0.5 * (complex_error.square().sum(-1) * share).mean()
