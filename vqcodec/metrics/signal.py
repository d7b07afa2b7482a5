"""Differences of waves and spectra, and of loudness."""

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import Wave
from vqcodec.metrics.metric import Metric, UndefinedError, missing

_FLOOR = 1e-5
"""Below which magnitudes count as equal: -100 dB of a full-scale tone's."""


def _si_sdr(wave: Wave, wave_hat: Wave, rate_hz: int) -> float:
    true, guess = wave.astype(np.float64), wave_hat.astype(np.float64)
    if not np.any(guess):
        raise UndefinedError("wave_hat is silent")
    target = (guess @ true) / (true @ true) * true
    noise = guess - target
    energy, noise_energy = float(target @ target), float(noise @ noise)
    if noise_energy <= 1e-14 * energy:
        return 140.0  # a copy but for rounding
    return float(10 * np.log10(max(energy, 1e-14 * noise_energy) / noise_energy))


def _log_spectral_distance(wave: Wave, wave_hat: Wave, rate_hz: int) -> float:
    """Frames of 32 ms, Hann, every 8 ms; root mean square over bins, mean over frames."""
    window = round(0.032 * rate_hz)
    true, guess = (20 * np.log10(np.maximum(magnitudes(x, window), _FLOOR)) for x in (wave, wave_hat))
    return float(np.sqrt(np.square(true - guess).mean(axis=1)).mean())


def _mel_distance(wave: Wave, wave_hat: Wave, rate_hz: int) -> float:
    """Frames of 2048 samples at 44.1 kHz and as long at other rates, every quarter, 80 bands of magnitudes."""
    import torch

    from vqcodec.audio.spectral import mel_bank

    window = round(2048 / 44100 * rate_hz) // 4 * 4
    bank = mel_bank(rate_hz, window, 80, torch.device("cpu")).numpy().astype(np.float64)
    true, guess = (np.log10(np.maximum(magnitudes(x, window) @ bank.T, _FLOOR)) for x in (wave, wave_hat))
    return float(np.abs(true - guess).mean())


def magnitudes(wave: Wave, window: int) -> NDArray[np.float64]:
    """Return [S, window / 2 + 1] of Hann windows every quarter of one, centred, edges reflected; a tone of 1 has 1."""
    padded = np.pad(wave.astype(np.float64), window // 2, mode="reflect" if len(wave) > window // 2 else "constant")
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[:: window // 4]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    levels: NDArray[np.float64] = np.abs(np.fft.rfft(frames * hann, axis=1)) * (2 / hann.sum())
    return levels


def _loudness_difference(wave: Wave, wave_hat: Wave, rate_hz: int) -> float:
    try:
        import pyloudnorm
    except ImportError:
        raise missing("pyloudnorm") from None
    if len(wave) < 0.4 * rate_hz + 1:
        raise UndefinedError("loudness needs 0.4 s")
    meter = pyloudnorm.Meter(rate_hz)
    with np.errstate(divide="ignore"):
        true, guess = (float(meter.integrated_loudness(x.astype(np.float64))) for x in (wave, wave_hat))
    if not np.isfinite([true, guess]).all():
        raise UndefinedError("too quiet to have a loudness")
    return guess - true


si_sdr = Metric(
    name="si_sdr",
    title="SI-SDR",
    unit="dB",
    low=-140.0,
    high=140.0,
    higher_is_better=True,
    rate="of the clip",
    source="Le Roux et al. 2019",
    compute=_si_sdr,
)
lsd = Metric(
    name="lsd",
    title="LSD",
    unit="dB",
    low=0.0,
    high=None,
    higher_is_better=False,
    rate="of the clip",
    source="log-spectral distance, Gray and Markel 1976; frames of 32 ms, magnitudes from -100 dB up",
    compute=_log_spectral_distance,
)
mel_distance = Metric(
    name="mel_distance",
    title="mel distance",
    unit="log10",
    low=0.0,
    high=None,
    higher_is_better=False,
    rate="of the clip",
    source="L1 of log10 mel magnitudes as in DAC, Kumar et al. 2023: 80 bands, 46 ms, from -100 dB up",
    compute=_mel_distance,
)
loudness_difference = Metric(
    name="loudness_difference",
    title="loudness",
    unit="LU",
    low=None,
    high=None,
    higher_is_better=None,
    rate="of the clip",
    source="ITU-R BS.1770-4, package pyloudnorm: integrated loudness of wave_hat minus that of the original",
    compute=_loudness_difference,
)
