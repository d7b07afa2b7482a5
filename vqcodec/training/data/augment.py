"""Augmentation of one segment: speed (and pitch), equalization, room, noise, level.

The result is the target too: a codec keeps the room and what else is heard in it. For an enhancer, which does not,
`degraded_pair` gives both: what it shall give and what it hears.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from vqcodec.arrays import Wave
from vqcodec.training.config import DataConfig


@dataclass(frozen=True)
class Surroundings:
    """Recordings of noise and impulse responses of rooms, each [T] at the rate of the segments."""

    noises: Sequence[Wave] = ()
    rooms: Sequence[Wave] = ()


def draw_speed(random: np.random.Generator, config: DataConfig) -> float:
    """Draw the speed factor of a segment: 1 or, for `speed_share` of them, uniform in `speed`."""
    return float(random.uniform(*config.speed)) if random.random() < config.speed_share else 1.0


def draw_disguise(random: np.random.Generator, config: DataConfig) -> float:
    """Draw the factor of pitch of what the encoder hears: 1 or, for `disguise_share`, log-uniform in `disguise`."""
    if random.random() >= config.disguise_share:
        return 1.0
    return float(np.exp(random.uniform(*np.log(config.disguise))))


def change_speed(samples: Wave, speed: float) -> Wave:
    """Return `samples` [T] played `speed` times as fast, pitch included: about T / speed samples."""
    return np.asarray(soxr.resample(samples, speed, 1.0), dtype=np.float32) if speed != 1.0 else samples


def augment(
    samples: Wave,
    rate_hz: int,
    random: np.random.Generator,
    config: DataConfig,
    around: Surroundings = Surroundings(),
) -> Wave:
    """Equalize, put into a room, add noise, set the level; `samples` [T] -> [T] within [-1, 1]."""
    if random.random() < config.filter_share:
        samples = _equalize(samples, rate_hz, random, config.filter_db)
    if random.random() < config.room_share:
        samples = _reverberate(samples, around.rooms[int(random.integers(len(around.rooms)))])
    if random.random() < config.noise_share:
        samples = _add_noise(samples, random, config, around)
    samples = samples * np.float32(10 ** (random.uniform(*config.gain_db) / 20))
    return samples / max(1.0, float(np.abs(samples).max(initial=0.0)))


def degraded_pair(
    samples: Wave,
    rate_hz: int,
    random: np.random.Generator,
    config: DataConfig,
    around: Surroundings = Surroundings(),
) -> tuple[Wave, Wave]:
    """Return what an enhancer shall give and what it hears, each [T] within [-1, 1]: `samples` [T], and these degraded.

    Both are equalized and as loud; the second, but for `clean_share` of all, is in a room, with noise, clipped or of a
    telephone, each by its share, the direct sound of the room in its place.
    """
    if random.random() < config.filter_share:
        samples = _equalize(samples, rate_hz, random, config.filter_db)
    heard = samples
    if random.random() >= config.clean_share:
        if random.random() < config.room_share:
            heard = _reverberate(heard, _from_direct_sound(around.rooms[int(random.integers(len(around.rooms)))]))
        if random.random() < config.noise_share:
            heard = _add_noise(heard, random, config, around)
        if random.random() < config.clip_share:
            heard = _clip(heard, random)
        if random.random() < config.telephone_share:
            heard = _telephone(heard, rate_hz, random)
    wanted = 10 ** (random.uniform(*config.gain_db) / 20)
    peak = max(float(np.abs(wave).max(initial=0.0)) for wave in (samples, heard))
    gain = np.float32(wanted / max(1.0, wanted * peak))
    return samples * gain, heard * gain


def _from_direct_sound(response: Wave) -> Wave:
    """The impulse response of a room from 1 ms (at 16 kHz) before its loudest sample on."""
    return response[max(0, int(np.abs(response).argmax()) - 16) :]


def _clip(samples: Wave, random: np.random.Generator) -> Wave:
    """`samples` cut off at the level above which 0.2 to 10 % of them lie."""
    share = float(np.exp(random.uniform(np.log(0.002), np.log(0.1))))
    limit = np.quantile(np.abs(samples), 1 - share).astype(np.float32)
    return np.clip(samples, -limit, limit) if limit > 0 else samples


def _telephone(samples: Wave, rate_hz: int, random: np.random.Generator) -> Wave:
    """What is left of `samples` after a telephone line, some 300 to 3400 Hz, or (two of five) sampling at 8 kHz."""
    is_line = random.random() < 0.6
    low_hz = random.uniform(200, 350) if is_line else 0.0
    high_hz = random.uniform(3200, 3500) if is_line else random.uniform(3600, 3900)
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / rate_hz)
    gain = (1 + (low_hz / np.maximum(hz, 1)) ** 8) ** -0.5 * np.clip((high_hz + 300 - hz) / 300, 0, 1)
    return np.fft.irfft(spectrum * gain, n=len(samples)).astype(np.float32)


def _add_noise(samples: Wave, random: np.random.Generator, config: DataConfig, around: Surroundings) -> Wave:
    if around.noises and random.random() < config.recorded_share:
        recording = around.noises[int(random.integers(len(around.noises)))]
        noise: NDArray[np.floating] = _excerpt(recording, len(samples), random)
    else:
        noise = _gaussian(len(samples), random)
    snr_db = float(random.uniform(*config.noise_snr_db))
    return _mix(samples, noise, snr_db)


def _equalize(samples: Wave, rate_hz: int, random: np.random.Generator, limit_db: float) -> Wave:
    """A random smooth gain curve, as microphones and rooms have: six bands a factor of about two apart."""
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / rate_hz)
    knots_hz = np.geomspace(100, rate_hz / 2, 7)
    gains_db = random.uniform(-limit_db, limit_db, len(knots_hz))
    curve_db = np.interp(np.log(np.maximum(hz, 1.0)), np.log(knots_hz), gains_db)
    return np.fft.irfft(spectrum * 10 ** (curve_db / 20), n=len(samples)).astype(np.float32)


def _reverberate(samples: Wave, response: Wave) -> Wave:
    """`samples` as heard in the room of `response`, as loud and as long; unchanged where its sound comes later."""
    length = len(samples) + len(response) - 1
    wet = np.fft.irfft(np.fft.rfft(samples, length) * np.fft.rfft(response, length), n=length)[: len(samples)]
    level = _rms(wet)
    if level < 1e-4 * _rms(samples) * float(np.abs(response).max()):  # rounding
        return samples
    return (wet * (_rms(samples) / max(1e-12, level))).astype(np.float32)


def _gaussian(length: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Gaussian noise [length] whose spectrum falls by 0 to 6 dB per octave."""
    white = np.fft.rfft(random.standard_normal(length))
    tilt = random.uniform(0, 1)
    return np.fft.irfft(white / np.maximum(1, np.arange(len(white))) ** tilt, n=length)


def _excerpt(noise: Wave, length: int, random: np.random.Generator) -> Wave:
    """`length` samples from a random place of `noise`, which begins again where it ends."""
    start = int(random.integers(len(noise)))
    return noise.take(np.arange(start, start + length), mode="wrap")


def _mix(samples: Wave, noise: NDArray[np.floating], snr_db: float) -> Wave:
    """`samples` and `noise`, `snr_db` below them."""
    level = _rms(samples) * 10 ** (-snr_db / 20)
    return (samples + noise * (level / max(1e-12, _rms(noise)))).astype(np.float32)


def _rms(samples: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
