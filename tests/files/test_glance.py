"""What is said of an input before it is coded, and that it is said before the model is loaded."""

import io

import numpy as np
import pytest
import soundfile

from vqcodec.bitstream import VqcReader
from vqcodec.errors import AudioError, ConfigError
from vqcodec.files.convert import encode_file
from vqcodec.files.request import Engines


def told(source, tmp_path, codec=None, **options):
    """Kinds and texts of remarks; `source`: a wave [C, T] and its rate, or a file."""
    if isinstance(source, tuple):
        soundfile.write(tmp_path / "in.wav", source[0].T, source[1])
        source = tmp_path / "in.wav"
    found = []
    options = options or {"num_codebooks": 1}
    target = io.BytesIO()
    encode_file(source, target, model=codec or "speech-16k", on_remark=lambda *one: found.append(one), **options)
    return found, VqcReader(io.BytesIO(target.getvalue())).header


def test_speech_of_one_channel_needs_no_word(speech_path, tmp_path, codec):
    assert told(speech_path, tmp_path, codec)[0] == []


def test_several_channels_are_told_with_what_they_cost(speech, tmp_path, codec):
    stereo = np.stack([speech, speech[::-1]])
    ((_, text),), header = told((stereo, 16000), tmp_path, codec, kbps=3)
    assert "2 channels, each coded by itself: 2 x 3 = 6 kbps in all; --mono mean codes one, --total-kbps" in text
    assert (header.channels, header.num_codebooks) == (2, 6)
    ((_, text),), header = told((stereo, 16000), tmp_path, codec, total_kbps=3)
    assert "2 x 1.5 = 3 kbps in all" in text
    assert (header.channels, header.num_codebooks) == (2, 3)


def test_channels_that_are_the_same_are_told(speech, tmp_path, codec):
    ((_, text),), header = told((np.stack([speech, speech]), 16000), tmp_path, codec, kbps=3)
    assert text == f"{tmp_path}/in.wav: its 2 channels are the same: coded once"
    assert header.channels == 1
    (*_, (_, text)), header = told((np.stack([speech, speech]), 16000), tmp_path, codec, total_kbps=3)
    assert (header.channels, header.num_codebooks) == (1, 6)


def test_a_total_that_no_codebook_fits_is_told(speech, tmp_path, codec):
    found, header = told((np.stack([speech, speech[::-1], -speech]), 16000), tmp_path, codec, total_kbps=1)
    assert "0.333333 kbps is less than this model has: one codebook, 0.5 kbps" in found[0][1]
    assert header.num_codebooks == 1


def test_mono_codes_one_channel_and_says_nothing(speech, tmp_path, codec):
    stereo = np.stack([speech, np.roll(speech, 100)])
    soundfile.write(tmp_path / "in.wav", stereo.T, 16000)
    files = {}
    for how in ("mean", "left", "right"):
        found, target = [], io.BytesIO()
        encode_file(
            tmp_path / "in.wav", target, model=codec, mono=how, kbps=1, on_remark=lambda *one, f=found: f.append(one)
        )
        assert found == []
        assert VqcReader(io.BytesIO(target.getvalue())).header.channels == 1
        files[how] = target.getvalue()
    assert len(set(files.values())) == 3
    with pytest.raises(ConfigError, match="mono 'middle' is none of mean, left, right"):
        encode_file(tmp_path / "in.wav", io.BytesIO(), model=codec, mono="middle")
    with pytest.raises(ConfigError, match="give one of kbps, total_kbps and num_codebooks"):
        encode_file(tmp_path / "in.wav", io.BytesIO(), model=codec, kbps=1, total_kbps=2)


def test_music_and_what_lies_above_the_band_are_one_warning(tmp_path, codec, toy_codec, chords):
    ((_, text),), _ = told((chords(5.0), 16000), tmp_path, codec)
    assert text.startswith(f"Warning: {tmp_path}/in.wav: it does not sound like speech, which is all that speech-16k")
    assert "Opus (opusenc) and --model hf:" in text
    hissing = chords(5.0, 48000)
    hissing[:, 1:] = hissing[:, 1:] + 2 * np.diff(np.random.default_rng(0).normal(0, 0.05, hissing.shape[1]))
    ((_, text),), _ = told((hissing, 48000), tmp_path, codec)
    assert "% of its energy is above 8 kHz, which does not come back" in text
    assert told((chords(5.0), 8000), tmp_path, toy_codec)[0] == [], "what one's own model was trained on is not known"


def test_an_input_is_looked_at_before_a_model_is_loaded(tmp_path, speech, monkeypatch):
    (tmp_path / "text.wav").write_text("This is no audio.")
    monkeypatch.setattr("vqcodec.models.zoo.engine_for", lambda *_, **__: pytest.fail("was loaded"))
    with pytest.raises(AudioError, match="no audio"):
        encode_file(tmp_path / "text.wav", tmp_path / "a.vqc")


def test_glancing_leaves_pipes_and_what_is_coded_as_they_are(speech, tmp_path):
    data = io.BytesIO()
    soundfile.write(data, speech, 16000, format="WAV")
    pipe = io.BytesIO(data.getvalue())
    pipe.seekable = lambda: False
    plain, remarked, engines = io.BytesIO(), io.BytesIO(), Engines("onnx")
    encode_file(io.BytesIO(data.getvalue()), plain, engines=engines, num_codebooks=1)
    encode_file(pipe, remarked, engines=engines, num_codebooks=1, on_remark=lambda *_: None)
    assert plain.getvalue() == remarked.getvalue()
    assert engines.loading_seconds > 0


def test_what_a_glance_cannot_read_is_told_as_without_it(speech, tmp_path, codec):
    bad = speech.copy()
    bad[40000] = np.nan
    soundfile.write(tmp_path / "nan.wav", bad, 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a sample at 0:00:02\.500 is NaN"):
        told(tmp_path / "nan.wav", tmp_path, codec)
