import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.audio.resample import Resampler, resample
from vqcodec.frames import resampled_length

RATES = [4000, 8000, 11025, 16000, 22050, 44100, 48000, 192000]


@pytest.mark.parametrize("to_hz", RATES)
@pytest.mark.parametrize("samples", [0, 1, 2, 159, 2000])
def test_lengths_are_exact_forth_and_back(noise, to_hz, samples):
    wave = noise(2, samples)
    there = resample(wave, 16000, to_hz)
    assert there.shape == (2, resampled_length(samples, 16000, to_hz))
    assert resample(there, to_hz, 16000, length_samples=samples).shape == wave.shape


@given(st.lists(st.integers(0, 3000), max_size=5).map(sorted), st.sampled_from(RATES), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_any_split_gives_what_soxr_gives_at_once(cuts, from_hz, channels):
    wave = np.random.default_rng(0).normal(0, 0.1, (channels, 3000)).astype(np.float32)
    resampler = Resampler(from_hz, 16000, channels)
    pieces = [resampler.push(part) for part in np.split(wave, cuts, axis=1)] + [resampler.flush()]
    joined = np.concatenate(pieces, axis=1)
    wanted = soxr.resample(wave.T, from_hz, 16000, quality="HQ").T
    shared = min(joined.shape[1], wanted.shape[1])
    assert abs(joined.shape[1] - wanted.shape[1]) <= 1
    assert np.abs(joined[:, :shared] - wanted[:, :shared]).max() < 1e-6


def test_a_tone_keeps_its_phase():
    """Output sample n stands for time n / to_hz: no delay creeps in."""
    time = np.arange(8000) / 8000
    tone = np.sin(2 * np.pi * 440 * time)[None].astype(np.float32)
    out = resample(tone, 8000, 16000)[0]
    wanted = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert np.abs(out - wanted)[500:-500].max() < 1e-3
