from pathlib import Path

import numpy as np
import pytest
import soundfile

from vqcodec.audio.glimpse import is_unlike_speech, share_above

DATA = Path(__file__).parents[1] / "data"
RATE = 16000


def test_music_is_unlike_speech_at_any_rate_and_level(chords):
    for rate_hz in (16000, 44100):
        for level in (0.01, 1.0):
            assert is_unlike_speech(level * chords(rate_hz=rate_hz), rate_hz)


@pytest.mark.parametrize("path", sorted(DATA.glob("*.flac")), ids=lambda path: path.stem)
@pytest.mark.parametrize("snr_db", [None, 10, 0])
def test_speech_is_like_speech_even_in_noise(path, snr_db, noise):
    wave, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    wave = wave.T
    if snr_db is not None:
        hiss = noise(1, wave.shape[1])
        wave = wave + hiss / hiss.std() * wave.std() * 10 ** (-snr_db / 20)
    assert not is_unlike_speech(wave.astype(np.float32), rate_hz)


def test_silence_and_clips_that_are_short_are_not_judged(chords):
    assert not is_unlike_speech(np.zeros((1, 8 * RATE), np.float32), RATE)
    assert not is_unlike_speech(chords(2.0), RATE)
    assert not is_unlike_speech(np.zeros((2, 0), np.float32), RATE)


def test_one_loud_channel_decides(speech, chords):
    both = np.concatenate([chords(5.0), 0.01 * speech[None, : 5 * RATE]])
    assert is_unlike_speech(both, RATE)
    assert not is_unlike_speech(both[::-1] * np.float32([[100], [0.01]]), RATE)


def test_the_share_above_a_frequency_is_that_of_the_power():
    time = np.arange(48000) / 48000
    wave = np.stack([np.sin(2 * np.pi * 1000 * time), 0.5 * np.sin(2 * np.pi * 12000 * time)]).astype(np.float32)
    assert share_above(wave, 48000, 8000) == pytest.approx(0.2, abs=1e-3)
    assert share_above(wave, 48000, 24000) == 0
    assert share_above(0 * wave, 48000, 8000) == 0
    assert share_above(wave[:, :0], 48000, 8000) == 0
