import numpy as np
import pytest
import torch
from scipy.signal import butter, sosfilt

import vqcodec
from vqcodec.audio.resample import resample
from vqcodec.evaluation.alignment import align

SHIFTS = [-8000, -7999, -4321, -801, -79, -1, 0, 1, 80, 317, 1600, 6789, 7999, 8000]


def shifted(wave, delay):
    """`wave` later by `delay`, longer by as much; earlier: without its beginning."""
    return np.concatenate([np.zeros(delay, np.float32), wave]) if delay >= 0 else wave[-delay:]


@pytest.mark.parametrize("delay", SHIFTS)
def test_every_shift_up_to_half_a_second_is_found_and_undone(speech, delay):
    aligned = align(speech, shifted(speech, delay), 16000)
    assert aligned.delay_samples == delay
    kept = slice(max(0, -delay), len(speech))
    np.testing.assert_array_equal(aligned.wave_hat[kept], speech[kept])
    assert not aligned.wave_hat[: max(0, -delay)].any()
    assert len(aligned.wave_hat) == len(speech)


@pytest.mark.parametrize("delay", [-8000, -123, 0, 1, 4567, 8000])
@pytest.mark.parametrize("change", ["inverted", "quiet", "low-pass", "noisy", "cut", "longer"])
def test_what_codecs_do_to_a_wave_does_not_mislead(speech, change, delay):
    noise = np.random.default_rng(0).normal(0, 0.5 * speech.std(), len(speech)).astype(np.float32)
    low = sosfilt(butter(2, 3400, fs=16000, output="sos"), speech).astype(np.float32)
    wave_hat = {
        "inverted": -speech,
        "quiet": 0.01 * speech,
        "low-pass": low,
        "noisy": speech + noise,
        "cut": speech[: len(speech) * 2 // 3],
        "longer": np.concatenate([speech, np.zeros(5000, np.float32)]),
    }[change]
    # A low-pass delays by itself: its group delay at low frequencies, below 3 samples.
    off = align(speech, shifted(wave_hat, delay), 16000).delay_samples - delay
    assert 0 <= off <= 2 if change == "low-pass" else off == 0


@pytest.mark.parametrize("rate_hz", [8000, 22050, 48000])
def test_other_rates(speech, rate_hz):
    wave = resample(speech[None], 16000, rate_hz)[0]
    delay = rate_hz // 3
    assert align(wave, shifted(wave, delay), rate_hz).delay_samples == delay


@pytest.mark.parametrize("delay", [-6000, 0, 4321])
def test_our_codec_at_its_lowest_rate_is_aligned_to_an_eighth_of_a_millisecond(speech, delay):
    codec = vqcodec.load()
    codes = codec.encode(torch.from_numpy(speech)[None, None], num_codebooks=1)
    wave_hat = codec.decode(codes, length_samples=len(speech))[0, 0].numpy()
    assert abs(align(speech, shifted(wave_hat, delay), 16000).delay_samples - delay) <= 2


@pytest.mark.parametrize("wave_hat", [np.zeros(0), np.zeros(16000), np.full(16000, np.nan), np.full(9, 0.5)])
def test_nothing_to_go_by_is_no_delay(speech, wave_hat):
    aligned = align(speech, wave_hat.astype(np.float32), 16000)
    assert aligned.delay_samples == 0
    assert len(aligned.wave_hat) == len(speech)
    assert align(wave_hat.astype(np.float32), speech, 16000).delay_samples == 0


@pytest.mark.parametrize("length", [1, 2, 50, 700])
def test_short_clips(speech, length):
    wave = speech[20000 : 20000 + length]
    assert align(wave, wave, 16000).delay_samples == 0
