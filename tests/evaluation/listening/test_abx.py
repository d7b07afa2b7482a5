import json

import pytest
from click.testing import CliRunner
from scipy.stats import beta, binom

from vqcodec.cli import main
from vqcodec.errors import ConfigError
from vqcodec.evaluation.listening.abx import discriminations
from vqcodec.evaluation.listening.listeners import read_listeners
from vqcodec.evaluation.listening.stimulus import ORIGINAL, Stimulus
from vqcodec.evaluation.report.tables import discriminations_rows
from vqcodec.evaluation.run import Comparison, evaluate

REFERENCE = {"role": "reference", "codec": ORIGINAL, "condition": "", "kbps_asked": None, "kbps": None}
OPUS = {"role": "codec", "codec": "opus", "condition": "", "kbps_asked": 6, "kbps": 6.6}


def said(correct, wrong, unanswered=0, **facts):
    answers = [*["A"] * correct, *["B"] * wrong, *[None] * unanswered]
    trials = [{"clip": "a", "x": "A", "answer": answer} for answer in answers]
    return {"method": "ABX", "seed": 1, "time": "now", "a": REFERENCE, "b": OPUS, "trials": trials, **facts}


@pytest.fixture
def read(tmp_path):
    """Function of files by their names: what is read of them."""

    def read_all(**files):
        for name, values in files.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(values))
        return read_listeners(tmp_path)

    return read_all


def pairs_of(listeners):
    return discriminations(listener.abx for listener in listeners)


def test_tests_of_a_pair_are_summed_whichever_was_called_a(read):
    (pair,) = pairs_of(read(ada=said(14, 2), eve=said(10, 6, a=OPUS, b=REFERENCE)))
    assert (pair.a, pair.b) == (Stimulus(ORIGINAL, role="reference"), Stimulus("opus", kbps_asked=6))
    assert (pair.correct, pair.trials, pair.tests) == (24, 32, 2)
    assert pair.p_value == pytest.approx(binom.sf(23, 32, 0.5)), "one-sided: 24 or more"
    assert pair.low == pytest.approx(beta.ppf(0.025, 24, 9))
    assert pair.high == pytest.approx(beta.ppf(0.975, 25, 8))


@pytest.mark.parametrize(("correct", "p_value"), [(5, 1 / 32), (0, 1.0)])
def test_to_be_wrong_each_time_is_no_sign_of_hearing(read, correct, p_value):
    (pair,) = pairs_of(read(a=said(correct, 5 - correct)))
    assert pair.p_value == pytest.approx(p_value)


def test_the_order_of_answers_does_not_count_but_what_x_was_does(read):
    trials = [{"clip": "a", "x": x, "answer": answer} for x, answer in ("AA", "BB", "AB", "BA", "BB")]
    (pair,) = pairs_of(read(a=said(0, 0, trials=trials)))
    assert (pair.correct, pair.trials) == (3, 5)


def test_a_test_that_was_broken_off_does_not_count(read):
    broken, whole = read(a=said(5, 0, unanswered=11), b=said(12, 4))
    assert broken.fault == "answered 5 of 16 ABX trials"
    assert [pair.trials for pair in pairs_of([broken, whole])] == [16]


def test_equal_answers_of_two_sittings_are_two_tests_and_one_file_twice_is_not(read):
    (pair,) = pairs_of(read(a=said(16, 0), b=said(16, 0, time="later")))
    assert pair.trials == 32
    with pytest.raises(ConfigError, match=r"c\.json: has the scores of a\.json"):
        read(c=said(16, 0))


def test_a_codec_that_is_called_original_is_another_than_the_reference(read):
    (pair,) = pairs_of(read(a=said(16, 0, b={**REFERENCE, "role": "codec"})))
    assert discriminations_rows([pair])[1] == [
        "original against original (a codec)", "16 of 16", "100% (79% to 100%)", "< 0.0001", "1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": OPUS}, "A and B are the same"),
        ({"a": {**OPUS, "role": "judge"}}, "the role 'judge' is none of"),
        ({"b": 3}, "no scores of a blind test"),
        ({"seed": "1"}, "are no number and text"),
        ({"time": None}, "are no number and text"),
        ({"trials": []}, "nothing was answered"),
        ({"trials": [{"clip": "a", "x": "A", "answer": None}]}, "nothing was answered"),
        ({"trials": [{"clip": "a", "x": "C", "answer": "A"}]}, "is no trial"),
        ({"trials": [{"clip": "a", "x": "A", "answer": ["A"]}]}, "is no trial"),
        ({"trials": [{"clip": 1, "x": "A", "answer": "A"}]}, "is no trial"),
        ({"trials": [3]}, "no scores of a blind test"),
        ({"listener": 3}, "the listener 3 is no text"),
        ({"trained": "yes"}, "trained 'yes' is none of true and false"),
    ],
)
def test_what_no_page_writes_is_one_line(read, change, message):
    with pytest.raises(ConfigError, match=message) as error:
        read(a={**said(3, 1), **change})
    assert "\n" not in str(error.value)
    assert "a.json" in str(error.value)


def test_the_summary_and_the_page_show_the_pair_and_who_was_not_trained(read, tmp_path, speech_path):
    out = tmp_path / "out"
    evaluate([speech_path], out, Comparison(codecs=["pcm"], kbps=[6], metrics=["si_sdr"], listen=0))
    read(ada=said(12, 4, trained=True), eve=said(13, 3, trained=False), deaf=said(1, 0, unanswered=1))
    done = CliRunner().invoke(main, ["evaluate", "--summary", str(out), "--listeners", str(tmp_path)])
    assert done.exit_code == 0, done.output
    for shown in (done.stdout, (out / "report.html").read_text()):
        assert "original against opus @ 6" in shown
        assert "25 of 32" in shown
        assert "left out deaf: answered 1 of 2 ABX trials" in shown
        assert "tested without having heard all in training: eve" in shown
    (pair,) = json.loads((out / "summary.json").read_text())["abx"]
    assert pair["b"] == {"codec": "opus", "condition": "", "kbps_asked": 6, "role": "codec"}
    assert pair["p_value"] == pytest.approx(binom.sf(24, 32, 0.5))
