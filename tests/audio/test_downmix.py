import numpy as np
import pytest

from vqcodec.audio.downmix import Downmix, to_mono
from vqcodec.errors import AudioError


def test_blocks_become_the_mean_of_their_channels(noise):
    wave = noise(3, 1000)
    downmix = Downmix("a.wav")
    parts = [downmix.push(wave[:, :300]), downmix.push(wave[:, 300:])]
    downmix.check()
    np.testing.assert_allclose(np.concatenate(parts, axis=1), wave.mean(axis=0, keepdims=True))


def test_one_channel_is_left_as_it_is(noise):
    wave = noise(1, 1000)
    assert Downmix("a.wav").push(wave) is wave


@pytest.mark.parametrize("around", [0.0, 1e-3])
def test_channels_that_cancel_each_other_are_told(noise, around):
    wave = noise(1, 1000)
    downmix = Downmix("a.wav")
    downmix.push(np.concatenate([wave, -wave]) + around * noise(2, 1000))
    with pytest.raises(AudioError, match=r"a\.wav: its channels cancel each other"):
        downmix.check()


@pytest.mark.parametrize("share", [0.0, 0.5, -0.8])
def test_silence_and_two_microphones_are_fine(noise, share):
    wave = noise(1, 1000) if share else np.zeros((1, 1000), np.float32)
    downmix = Downmix("a.wav")
    downmix.push(np.concatenate([wave, share * wave]))
    downmix.check()


@pytest.mark.parametrize(("how", "weights"), [("mean", [0.5, 0.5]), ("left", [1, 0]), ("right", [0, 1])])
def test_one_channel_of_two_is_their_mean_or_one_of_them(noise, how, weights):
    wave = noise(2, 1000)
    mono = np.concatenate(list(to_mono([wave[:, :300], wave[:, 300:]], how, "a.wav")), axis=1)
    np.testing.assert_allclose(mono, np.float32(weights)[None] @ wave, atol=1e-7)
    alone = noise(1, 50)
    np.testing.assert_array_equal(next(to_mono([alone], how, "a.wav")), alone)


def test_a_mean_that_is_silence_is_an_error_and_one_of_the_channels_is_not(noise):
    wave = np.concatenate([noise(1, 1000), -noise(1, 1000)])
    with pytest.raises(AudioError, match="--mono left"):
        list(to_mono([wave], "mean", "a.wav"))
    assert len(list(to_mono([wave], "left", "a.wav"))) == 1
