import numpy as np
import pytest

from vqcodec.training.config import DataConfig
from vqcodec.training.data.augment import Surroundings, augment, change_speed


def tone(hz, samples=8000):
    return np.sin(2 * np.pi * hz * np.arange(samples) / 8000).astype(np.float32) * 0.3


def test_speed_moves_the_pitch_and_the_length():
    fast = change_speed(tone(440), 1.25)
    assert len(fast) == pytest.approx(8000 / 1.25, abs=2)
    peak = np.argmax(np.abs(np.fft.rfft(fast[: 8000 // 2]))) * 2
    assert peak == pytest.approx(550, abs=3)


def test_the_level_is_drawn_from_the_range_and_never_clips():
    config = DataConfig(gain_db=(-20, 20))
    levels = []
    for seed in range(50):
        out = augment(tone(440), 8000, np.random.default_rng(seed), config)
        assert np.abs(out).max() <= 1
        levels.append(20 * np.log10(np.abs(out).max() / 0.3))
    assert min(levels) < -15
    assert max(levels) == pytest.approx(-20 * np.log10(0.3), abs=0.1)


def test_the_noise_has_the_asked_distance():
    config = DataConfig(noise_share=1, noise_snr_db=(20, 20), gain_db=(0, 0))
    clean = tone(440)
    noise = augment(clean, 8000, np.random.default_rng(0), config) - clean
    assert 10 * np.log10(np.mean(clean**2) / np.mean(noise**2)) == pytest.approx(20, abs=0.1)


def test_the_equalizer_stays_within_its_limit():
    config = DataConfig(filter_share=1, filter_db=6, gain_db=(0, 0))
    impulse = np.zeros(8000, np.float32)
    impulse[0] = 0.4
    gains_db = []
    for seed in range(20):
        spectrum = np.abs(np.fft.rfft(augment(impulse, 8000, np.random.default_rng(seed), config)))
        gains_db.append(20 * np.log10(spectrum / 0.4))
    assert np.abs(gains_db).max() <= 6.01
    assert np.std(gains_db) > 1


def test_every_other_noise_is_a_recording_from_any_place_of_it():
    config = DataConfig(noise_share=1, noise_snr_db=(20, 20), gain_db=(0, 0))
    clean, around = tone(440), Surroundings(noises=[tone(1000, 3000)])
    recorded = []
    for seed in range(200):
        noise = augment(clean, 8000, np.random.default_rng(seed), config, around) - clean
        assert 10 * np.log10(np.mean(clean**2) / np.mean(noise**2)) == pytest.approx(20, abs=0.1)
        if np.argmax(np.abs(np.fft.rfft(noise))) == 1000:
            recorded.append(noise[0])
    assert 70 < len(recorded) < 130
    assert np.ptp(recorded) > 0.01


def test_a_room_is_its_echoes_and_as_loud_as_before():
    config = DataConfig(rooms=["given below"], room_share=1, gain_db=(0, 0))
    click, response = np.zeros(8000, np.float32), np.zeros(5000, np.float32)
    click[4000], response[[0, 2000]] = 0.5, (1, -0.5)
    out = augment(click, 8000, np.random.default_rng(0), config, Surroundings(rooms=[response]))
    assert out.dtype == np.float32
    assert np.flatnonzero(np.abs(out) > 1e-3).tolist() == [4000, 6000]
    assert out[6000] / out[4000] == pytest.approx(-0.5, abs=1e-3)
    assert np.sum(out**2) == pytest.approx(0.25, rel=1e-3)


def test_a_response_that_only_comes_later_leaves_the_segment_as_it_is():
    config = DataConfig(rooms=["given below"], room_share=1, gain_db=(0, 0))
    response = np.zeros(9000, np.float32)
    response[-1] = 1
    out = augment(tone(440), 8000, np.random.default_rng(0), config, Surroundings(rooms=[response]))
    np.testing.assert_array_equal(out, tone(440))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"room_share": 0.1}, "room_share 0.1 needs rooms"),
        ({"rooms": ["a"]}, "would not be heard; set room_share"),
        ({"noises": ["a"]}, "would not be heard; set noise_share"),
    ],
)
def test_recordings_that_are_missing_or_unused_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        DataConfig(**values)
