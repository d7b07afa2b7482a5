"""Conditions are columns of the results: each has rows, points and axes of its own, in one folder."""

import json
import re

import numpy as np
import pytest
import soundfile

from vqcodec.errors import ConfigError
from vqcodec.evaluation.conditions import PLAIN, Condition
from vqcodec.evaluation.folder import codes_path, original_path, take_path
from vqcodec.evaluation.report.html import write_report
from vqcodec.evaluation.report.plots import rate_quality_curve
from vqcodec.evaluation.report.report_data import Interval, Point
from vqcodec.evaluation.report.tables import comparisons_rows, points_rows
from vqcodec.evaluation.report.write_report import present
from vqcodec.evaluation.results import Result, read_results
from vqcodec.evaluation.run import Comparison, evaluate
from vqcodec.evaluation.summary import compare_curves, summarise

TWICE = Condition(generations=2)


@pytest.fixture
def clip(tmp_path, speech):
    soundfile.write(tmp_path / "clip.wav", speech[:24000], 16000)
    return tmp_path / "clip.wav"


def point(codec, kbps, score, condition=PLAIN):
    def interval(mean):
        return Interval(mean, mean, mean, 1)

    return Point(codec, kbps, interval(kbps), None, {"pesq_wb": interval(score)}, condition)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"generations": 0}, "generations 0 is no count; give 1 to 100"),
        ({"generations": 101}, "generations 101 is no count"),
        ({"generations": 1.5}, "generations 1.5 is no count"),
        ({"generations": True}, "generations True is no count"),
        ({"shift_ms": -1.0}, "shift_ms -1.0 cannot be; give 0 to 1000"),
        ({"shift_ms": float("nan")}, "shift_ms nan cannot be"),
        ({"shift_ms": "4"}, "shift_ms '4' cannot be"),
        ({"level_db": -101}, "level_db -101 cannot be; give -100 to 100"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(values, told):
    with pytest.raises(ConfigError, match=told):
        Condition(**values)


def test_labels_say_what_is_not_as_by_default():
    assert PLAIN.label == ""
    assert Condition(generations=5, shift_ms=4.0).label == "5 generations, shift 4 ms"
    assert Condition(shift_ms=2.5).columns() == {"shift_ms": 2.5}


def test_a_condition_is_columns_of_a_line_and_one_that_cannot_be_is_named(tmp_path, clip):
    out = tmp_path / "out"
    conditions = [PLAIN, Condition(generations=2, shift_ms=4.0)]
    evaluate([clip], out, Comparison(["pcm"], [6], ["si_sdr"], conditions=conditions))
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert "generations" not in rows[0]
    assert (rows[1]["generations"], rows[1]["shift_ms"]) == (2, 4.0)
    assert [result.condition for result in read_results(out)] == conditions
    with (out / "results.jsonl").open("a") as file:
        file.write(json.dumps({**rows[1], "generations": 0}) + "\n")
    with pytest.raises(ConfigError, match="line 3 is no result"):
        read_results(out)


def test_another_condition_comes_beside_what_is_there_and_nothing_is_done_twice(tmp_path, clip, toy_weights):
    out = tmp_path / "out"

    def run(*conditions):
        seen = []
        comparison = Comparison([str(toy_weights)], [0.2], ["si_sdr"], conditions=conditions)
        evaluate([clip], out, comparison, resume=out.exists(), on_progress=lambda done, total: seen.append(total))
        return seen

    assert run(PLAIN) == [1]
    (first,) = read_results(out)
    assert run(PLAIN, TWICE, TWICE) == [1]
    assert run(TWICE, PLAIN) == []
    plain, twice = read_results(out)
    assert plain == first
    assert twice.scores["si_sdr"] != plain.scores["si_sdr"]
    for path in (take_path, codes_path):
        point = out, plain.codec, plain.kbps_asked, "clip"
        assert path(*point) != path(*point, TWICE)
        assert path(*point).exists() and path(*point, TWICE).exists()


def test_means_are_of_one_condition_each():
    rows = [
        Result("a", "1", clip, 3, 16000, 1.0, 3.0, scores={"pesq_wb": score}, condition=condition)
        for clip in "xy"
        for condition, score in ((TWICE, 1.0), (PLAIN, 2.0))
    ]
    points = summarise(rows, ["pesq_wb"])
    assert [(p.condition, p.scores["pesq_wb"].mean, p.kbps.clips) for p in points] == [(PLAIN, 2.0, 2), (TWICE, 1.0, 2)]


def test_tables_fronts_and_bd_rates_keep_conditions_apart():
    """Coded twice the second codec saves half; its points are on that front, though worse than once."""
    points = [point(codec, kbps, kbps / 2) for codec in "ab" for kbps in (2.0, 4.0, 8.0)]
    points += [point("a", kbps, kbps / 4, TWICE) for kbps in (2.0, 4.0, 8.0)]
    points += [point("b", kbps / 2, kbps / 4, TWICE) for kbps in (2.0, 4.0, 8.0)]
    head, *rows = points_rows(points, ["pesq_wb"])
    assert head[:3] == ["codec", "condition", "kbps"]
    assert [row[:2] for row in rows[5:7]] == [["b", ""], ["a", "2 generations"]]
    assert [row[4].endswith("*") for row in rows[6:]] == [False, False, False, True, True, True]
    comparisons = compare_curves(points, "a", ["pesq_wb"])
    assert [(c.condition, round(c.bd_rate, 6)) for c in comparisons] == [(PLAIN, 0.0), (TWICE, -50.0)]
    assert comparisons_rows(comparisons)[2][:2] == ["b", "2 generations"]
    plain = points_rows(points[:6], ["pesq_wb"])
    assert plain[0][:2] == ["codec", "kbps"]


def test_each_condition_has_axes_of_one_scale_and_a_codec_one_colour():
    points = [point("a", 2.0, 2.0), point("b", 2.0, 1.5), point("b", 2.0, 1.0, TWICE)]
    once, twice = rate_quality_curve(points, "pesq_wb").axes
    assert (once.get_title(), twice.get_title()) == ("coded once, as it is", "2 generations")
    assert once.get_ylim() == twice.get_ylim()
    (line,) = [container[0] for container in twice.containers]
    assert line.get_color() == once.containers[1][0].get_color()
    assert list(line.get_ydata()) == [1.0]


def test_the_page_has_a_column_of_conditions_where_there_are_any(tmp_path):
    points = [point("a", 2.0, 2.0), point("a", 2.0, 1.0, TWICE)]
    write_report(tmp_path / "both.html", title="a", points=points, curves={}, exhibits=[])
    write_report(tmp_path / "plain.html", title="a", points=points[:1], curves={}, exhibits=[])
    both, plain = ((tmp_path / name).read_text() for name in ("both.html", "plain.html"))
    assert ">2 generations</td>" in both and ">condition</button>" in both
    assert "condition</button>" not in plain


def test_the_folder_of_several_conditions_is_presented_with_all_of_them(tmp_path, clip):
    out = tmp_path / "out"
    evaluate([clip], out, Comparison(["mp3@32/64"], [6], ["si_sdr"], listen=1, conditions=[PLAIN, TWICE]))
    text = present(out)
    assert text.count("| mp3   | 2 generations |") >= 2
    facts = json.loads((out / "summary.json").read_text())
    assert [p["condition"]["generations"] for p in facts["points"]] == [1, 1, 2, 2]
    page = (out / "report.html").read_text()
    assert '"label": "mp3 32, 2 generations"' in page and '"label": "mp3 32"' in page


def test_a_level_is_that_of_what_is_coded_and_compared_with(tmp_path, clip):
    """A codec that keeps its input has the score of a copy; the original that is heard is the quiet one."""
    out, quiet = tmp_path / "out", Condition(level_db=-20.0)
    comparison = Comparison(["pcm"], [6], ["si_sdr", "loudness_difference"], listen=1, conditions=[PLAIN, quiet])
    evaluate([clip], out, comparison)
    _, result = read_results(out)
    assert result.condition == quiet
    assert result.scores["si_sdr"] > 50  # what rounding to 16 bits leaves at that level
    assert result.scores["loudness_difference"] == pytest.approx(0, abs=0.01)
    wave = soundfile.read(clip)[0]
    for path in (original_path(out, "clip", quiet), take_path(out, "pcm", None, "clip", quiet)):
        np.testing.assert_allclose(soundfile.read(path)[0], wave / 10, atol=1e-4)
    np.testing.assert_allclose(soundfile.read(original_path(out, "clip"))[0], wave, atol=1e-4)
    present(out)
    page = (out / "report.html").read_text()
    assert '"clip": "clip"' in page and '"clip": "clip, level -20 dB"' in page


def test_a_level_at_which_the_clip_would_be_cut_is_an_error_of_that_clip(tmp_path, clip):
    evaluate([clip], tmp_path / "out", Comparison(["pcm"], [6], ["si_sdr"], conditions=[Condition(level_db=60.0)]))
    (result,) = read_results(tmp_path / "out")
    assert re.fullmatch(r"at \+60 dB the peak of the clip is \S+, over 1; give \d+\.\d dB or less", result.error)


def test_what_failed_is_told_with_its_condition(tmp_path, clip):
    result = Result("pcm", "1", "clip", 6, failed={"stoi": "broke"}, condition=TWICE)
    assert result.failures == ["clip: stoi of pcm at 6 kbps (2 generations): broke"]


def test_audio_of_a_condition_is_what_the_last_coding_gave(tmp_path, clip, toy_weights):
    """The first and the second of the toy model, coded here by hand."""
    from vqcodec.files.convert import compress, decompress

    out = tmp_path / "out"
    evaluate([clip], out, Comparison([str(toy_weights)], [0.2], ["si_sdr"], listen=1, conditions=[TWICE]))
    (result,) = read_results(out)
    heard, rate_hz = soundfile.read(take_path(out, result.codec, result.kbps_asked, "clip", TWICE), dtype="float32")
    wave = soundfile.read(clip, dtype="float32")[0]
    from vqcodec.evaluation.alignment import align

    for _ in range(2):
        data = compress(np.clip(wave, -1, 1), rate_hz, model=toy_weights, kbps=result.kbps_asked)
        wave = align(wave, decompress(data, model=toy_weights)[0][0], rate_hz).wave_hat
    np.testing.assert_allclose(heard, np.clip(wave, -1, 1), atol=1e-4)
    assert result.kbps == pytest.approx(8 * len(data) / 1.5 / 1000, rel=1e-5)
