"""What is no clean speech by one speaker comes back finite, and hardly louder than it was."""

import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import soundfile

import vqcodec

RATE_HZ = 16000
MOST_DB = 3.0
"""How much louder than its input a sound may come back."""


def white(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 1, samples)


def noisy(speech, _):
    """At 0 dB."""
    return speech + np.std(speech) * white(len(speech))


def reverberant(speech, _):
    """In a hall: an exponential decay of noise, 60 dB in 1.2 s."""
    time = np.arange(RATE_HZ) / RATE_HZ
    room = white(RATE_HZ, 1) * 10 ** (-3 * time / 1.2)
    room[0] = 20
    heard = scipy.signal.fftconvolve(speech, room)[: len(speech)]
    return heard * np.std(speech) / np.std(heard)


def telephone(speech, _):
    """300 to 3400 Hz."""
    return scipy.signal.sosfilt(scipy.signal.butter(8, (300, 3400), "bandpass", fs=RATE_HZ, output="sos"), speech)


def two_speakers(speech, other):
    return speech + other * np.std(speech) / np.std(other)


def whispered(speech, _):
    """The envelope of each 20 ms of speech by linear prediction, and noise in the place of the voice."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(speech, 160), 320)[::160] * np.hanning(320)
    out = np.zeros(len(speech) + 640)
    for place, frame in enumerate(frames):
        correlation = np.correlate(frame, frame, "full")[319 : 319 + 17] + 1e-6 * np.eye(1, 17)[0]
        predictor = scipy.linalg.solve_toeplitz(correlation[:-1], correlation[1:])
        excited = scipy.signal.lfilter([1], np.r_[1, -predictor], white(320, place)) * np.hanning(320)
        out[160 * place : 160 * place + 320] += excited * np.std(frame) / max(np.std(excited), 1e-9)
    return out[160 : 160 + len(speech)]


def shouted(speech, _):
    """As loud as samples can be, and clipped."""
    return np.clip(20 * speech, -1, 1)


def faster(speech, _):
    """As high as a small child's voice: played 1.7 times as fast."""
    return scipy.signal.resample_poly(speech, 10, 17)


def sung(speech, _):
    """A vowel of three formants that glides over an octave with a vibrato."""
    time = np.arange(len(speech)) / RATE_HZ
    hz = 220 * 2 ** (time / time[-1]) * (1 + 0.03 * np.sin(2 * np.pi * 5.5 * time))
    pulses = np.diff(np.floor(np.cumsum(hz) / RATE_HZ), prepend=0)
    for centre, width in ((700, 110), (1220, 120), (2600, 160)):
        radius, angle = np.exp(-np.pi * width / RATE_HZ), 2 * np.pi * centre / RATE_HZ
        pulses = scipy.signal.lfilter([1], [1, -2 * radius * np.cos(angle), radius**2], pulses)
    return 0.3 * pulses / np.abs(pulses).max()


def music(speech, _):
    """A chord a second with overtones that decay."""
    time = np.arange(len(speech)) / RATE_HZ
    chord = sum(
        np.sin(2 * np.pi * hz * overtone * time) / overtone for hz in (196, 247, 294, 392) for overtone in range(1, 9)
    )
    return 0.1 * chord * np.exp(-3 * (time % 1))


def clicks(speech, _):
    return np.where(np.arange(len(speech)) % 1600 == 0, 0.9, 0.0)


def nothing_but_noise(speech, _):
    return 0.1 * white(len(speech))


KINDS = [
    noisy,
    reverberant,
    telephone,
    two_speakers,
    whispered,
    shouted,
    faster,
    sung,
    music,
    clicks,
    nothing_but_noise,
]


@pytest.fixture(scope="module")
def voices(speech, speech_path):
    other = soundfile.read(speech_path.with_name("kerstin.flac"), frames=32000)[0]
    return speech[16000:48000].astype(float), other


def level_db(wave):
    return 10 * np.log10(np.mean(np.square(wave)))


@pytest.mark.parametrize("kbps", [0.5, 6])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_no_clean_speech_comes_back_hardly_louder(kind, kbps, voices, codec):
    wave = np.float32(kind(*voices))
    wave_hat, _ = vqcodec.decompress(vqcodec.compress(wave, RATE_HZ, kbps=kbps, model=codec), model=codec)
    assert np.isfinite(wave_hat).all()
    assert np.abs(wave_hat).max() > 0.01
    assert level_db(wave_hat) - level_db(wave) < MOST_DB
