import sys
import types
from importlib.machinery import ModuleSpec

import numpy as np
import pytest

from vqcodec.errors import ConfigError
from vqcodec.metrics import measure
from vqcodec.metrics.recognition import cer_by, edit_distance, wer_by, words_of

# Hears a word per 16,000 samples: "w0 w1 ..."
EAR = "import sys, soundfile; print(' '.join(f'w{n}' for n in range(soundfile.info(sys.argv[1]).frames // 16000)))"


@pytest.fixture
def recogniser(tmp_path):
    script = tmp_path / "ear.py"
    script.write_text(EAR)
    return f"{sys.executable} {script} {{wav}}"


@pytest.mark.parametrize(
    ("words", "words_hat", "distance"),
    [
        ("a b c", "a b c", 0),
        ("a b c", "a x c", 1),
        ("a b c", "a c", 1),
        ("a b", "a b b b", 2),
        ("", "a", 1),
        ("a", "", 1),
    ],
)
def test_the_distance_is_the_fewest_edits(words, words_hat, distance):
    assert edit_distance(words.split(), words_hat.split()) == distance


def test_punctuation_and_case_are_no_words():
    assert words_of("Don\u2019t - STOP, now!") == ["don't", "stop", "now"]


def test_words_are_counted_against_a_text_or_what_is_heard_in_the_original(speech, recogniser):
    said = len(speech) // 16000
    assert wer_by(recogniser)(speech, speech, 16000) == 0
    text = " ".join(f"w{n}" for n in range(said + 2))
    assert wer_by(recogniser, text)(speech, speech, 16000) == pytest.approx(2 / (said + 2))


def test_characters_are_those_of_the_words_with_a_space_between(speech, tmp_path):
    script = tmp_path / "say.py"
    script.write_text("print('The cat  sat!')")
    said = f"{sys.executable} {script} {{wav}}"
    assert cer_by(said, "the bat sat")(speech, speech, 16000) == pytest.approx(1 / 11)
    assert wer_by(said, "the bat sat")(speech, speech, 16000) == pytest.approx(1 / 3)
    assert cer_by(said, "thecat sat")(speech, speech, 16000) == pytest.approx(1 / 10)
    assert cer_by(said)(speech, speech, 16000) == 0
    assert "no words" in cer_by(said, "...").measure(speech, speech, 16000).reason
    assert "no recogniser" in measure("cer", speech, speech, 16000).reason


@pytest.fixture
def whisper(tmp_path, monkeypatch):
    """A folder as faster-whisper wants it, and in place of that package one that says how many seconds it is given."""
    calls = []

    class WhisperModel:
        def __init__(self, folder, *, cpu_threads, local_files_only):
            if (tmp_path / "model" / "model.bin").read_bytes() == b"damaged":
                raise RuntimeError("Unsupported model\nbinary version")
            calls.append(("load", folder, local_files_only, cpu_threads > 0))

        def transcribe(self, audio, *, temperature, condition_on_previous_text):
            calls.append((audio.dtype, len(audio), temperature, condition_on_previous_text))
            words = [f" w{n}," for n in range(len(audio) // 16000)]
            return (types.SimpleNamespace(text=word) for word in words), types.SimpleNamespace(language="en")

    package = types.ModuleType("faster_whisper")
    package.WhisperModel, package.__spec__ = WhisperModel, ModuleSpec("faster_whisper", None)
    monkeypatch.setitem(sys.modules, "faster_whisper", package)
    (tmp_path / "model").mkdir()
    for name in ("model.bin", "tokenizer.json"):
        (tmp_path / "model" / name).write_text("{}")
    return tmp_path / "model", calls


def test_a_model_of_faster_whisper_hears_at_16_khz_without_drawing(speech, whisper):
    folder, calls = whisper
    wave = np.repeat(speech, 2)[: 32000 * 3]
    assert wer_by(f"whisper:{folder}", "W0 w1 wrong")(wave, wave, 32000) == pytest.approx(1 / 3)
    assert calls == [("load", str(folder), True, True), (np.float32, 48000, 0.0, False)]
    assert cer_by(f"whisper:{folder}", "w0 w1 w2")(wave, wave, 32000) == 0
    assert len(calls) == 2, "the same sound is heard once for both"


def test_a_folder_that_is_no_model_of_faster_whisper_is_one_line(speech, whisper, monkeypatch):
    folder, _ = whisper
    (folder / "model.bin").write_text("damaged")
    with pytest.raises(ConfigError, match=r"model: faster-whisper cannot load it \(Unsupported model binary version\)"):
        wer_by(f"whisper:{folder}")(speech, speech, 16000)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match=r"has no tokenizer.json; give a folder with a model of faster-whisper"):
        cer_by(f"whisper:{folder}")
    (folder / "tokenizer.json").touch()
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(ConfigError, match="pip install faster-whisper"):
        wer_by(f"whisper:{folder}")


def test_no_words_and_a_failing_program_are_reasons(speech, tmp_path, recogniser):
    assert "no words" in wer_by(recogniser, "...").measure(speech, speech, 16000).reason
    failing = tmp_path / "fail.py"
    failing.write_text("import sys; sys.exit('no model')")
    assert "no model" in wer_by(f"{sys.executable} {failing} {{wav}}").measure(speech, speech, 16000).reason
    assert "no recogniser" in measure("wer", speech, speech, 16000).reason


def test_a_bad_template_and_an_absent_program_are_one_line(speech):
    with pytest.raises(ConfigError, match=r"\{wav\}"):
        wer_by("recognise")
    with pytest.raises(ConfigError, match="absent-program"):
        wer_by("absent-program {wav}")(speech, speech, 16000)
