"""Reconstruction losses on [B, T] waves: bounded on silence and at any level, each a scalar.

All compare spectra. A ratio per spectrogram (spectral convergence) exploded on quiet segments; every term here is an
absolute or logarithmic difference, or divides by the level of the item plus a floor.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vqcodec.audio.spectral import mel_bank, stft
from vqcodec.config import LossConfig
from vqcodec.training.perceptual import perceptual_loss


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
    """Weighted losses of `wave_hat` [B, T] against `wave` [B, T], by name; their sum is what to minimise.

    mel:        L1 of log10 mel spectra, summed over 7 window lengths (Yamamoto et al. 2020; DAC)
    magnitude:  L1 of square-root magnitudes at the three longest windows
    complex:    L1 of complex spectra over the item's mean magnitude plus a floor, three windows
    compressed: squared error of magnitudes raised to 0.3 and of complex spectra with those magnitudes, two windows
                (Braun and Tashev 2021; in speech enhancement it moves with PESQ)
    level:      L1 of log10 power per mel band, averaged over the item's time: no band is lost as a whole, two windows
    perceptual: the points that raw PESQ loses, by a differentiable model of it (perceptual.py); absent at weight 0

    With `weights.sampled_scales`, one window of each of three groups is drawn (torch's global generator) and
    stands for its group: the same expectation at under half the cost.
    """
    totals = {name: wave.new_zeros(()) for name in ("mel", "magnitude", "complex", "compressed", "level")}
    for group in _SCALES:
        chosen = (group[int(torch.randint(len(group), ()))],) if weights.sampled_scales else group
        for scale in chosen:
            terms = _scale_losses(wave, wave_hat, rate_hz, scale)
            for name, term in terms.items():
                totals[name] = totals[name] + term * (len(group) / len(chosen))
    if weights.perceptual > 0:
        totals["perceptual"] = perceptual_loss(wave, wave_hat, rate_hz)
    return {name: getattr(weights, name) * total for name, total in totals.items()}


def _scale_losses(wave: Tensor, wave_hat: Tensor, rate_hz: int, scale: _Scale) -> dict[str, Tensor]:
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
    if scale.complex:
        error, level = (true - guess).abs().mean((1, 2, 3)), true.abs().mean((1, 2, 3))
        losses["complex"] = (error / (level + 0.02)).mean()
    if scale.compressed:
        losses["compressed"] = _compressed(true, true_power, guess, guess_power)
    if scale.level:
        levels = [(bank @ p.mean(-1, keepdim=True)).clamp(min=1e-8).log10() for p in (true_power, guess_power)]
        losses["level"] = (levels[0] - levels[1]).abs().mean()
    return losses


def _compressed(true: Tensor, true_power: Tensor, guess: Tensor, guess_power: Tensor) -> Tensor:
    """Half the MSE of |X|^0.3 plus half that of X |X|^-0.7, real and imaginary errors summed."""
    true_log, guess_log = torch.log(true_power + 1e-6), torch.log(guess_power + 1e-6)
    magnitude = (torch.exp(0.15 * true_log) - torch.exp(0.15 * guess_log)).square().mean()
    complex_error = true * torch.exp(-0.35 * true_log)[..., None] - guess * torch.exp(-0.35 * guess_log)[..., None]
    return 0.5 * magnitude + 0.5 * complex_error.square().sum(-1).mean()
