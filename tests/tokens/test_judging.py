"""Token quality: changes do what they say, shares and bits are those that can be counted by hand."""

import numpy as np
import pytest
import soundfile

from vqcodec.audio.discover import find_audio
from vqcodec.errors import AudioError
from vqcodec.files.convert import compress, decompress
from vqcodec.metrics import si_sdr
from vqcodec.tokens.changes import CHANGES, Recording, stretched
from vqcodec.tokens.judging import judge, mutual_information

RATE_HZ = 16000


def changed(name, wave):
    change = next(change for change in CHANGES if change.name == name)
    return change.make(Recording(wave, RATE_HZ, 320, np.random.default_rng(0)))


def tone(hz, samples=RATE_HZ):
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(samples) / RATE_HZ)).astype(np.float32)


def loudest_hz(wave):
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 8 * len(wave)))
    return np.argmax(spectrum) * RATE_HZ / (8 * len(wave))


@pytest.mark.parametrize(("name", "factor"), [("pitch +1", 2 ** (1 / 12)), ("pitch -1", 2 ** (-1 / 12))])
def test_pitch_moves_by_a_semitone_and_neither_length_nor_level_nor_time_does(name, factor):
    wave = tone(220)
    moved = changed(name, wave)
    assert moved.shape == wave.shape and moved.dtype == np.float32
    assert loudest_hz(moved) == pytest.approx(220 * factor, rel=0.003)
    middle = slice(2000, -2000)
    assert np.sqrt(np.mean(moved[middle] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)
    late = np.concatenate((np.zeros(8000, np.float32), tone(220, 8000)))
    assert np.flatnonzero(np.abs(changed(name, late)) > 0.25)[0] == pytest.approx(8000, abs=0.02 * RATE_HZ)


def test_what_is_stretched_to_its_own_length_is_itself():
    wave = np.random.default_rng(1).normal(0, 0.1, 5000).astype(np.float32)
    np.testing.assert_allclose(stretched(wave, 5000, RATE_HZ), wave, atol=1e-6)


def test_levels_noises_and_shifts_are_what_they_are_called(speech):
    wave = speech[:16000]
    np.testing.assert_allclose(changed("level -20 dB", wave), wave / 10, rtol=1e-6)
    noise = changed("noise 20 dB", wave) - wave
    assert 10 * np.log10(np.mean(wave**2) / np.mean(noise**2)) == pytest.approx(20, abs=0.2)
    np.testing.assert_array_equal(changed("half a frame", wave), wave[160:])
    np.testing.assert_array_equal(changed("a frame later", wave)[320:], wave)


def test_bits_in_common_are_those_that_are_there():
    """Independent: none, also of few frames; one that follows from another: its entropy; a faulty copy: between."""
    random = np.random.default_rng(0)
    first, other = random.integers(0, 16, (2, 20_000))
    faulty = np.where(random.random(20_000) < 0.5, first, random.integers(0, 16, 20_000))
    mutual = mutual_information(np.stack([first, other, first // 4, faulty]), random)
    np.testing.assert_allclose(np.diag(mutual), [4, 4, 2, 4], atol=0.01)
    np.testing.assert_array_equal(mutual, mutual.T)
    assert mutual[0, 1] < 0.01
    assert mutual[0, 2] == pytest.approx(2, abs=0.02)
    # Half of the codes are copied, and 1 of 16 others is by chance: P(same) = 17 / 32.
    same, others = 17 / 32, 1 / 32
    assert mutual[0, 3] == pytest.approx(4 + same * np.log2(same) + 15 * others * np.log2(others), abs=0.02)
    few = mutual_information(random.integers(0, 1024, (2, 500)), random)
    assert few[0, 1] < 0.05


@pytest.fixture(scope="module")
def clips(tmp_path_factory, speech):
    folder = tmp_path_factory.mktemp("clips")
    for index in range(2):
        soundfile.write(folder / f"{index}.wav", speech[16000 * index : 16000 * (index + 1) + 77], 8000)
    return folder


def test_shares_and_fidelity_are_those_of_files_coded_by_hand(clips, toy_codec):
    quality = judge(toy_codec, find_audio([clips]), num_codebooks=2)
    waves = [soundfile.read(path, dtype="float32")[0] for path in sorted(clips.iterdir())]

    def codes_of(wave):
        return toy_codec.encode_block(np.pad(wave, (0, -len(wave) % 160))[None], 2, None)[0][0]

    pairs = [(codes_of(wave), codes_of(wave / 10)) for wave in waves]
    expected = np.mean(np.concatenate([a == b for a, b in pairs], axis=1), axis=1)
    np.testing.assert_allclose(quality.same_share["level -20 dB"], expected, atol=0.011)  # a code of 200 may round
    assert (quality.clips, quality.frames) == (2, sum(a.shape[1] for a, _ in pairs))
    assert quality.usage.counts.sum() == 2 * quality.frames
    assert min(quality.same_share["a frame later"]) > 0.9 > max(quality.same_share["noise 20 dB"])
    np.testing.assert_allclose(quality.kbps, [0.2, 0.4])
    coded = [compress(wave, 8000, model=toy_codec, num_codebooks=2) for wave in waves]
    for count in (1, 2):
        heard = [decompress(data, model=toy_codec, num_codebooks=count)[0] for data in coded]
        scores = [si_sdr(wave, wave_hat[0], 8000) for wave, wave_hat in zip(waves, heard, strict=True)]
        assert quality.fidelity["si_sdr"][count - 1] == pytest.approx(np.mean(scores), abs=0.05)


def test_the_same_seed_gives_the_same_and_silence_is_refused(tmp_path, clips, toy_codec):
    first, second = (judge(toy_codec, find_audio([clips / "0.wav"]), num_codebooks=1, seed=3) for _ in range(2))
    for name, share in first.same_share.items():
        np.testing.assert_array_equal(share, second.same_share[name])
    soundfile.write(tmp_path / "silent.wav", np.zeros(8000), 8000)
    with pytest.raises(AudioError, match=r"silent.wav: is silent, so that its codes tell nothing"):
        judge(toy_codec, find_audio([tmp_path]), num_codebooks=1)
