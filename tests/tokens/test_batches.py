from pathlib import Path

import numpy as np
import pytest
import soundfile

import vqcodec
from vqcodec.bitstream import VqcReader
from vqcodec.tokens.batches import Failure, tokenize
from vqcodec.tokens.utterances import Utterance


def utterances_in(folder):
    return [Utterance(path.stem, str(path), path.name) for path in sorted(folder.iterdir())]


def alone(utterance, codec):
    """Codes of the file by itself, as `vqcodec encode` makes them."""
    wave, rate_hz = soundfile.read(utterance.path, dtype="float32")
    import io

    reader = VqcReader(io.BytesIO(vqcodec.compress(wave, rate_hz, model=codec)))
    return np.concatenate([chunk.codes[0] for chunk in reader.chunks(entropy=codec.entropy)], axis=1)


@pytest.mark.parametrize("batch_seconds", [0.05, 1.0, 100.0])
def test_codes_and_order_do_not_depend_on_batches(tmp_path, make_clips, toy_codec, batch_seconds):
    utterances = utterances_in(make_clips(tmp_path, 23, rate_hz=11025))
    outcomes = list(tokenize(utterances, toy_codec, 3, batch_seconds=batch_seconds))
    assert [one.id for one in outcomes] == [one.id for one in utterances]
    for utterance, outcome in zip(utterances, outcomes, strict=True):
        np.testing.assert_array_equal(outcome.codes, alone(utterance, toy_codec))
        info = soundfile.info(utterance.path)
        assert (outcome.samples, outcome.original_rate_hz) == (info.frames, info.samplerate)


@pytest.mark.slow
def test_codes_of_500_clips_are_those_of_each_by_itself(tmp_path, make_clips, codec):
    utterances = utterances_in(make_clips(tmp_path, 500, least=100, most=4000))
    outcomes = tokenize(utterances, codec, 12, batch_seconds=10)
    for utterance, outcome in zip(utterances, outcomes, strict=True):
        np.testing.assert_array_equal(outcome.codes, alone(utterance, codec))


def test_a_failure_takes_no_other_with_it(tmp_path, make_clips, toy_codec):
    folder = make_clips(tmp_path, 6)
    (folder / "clip002.flac").write_bytes(b"junk")
    long = folder / "clip004.flac"
    soundfile.write(folder / "long.flac", np.tile(soundfile.read(long)[0], 40), 16000)
    long.write_bytes((folder / "long.flac").read_bytes()[:-2000])  # long, and damaged at its end
    outcomes = list(tokenize(utterances_in(folder), toy_codec, 1, batch_seconds=0.5))
    failed = [one.utterance.id for one in outcomes if isinstance(one, Failure)]
    assert failed == ["clip002", "clip004"]
    assert len(outcomes) == 7


def test_one_sample_has_one_frame(tmp_path, toy_codec):
    soundfile.write(tmp_path / "one.wav", [0.5], 16000)
    (outcome,) = tokenize(utterances_in(Path(tmp_path)), toy_codec, 2, batch_seconds=1)
    assert outcome.codes.shape == (2, 1)


def test_nothing_gives_nothing(toy_codec):
    assert list(tokenize([], toy_codec, 1, batch_seconds=1)) == []
