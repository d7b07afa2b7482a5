"""Codings in a row and shifts, by codecs that do one thing and remember what they were given."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from vqcodec.evaluation.codecs.codec_under_test import CodecUnderTest, Coded
from vqcodec.evaluation.coding import code
from vqcodec.evaluation.conditions import PLAIN, Condition

RATE_HZ = 16000


@dataclass
class Amplifier(CodecUnderTest):
    """Scales and delays."""

    gain: float = 1.0
    delay: int = 0
    name: str = "amplifier"
    version: str = "1"
    given: list = field(default_factory=list)

    def rates_kbps(self, asked):
        return [None]

    def run(self, wave, rate_hz, kbps):
        self.given.append(wave)
        late = np.concatenate((np.zeros(self.delay, np.float32), np.float32(self.gain) * wave))
        return Coded(late, bytes([len(self.given)]) * 1000, 0.1, 0.1)


@pytest.fixture
def wave(speech):
    return speech[8000:24000]


def test_each_coding_is_of_what_the_one_before_gave(wave):
    codec = Amplifier(gain=0.5)
    rendering = code(codec, wave, RATE_HZ, None, Condition(generations=3))
    np.testing.assert_array_equal(rendering.wave_hat, wave / 8)
    assert len(codec.given) == 3
    assert rendering.coded.data[0] == 3
    np.testing.assert_array_equal(code(Amplifier(gain=0.5), wave, RATE_HZ, None, PLAIN).wave_hat, wave / 2)


def test_delays_are_taken_out_after_each_coding_and_add_up(wave):
    """Together more than the half second that can be taken out at once."""
    rendering = code(Amplifier(delay=3000), wave, RATE_HZ, None, Condition(generations=4))
    assert rendering.delay_samples == 12000
    np.testing.assert_array_equal(rendering.wave_hat, wave)


def test_what_is_too_loud_is_clipped_before_it_is_coded_again(wave):
    codec = Amplifier(gain=30)
    code(codec, wave, RATE_HZ, None, Condition(generations=2))
    assert np.abs(codec.given[1]).max() == 1


@pytest.mark.parametrize("generations", [1, 3])
def test_each_coding_sees_the_clip_later_and_the_score_is_of_the_clip(wave, generations):
    codec = Amplifier()
    rendering = code(codec, wave, RATE_HZ, None, Condition(generations=generations, shift_ms=4.0))
    for count, given in enumerate(codec.given, start=1):
        np.testing.assert_array_equal(given, np.concatenate((np.zeros(64 * count), wave)))
    np.testing.assert_array_equal(rendering.wave_hat, wave)
    assert rendering.delay_samples == 0
    assert rendering.coded_seconds == (len(wave) + 64 * generations) / RATE_HZ
