import sys

import pytest

from vqcodec.errors import ConfigError
from vqcodec.metrics import measure
from vqcodec.metrics.recognition import edit_distance, wer_by, words_of

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
