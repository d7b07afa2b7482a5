import numpy as np
import pytest

from vqcodec.audio.pitch_shift import shift_pitch
from vqcodec.metrics.pitch import pitch_of

RATE_HZ = 16000


def loudest_hz(wave):
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return np.argmax(spectrum) * RATE_HZ / len(wave)


@pytest.mark.parametrize("factor", [0.6, 0.9, 1.5])
def test_a_tone_moves_by_the_factor_and_keeps_its_length_and_level(factor):
    tone = 0.5 * np.sin(2 * np.pi * 300 * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32)
    shifted = shift_pitch(tone, factor, RATE_HZ)
    assert shifted.dtype == np.float32
    assert shifted.shape == tone.shape
    assert loudest_hz(shifted) == pytest.approx(300 * factor, abs=2)
    assert np.abs(shifted[2000:-2000]).max() == pytest.approx(0.5, rel=0.1)


def test_a_voice_moves_and_speaks_at_the_same_speed(speech):
    shifted = shift_pitch(speech, 1.3, RATE_HZ)
    before, after = pitch_of(speech, RATE_HZ), pitch_of(shifted, RATE_HZ)
    ratio = np.median(after.f0_hz[after.voiced]) / np.median(before.f0_hz[before.voiced])
    assert ratio == pytest.approx(1.3, rel=0.03)
    assert (before.voiced == after.voiced).mean() > 0.85  # at the edges of voiced parts frames differ


@pytest.mark.parametrize("length", [0, 1, 10, 700])
def test_what_is_short_or_silent_stays_as_long_and_finite(length):
    assert shift_pitch(np.zeros(length, np.float32), 1.4, RATE_HZ).tolist() == [0.0] * length
    assert np.isfinite(shift_pitch(np.ones(length, np.float32), 0.7, RATE_HZ)).all()
