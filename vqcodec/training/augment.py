"""Augmentation of one segment: speed (and pitch), equalization, noise, level. The result is the target too."""

import numpy as np
import soxr
from numpy.typing import NDArray

from vqcodec.config import DataConfig

Samples = NDArray[np.float32]


def draw_speed(random: np.random.Generator, config: DataConfig) -> float:
    """Speed factor of a segment: 1 or, for `speed_share` of them, uniform in `speed`."""
    return float(random.uniform(*config.speed)) if random.random() < config.speed_share else 1.0


def change_speed(samples: Samples, speed: float) -> Samples:
    """`samples` [T] played `speed` times as fast, pitch included: about T / speed samples."""
    return np.asarray(soxr.resample(samples, speed, 1.0), dtype=np.float32) if speed != 1.0 else samples


def augment(samples: Samples, rate_hz: int, random: np.random.Generator, config: DataConfig) -> Samples:
    """Equalize, add noise, set the level; `samples` [T] -> [T] within [-1, 1]."""
    if random.random() < config.filter_share:
        samples = _equalize(samples, rate_hz, random, config.filter_db)
    if random.random() < config.noise_share:
        samples = _add_noise(samples, random, float(random.uniform(*config.noise_snr_db)))
    samples = samples * np.float32(10 ** (random.uniform(*config.gain_db) / 20))
    return samples / max(1.0, float(np.abs(samples).max(initial=0.0)))


def _equalize(samples: Samples, rate_hz: int, random: np.random.Generator, limit_db: float) -> Samples:
    """A random smooth gain curve, as microphones and rooms have: six bands a factor of about two apart."""
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / rate_hz)
    knots_hz = np.geomspace(100, rate_hz / 2, 7)
    gains_db = random.uniform(-limit_db, limit_db, len(knots_hz))
    curve_db = np.interp(np.log(np.maximum(hz, 1.0)), np.log(knots_hz), gains_db)
    return np.fft.irfft(spectrum * 10 ** (curve_db / 20), n=len(samples)).astype(np.float32)


def _add_noise(samples: Samples, random: np.random.Generator, snr_db: float) -> Samples:
    """Gaussian noise whose spectrum falls by 0 to 6 dB per octave, `snr_db` below the segment."""
    white = np.fft.rfft(random.standard_normal(len(samples)))
    tilt = random.uniform(0, 1)
    noise = np.fft.irfft(white / np.maximum(1, np.arange(len(white))) ** tilt, n=len(samples))
    level = np.sqrt(np.mean(samples**2)) * 10 ** (-snr_db / 20)
    noisy: Samples = (samples + noise * (level / max(1e-12, np.sqrt(np.mean(noise**2))))).astype(np.float32)
    return noisy
