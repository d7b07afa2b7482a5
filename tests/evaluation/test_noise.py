"""Noise under clips: as loud as asked, the same for the same seed and clip, another for another."""

import numpy as np
import pytest
import soundfile

from vqcodec.audio.discover import Clip
from vqcodec.audio.excerpt import WHOLE
from vqcodec.errors import AudioError, ConfigError
from vqcodec.evaluation.clips import clip_hash
from vqcodec.evaluation.conditions import PLAIN, Condition
from vqcodec.evaluation.folder import original_path
from vqcodec.evaluation.noise import Noise, draw_noise, mixed
from vqcodec.evaluation.results import read_results
from vqcodec.evaluation.run import Comparison, evaluate


@pytest.fixture
def street(tmp_path, noise):
    """A folder of three recordings, shorter than the clips."""
    (tmp_path / "street").mkdir()
    for count, rate_hz in enumerate((16000, 16000, 8000)):
        soundfile.write(tmp_path / "street" / f"{count}.wav", noise(1, 12000 + count)[0], rate_hz)
    return tmp_path / "street"


@pytest.fixture
def clip(tmp_path, speech):
    soundfile.write(tmp_path / "clip.wav", speech[:24000], 16000)
    return tmp_path / "clip.wav"


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 30.0])
@pytest.mark.parametrize("name", ["0.wav", "2.wav"])
def test_noise_is_as_far_below_the_clip_as_asked_and_begins_again_where_it_ends(street, speech, snr_db, name):
    wave = 0.1 * speech[:40000]
    both = mixed(wave, 16000, Noise(street / name, WHOLE, 0.5), snr_db)
    added = both - wave
    assert both.dtype == np.float32
    assert 10 * np.log10(np.mean(wave**2) / np.mean(added**2)) == pytest.approx(snr_db, abs=0.01)
    length = 12000 if name == "0.wav" else 24004
    np.testing.assert_allclose(added[length : length + 10000], added[:10000], atol=1e-5)


def test_what_would_leave_the_range_is_scaled_as_a_whole(street, speech):
    wave = speech[:24000] / np.abs(speech[:24000]).max()
    both = mixed(wave, 16000, Noise(street / "0.wav", WHOLE, 0.0), 0.0)
    assert np.abs(both).max() == pytest.approx(1)


def test_the_draw_depends_on_seed_and_clip_alone(street):
    recordings = [Clip(path) for path in sorted(street.iterdir())]
    draws = {(clip, seed): draw_noise(recordings, clip, seed) for clip in "abcdef" for seed in range(3)}
    assert all(draw_noise(recordings, *key) == drawn for key, drawn in draws.items())
    assert len({drawn.start_share for drawn in draws.values()}) == 18
    assert len({drawn.path for drawn in draws.values()}) == 3


def test_silence_has_no_ratio(street, clip, speech):
    soundfile.write(street / "0.wav", np.zeros(8000), 16000)
    with pytest.raises(AudioError, match=r"0\.wav: is silent"):
        mixed(speech[:8000], 16000, Noise(street / "0.wav", WHOLE, 0.0), 10.0)
    with pytest.raises(AudioError, match="the clip: is silent"):
        mixed(np.zeros(8000, np.float32), 16000, Noise(street / "1.wav", WHOLE, 0.0), 10.0)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"noise": "street"}, "do not go together; give noise and its ratio"),
        ({"snr_db": 10}, "do not go together"),
        ({"noise_seed": 1}, "do not go together"),
        ({"noise": "", "snr_db": 10}, "no source of noise"),
        ({"noise": "street", "snr_db": float("inf")}, "snr_db inf cannot be; give -100 to 100"),
        ({"noise": "street", "snr_db": 10, "noise_seed": -1}, "noise_seed -1 cannot be"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(values, told):
    with pytest.raises(ConfigError, match=told) as caught:
        Condition(**values)
    assert "\n" not in str(caught.value)


def test_codecs_are_scored_against_the_noisy_clip_and_another_noise_is_done_again(tmp_path, street, clip):
    """PCM keeps what it is given, noise and all."""
    out, noisy = tmp_path / "out", Condition(noise=str(street), snr_db=5.0, level_db=-6.0)
    comparison = Comparison(["pcm"], [6], ["si_sdr"], listen=1, conditions=[PLAIN, noisy])

    def run():
        seen = []
        clip_hash.cache_clear()  # a new process has none
        evaluate([clip], out, comparison, resume=out.exists(), on_progress=lambda done, total: seen.append(total))
        return len(seen)

    assert run() == 2
    plain, result = read_results(out)
    assert result.condition == noisy
    assert (result.condition.label, result.error) == (f"level -6 dB, noise {street} at 5 dB", None)
    assert result.scores["si_sdr"] > 50
    assert result.clip_hash != plain.clip_hash
    original = soundfile.read(original_path(out, "clip", noisy))[0] * 10 ** (6 / 20)
    wave = soundfile.read(clip)[0]
    assert 10 * np.log10(np.mean(wave**2) / np.mean((original - wave) ** 2)) == pytest.approx(5, abs=0.1)
    assert run() == 0
    for path in street.iterdir():
        soundfile.write(path, np.random.default_rng(1).normal(0, 0.1, 20000), 16000)
    assert run() == 1


def test_a_folder_without_noise_is_told(tmp_path, clip):
    (tmp_path / "empty").mkdir()
    comparison = Comparison(["pcm"], [6], ["si_sdr"], conditions=[Condition(noise=str(tmp_path / "empty"), snr_db=5)])
    with pytest.raises(AudioError, match="empty: no audio found"):
        evaluate([clip], tmp_path / "out", comparison)
    assert not (tmp_path / "out").exists()
