"""Where nobody speaks: noise of a room, what stands out of it, and how soon."""

import numpy as np
import pytest
from scipy.signal import lfilter

from vqcodec.sessions.pauses import PauseDetector


def found(wave, rate_hz=16000, hop=320):
    return np.array(PauseDetector(rate_hz, hop).are_pauses(wave[: len(wave) // hop * hop].reshape(-1, hop)))


def noise_of(seconds, level_db, *, color=0.0, rate_hz=16000, seed=0):
    """Noise of a level, white or, with `color` above 0, softer the higher the band."""
    drawn = np.random.default_rng(seed).standard_normal(round(seconds * rate_hz))
    drawn = lfilter([1], [1, -color], drawn)
    return (drawn * 10 ** (level_db / 20) / drawn.std()).astype(np.float32)


@pytest.mark.parametrize(("rate_hz", "hop"), [(16000, 320), (8000, 160), (48000, 960)])
@pytest.mark.parametrize(("level_db", "color"), [(-60, 0), (-60, 0.9), (-47, 0.9), (-120, 0)])
def test_the_noise_of_a_room_is_a_pause_once_it_is_known(level_db, color, rate_hz, hop):
    is_pause = found(noise_of(6, level_db, color=color, rate_hz=rate_hz), rate_hz, hop)
    assert not is_pause[:20].any()
    assert is_pause[30:].mean() > 0.97


@pytest.mark.parametrize("level_db", [-35, -20])
def test_what_is_loud_is_no_pause_however_steady_it_is(level_db):
    assert not found(noise_of(4, level_db)).any()


@pytest.mark.parametrize("hz", [120, 440, 2500, 6900])
@pytest.mark.parametrize("samples", [0, 100, 200])
def test_the_frame_in_which_something_begins_10_db_above_its_band_is_none_of_the_pause(hz, samples):
    """A tone of -60 dB, beginning with the frame or in it; bands of noise of -70 dB have less than -74."""
    wave = noise_of(3, -70)
    begins = 320 * 100 + samples
    wave[begins : begins + 8000] += 10 ** (-57 / 20) * np.sin(np.arange(8000) * hz * 2 * np.pi / 16000).astype(
        np.float32
    )
    is_pause = found(wave)
    assert is_pause[90:100].all()
    assert not is_pause[100:135].any()  # 0.2 s after the tone as well
    assert is_pause[145:].all()


def test_a_click_holds_the_pause_up_for_as_long_as_it_is_and_40_ms():
    wave = noise_of(3, -70)
    wave[320 * 100 + 150] = 0.1
    is_pause = found(wave)
    assert np.flatnonzero(~is_pause[60:]).tolist() == [40, 41, 42]


def test_speech_between_pauses_is_kept_from_its_first_frame_on(speech):
    """Frames louder than the noise by 10 dB; the clip has noise of its own, which is one of the rooms."""
    voice = speech[: 2 * 16000 // 320 * 320]
    pause = np.zeros(32000, np.float32)
    clean = np.concatenate((pause, voice, pause, voice, pause))
    is_pause = found(clean + noise_of(len(clean) / 16000, -60, color=0.9))
    power_db = 10 * np.log10(np.square(clean.reshape(-1, 320)).mean(axis=1) + 1e-12)
    assert not is_pause[power_db > -50].any()
    assert is_pause[40:100].all() and is_pause[-60:].all()
