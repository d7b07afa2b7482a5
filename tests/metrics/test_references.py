"""Metrics against the packages they come from, a computation of their own, or signals whose value is known."""

import numpy as np
import pyloudnorm
import pytest
import soxr
from pesq import pesq
from pystoi import stoi as pystoi_stoi
from scipy.signal import chirp, get_window
from transformers.audio_utils import mel_filter_bank
from visqol import VisqolApi

from vqcodec.metrics import (
    estoi,
    f0_rmse,
    loudness_difference,
    lsd,
    mel_distance,
    pesq_nb,
    pesq_wb,
    si_sdr,
    stoi,
    visqol,
    visqol_audio,
    voicing_error,
)


@pytest.fixture
def coded(speech):
    """Speech with noise and without its highest octave."""
    spectrum = np.fft.rfft(speech)
    spectrum[len(spectrum) // 2 :] = 0
    rough = np.fft.irfft(spectrum, len(speech)) + np.random.default_rng(0).normal(0, 0.005, len(speech))
    return rough.astype(np.float32)


def test_pesq_is_the_package(speech, coded):
    assert pesq_wb(speech, coded, 16000) == pytest.approx(pesq(16000, speech, coded, "wb"), abs=1e-3)
    assert pesq_nb(speech, coded, 16000) == pytest.approx(pesq(16000, speech, coded, "nb"), abs=1e-3)


def test_stoi_is_the_package(speech, coded):
    assert stoi(speech, coded, 16000) == pytest.approx(pystoi_stoi(speech, coded, 16000), abs=1e-3)
    assert estoi(speech, coded, 16000) == pytest.approx(pystoi_stoi(speech, coded, 16000, extended=True), abs=1e-3)


@pytest.mark.slow
def test_visqol_is_the_package(speech, coded):
    for metric, mode, rate_hz in ((visqol, "speech", 16000), (visqol_audio, "audio", 48000)):
        wave, wave_hat = (soxr.resample(x[:32000], 16000, rate_hz) for x in (speech, coded))
        api = VisqolApi()
        api.create(mode=mode)
        expected = api.measure_from_arrays(wave.astype(np.float64), wave_hat.astype(np.float64), rate_hz).moslqo
        assert metric(wave, wave_hat, rate_hz) == pytest.approx(expected, abs=1e-3)


def test_si_sdr_is_its_definition_and_ignores_the_level(speech):
    noise = np.random.default_rng(0).normal(0, 1, len(speech))
    noise -= (noise @ speech) / (speech @ speech) * speech  # orthogonal, so that the ratio is known
    noise *= np.linalg.norm(speech) / np.linalg.norm(noise) / 10**0.5
    noisy = (speech + noise).astype(np.float32)
    assert si_sdr(speech, noisy, 16000) == pytest.approx(10, abs=1e-3)
    assert si_sdr(speech, 0.1 * noisy, 16000) == pytest.approx(10, abs=1e-3)


def test_log_spectral_distance_of_a_gain_is_the_gain(speech):
    loud = np.random.default_rng(0).normal(0, 0.1, len(speech)).astype(np.float32)  # nowhere near the floor
    assert lsd(loud, 0.5 * loud, 16000) == pytest.approx(20 * np.log10(2), abs=1e-3)


def magnitudes(wave, window, hop):
    """[window / 2 + 1, frames], frames centred on multiples of `hop`, in float64."""
    padded = np.pad(wave.astype(np.float64), window // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    return np.abs(np.fft.rfft(frames * get_window("hann", window))).T


def test_log_spectral_distance_is_its_definition(speech, coded):
    def levels(wave):
        return 20 * np.log10(np.maximum(magnitudes(wave, 512, 128) / 128, 1e-5))

    expected = np.sqrt(((levels(speech) - levels(coded)) ** 2).mean(axis=0)).mean()
    assert lsd(speech, coded, 16000) == pytest.approx(expected, abs=1e-3)


def test_mel_distance_is_that_of_the_mel_filters_of_transformers(speech, coded):
    bank = mel_filter_bank(371, 80, 0.0, 8000.0, 16000, norm="slaney", mel_scale="slaney").T

    def logs(wave):
        return np.log10(np.maximum(bank @ (magnitudes(wave, 740, 185) / 185), 1e-5))

    expected = np.abs(logs(speech) - logs(coded)).mean()
    assert mel_distance(speech, coded, 16000) == pytest.approx(expected, abs=1e-3)


def test_loudness_is_the_package_and_a_gain_is_its_decibels(speech, coded):
    meter = pyloudnorm.Meter(16000)
    expected = meter.integrated_loudness(coded.astype(float)) - meter.integrated_loudness(speech.astype(float))
    assert loudness_difference(speech, coded, 16000) == pytest.approx(expected, abs=1e-3)
    assert loudness_difference(speech, 0.5 * speech, 16000) == pytest.approx(20 * np.log10(0.5), abs=1e-3)


def harmonic(f0_hz, seconds=1.0, rate_hz=16000):
    """A tone with ten harmonics."""
    phase = 2 * np.pi * f0_hz * np.arange(round(seconds * rate_hz)) / rate_hz
    return sum(np.sin(n * phase) / n for n in range(1, 11)).astype(np.float32) / 5


@pytest.mark.parametrize(("true_hz", "guess_hz"), [(100, 110), (220, 200), (150, 150)])
def test_the_error_of_a_known_pitch_is_known(true_hz, guess_hz):
    cents = abs(1200 * np.log2(guess_hz / true_hz))
    # two tracks, each up to 10 cents beside the tone
    assert f0_rmse(harmonic(true_hz), harmonic(guess_hz), 16000) == pytest.approx(cents, abs=10)


def test_a_glide_against_a_steady_tone_has_the_error_of_its_range():
    seconds = np.arange(32000) / 16000
    glide = sum(chirp(seconds, 100 * n, 2, 200 * n, "logarithmic") / n for n in range(1, 11)).astype(np.float32) / 5
    # a straight line of cents from 0 to 1200: the root of its mean square is 1200 / sqrt(3)
    assert f0_rmse(harmonic(100, 2.0), glide, 16000) == pytest.approx(1200 / 3**0.5, rel=0.05)


def test_voicing_errors_are_counted():
    noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    voiced, half = harmonic(120, 2.0), np.concatenate([harmonic(120, 1.0), noise])
    assert voicing_error(voiced, half, 16000) == pytest.approx(0.5, abs=0.05)
    assert np.isnan(f0_rmse(voiced, np.tile(noise, 2), 16000))
