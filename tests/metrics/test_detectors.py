"""Pulses, grid lines, levels by band and the correlation of F0: by another computation, and on faults of known size."""

import numpy as np
import pytest
from scipy.fft import fft, ifft
from scipy.signal import butter, sosfilt, stft
from scipy.stats import pearsonr
from swift_f0 import SwiftF0

from vqcodec.errors import ConfigError
from vqcodec.metrics import METRICS, f0_correlation, grid_lines, measure


def noise(length, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, length).astype(np.float32)


@pytest.fixture
def coded(speech):
    """Speech with noise and without its highest octave."""
    spectrum = np.fft.rfft(speech)
    spectrum[len(spectrum) // 2 :] *= 0.1
    return (np.fft.irfft(spectrum, len(speech)) + 0.05 * noise(len(speech))).astype(np.float32)


def both_ways(sos, wave):
    """Zero-phase filtering with silence around, where the metric mirrors the edges: speech does not begin at one."""
    around = 4000
    padded = np.pad(wave.astype(np.float64), around)
    return sosfilt(sos, sosfilt(sos, padded)[::-1])[::-1][around:-around]


def envelope(wave, low_hz, high_hz):
    """Magnitude of the analytic signal, whose negative frequencies are 0."""
    inside = both_ways(butter(4, (low_hz, high_hz), "bandpass", fs=16000, output="sos"), wave)
    spectrum = fft(inside)
    spectrum[len(spectrum) // 2 + 1 :] = 0
    spectrum[1 : len(spectrum) // 2] *= 2
    return np.abs(ifft(spectrum))


def pulses(original, wave, low_hz, high_hz):
    """(depth in dB, periodicity), frame by frame."""
    track = SwiftF0().detect(original, 16000, fmin=65, fmax=500)
    voiced = track.confidence >= 0.5
    slow = both_ways(butter(4, 600, fs=16000, output="sos"), envelope(wave, low_hz, high_hz))
    found = []
    for frame in range(2, len(voiced) - 2):
        period = round(16000 / track.pitch_hz[frame])
        start = 256 * frame - (800 + period) // 2
        if voiced[frame - 2 : frame + 3].all() and start >= 0 and start + period + 800 <= len(original):
            now, later = slow[start : start + 800], slow[start + period :][:800]
            energy = np.sum(original[start : start + 800].astype(float) ** 2)
            found.append((energy, 20 * np.log10(now.std() / now.mean()), pearsonr(now, later)[0]))
    energy, depth, periodicity = np.array(found).T
    loud = energy >= 0.05 * np.percentile(energy, 95)
    return depth[loud].mean(), periodicity[loud].mean()


@pytest.mark.parametrize("band", [(1, 2), (2, 4), (4, 7)])
def test_depth_and_periodicity_of_pulses_are_their_definition(speech, coded, band):
    true, guess = (pulses(speech, wave, 1000 * band[0], 1000 * band[1]) for wave in (speech, coded))
    for name, expected in zip(("depth", "periodicity"), np.subtract(guess, true), strict=True):
        metric = METRICS[f"pulse_{name}_{band[0]}_{band[1]}khz"]
        assert metric(speech, coded, 16000) == pytest.approx(expected, abs=1e-3)


def test_pulses_that_become_noise_lose_their_depth_and_all_of_their_periodicity():
    train = np.zeros(32000)
    train[::128] = 1  # 125 Hz
    low, high = (butter(12, 1500, kind, fs=16000, output="sos") for kind in ("low", "high"))
    voice, hoarse = (
        (sosfilt(low, train) + sosfilt(high, over)).astype(np.float32) for over in (train, noise(len(train)))
    )
    for band in ("2_4khz", "4_7khz"):
        # from 1 to what 250 windows of noise leave over
        assert METRICS[f"pulse_periodicity_{band}"](voice, hoarse, 16000) == pytest.approx(-1, abs=0.1)
        assert METRICS[f"pulse_depth_{band}"](voice, hoarse, 16000) < -1


def test_what_is_not_voiced_has_no_pulses():
    measured = measure("pulse_depth_2_4khz", noise(32000), noise(32000), 16000)
    assert np.isnan(measured.value)
    assert measured.reason == "no 80 ms of voiced speech"


def height_db(wave, line):
    """Mean ratio of the lines to the medians beside them, from windows of a second that are added by hand."""
    loudness = envelope(wave, 4000, 7600)
    around = np.pad(loudness, 480, mode="symmetric")
    sums = np.concatenate([[0], np.cumsum(around)])
    loudness = loudness / ((sums[960:] - sums[:-960])[: len(loudness)] / 960 + 1e-5)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(16000) / 16000)
    starts = range(0, len(wave) - 15999, 8000)
    parts = [loudness[s : s + 16000] - loudness[s : s + 16000].mean() for s in starts]
    power = sum(np.abs(np.fft.rfft(window * part)) ** 2 for part in parts)
    ratios = [
        power[at] / np.median(np.concatenate([power[at - 12 : at - 4], power[at + 5 : at + 13]]))
        for at in range(line, 401, line)
    ]
    return 10 * np.log10(np.mean(ratios))


@pytest.mark.parametrize("line", [50, 75, 100])
def test_grid_lines_are_their_definition(speech, coded, line):
    expected = height_db(coded, line) - height_db(speech, line)
    assert grid_lines(line)(speech, coded, 16000) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("line", [50, 75, 100])
def test_a_buzz_stands_out_at_its_own_rate_only(line):
    hiss = noise(80000)
    rings = (np.arange(len(hiss)) % (16000 / line)) < 32
    buzzing = (hiss * (1 + 0.5 * rings)).astype(np.float32)
    assert grid_lines(line)(hiss, buzzing, 16000) > 6
    for other in (44, 64):  # no multiple of theirs is one of the line's
        assert abs(grid_lines(other)(hiss, buzzing, 16000)) < 2


def test_grid_lines_of_what_cannot_be_measured_are_refused_or_say_why(speech):
    for line_hz in (0, 19, 401, float("nan")):
        with pytest.raises(ConfigError, match="20 to 400 Hz"):
            grid_lines(line_hz)
    low = sosfilt(butter(10, 1000, fs=16000, output="sos"), noise(len(speech))).astype(np.float32)
    assert "wave_hat has nothing from 4" in measure("grid_50hz", speech, 0.01 * low, 16000).reason
    assert "the original has nothing from 4" in measure("grid_50hz", 0.01 * low, speech, 16000).reason
    assert "a second" in measure("grid_50hz", speech[:15999], speech[:15999], 16000).reason


BANDS = [("level", 0, 1), ("level", 1, 2), ("level", 2, 4), ("level", 4, 7), ("pause", 0, 4), ("pause", 4, 7)]


@pytest.mark.parametrize(("kind", "low", "high"), BANDS)
def test_levels_by_band_are_their_definition(speech, coded, kind, low, high):
    hz, _, true = stft(speech.astype(np.float64), 16000, nperseg=512, noverlap=384, boundary="even", padded=False)
    guess = stft(coded.astype(np.float64), 16000, nperseg=512, noverlap=384, boundary="even", padded=False)[2]
    true, guess = ((2 * np.abs(x)) ** 2 + 1e-12 for x in (true, guess))  # a tone of 1 has 1; -120 dB
    level = 10 * np.log10(true.sum(axis=0))
    below = np.percentile(level, 95) - level
    frames = below > 45 if kind == "pause" else below < 30
    bins = (hz >= 1000 * low) & (hz < 1000 * high)
    expected = 10 * np.log10(guess[bins][:, frames].sum() / true[bins][:, frames].sum())
    assert METRICS[f"{kind}_{low}_{high}khz"](speech, coded, 16000) == pytest.approx(expected, abs=1e-3)


def test_a_gain_of_a_band_is_its_level_and_no_other_s():
    hiss = noise(32000)
    spectrum = np.fft.rfft(hiss)
    hz = np.fft.rfftfreq(len(hiss), 1 / 16000)
    spectrum[(hz >= 2000) & (hz < 4000)] *= 0.5
    coded = np.fft.irfft(spectrum, len(hiss)).astype(np.float32)
    for low, high in ((0, 1), (1, 2), (2, 4), (4, 7)):
        expected = -6.02 if (low, high) == (2, 4) else 0
        # windows of 32 ms smear the edges of the band over a bin or two
        assert METRICS[f"level_{low}_{high}khz"](hiss, coded, 16000) == pytest.approx(expected, abs=0.2)


def test_hiss_in_pauses_has_its_level_and_speech_without_pauses_says_so(speech):
    parts = np.tile(np.concatenate([np.full(8000, 1.0), np.full(8000, 10**-2.5)]), 4)
    wave = (parts * noise(len(parts))).astype(np.float32)
    hissing = (wave + (parts < 1) * 10**-1.5 * noise(len(parts), seed=1)).astype(np.float32)
    for band in ("0_4khz", "4_7khz"):
        expected = 10 * np.log10(1 + 10**2)
        assert METRICS[f"pause_{band}"](wave, hissing, 16000) == pytest.approx(expected, abs=0.3)  # chance of the noise
    assert METRICS["level_4_7khz"](wave, hissing, 16000) == pytest.approx(0, abs=0.1)
    assert "pauses" in measure("pause_0_4khz", noise(32000), noise(32000), 16000).reason


def glide(start_hz, stop_hz):
    """A second of ten harmonics whose pitch goes from one to the other in a straight line."""
    f0_hz = np.linspace(start_hz, stop_hz, 16000)
    phase = 2 * np.pi * np.cumsum(f0_hz) / 16000
    return sum(np.sin(n * phase) / n for n in range(1, 11)).astype(np.float32) / 5


def test_the_correlation_of_f0_is_that_of_the_tracks(speech):
    slow = np.interp(np.arange(0, len(speech), 1.001), np.arange(len(speech)), speech).astype(np.float32)
    slow = slow[: len(speech)] + 0.02 * noise(len(slow))
    fitted = np.pad(slow, (0, len(speech) - len(slow)))
    tracks = [SwiftF0().detect(wave, 16000, fmin=65, fmax=500) for wave in (speech, fitted)]
    both = np.all([track.confidence >= 0.5 for track in tracks], axis=0)
    expected = pearsonr(*(track.pitch_hz[both] for track in tracks))[0]
    assert f0_correlation(speech, slow, 16000) == pytest.approx(expected, abs=1e-3)


def test_pitch_that_rises_where_it_should_fall_correlates_with_minus_1():
    assert f0_correlation(glide(120, 240), glide(240, 120), 16000) == pytest.approx(-1, abs=0.01)
    assert f0_correlation(glide(120, 240), glide(130, 250), 16000) == pytest.approx(1, abs=0.01)
    assert "10 frames" in measure("f0_correlation", glide(120, 240), noise(16000), 16000).reason
