"""Metrics that a model was trained on: found in its run, kept in its results, marked wherever they are shown."""

import json
import shutil

import pytest
import soundfile

from vqcodec.errors import ConfigError
from vqcodec.evaluation.codecs.library import NeuralCodec
from vqcodec.evaluation.codecs.trained import METRICS_OF_LOSSES, trained_on
from vqcodec.evaluation.report.plots import rate_quality_curve, svg_of
from vqcodec.evaluation.report.report_data import Interval, Point
from vqcodec.evaluation.report.tables import comparisons_rows, points_rows
from vqcodec.evaluation.report.write_report import present
from vqcodec.evaluation.results import read_results
from vqcodec.evaluation.run import Comparison, evaluate
from vqcodec.evaluation.summary import compare_curves
from vqcodec.metrics import METRICS
from vqcodec.models.zoo import MODELS
from vqcodec.training.config import LOSS_WEIGHTS

PESQ = ("pesq_nb", "pesq_wb")


def run_of(folder, weights, config):
    folder.mkdir()
    shutil.copy(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return folder / "model.safetensors"


def point(codec, kbps, score, **facts):
    def interval(mean):
        return Interval(mean, mean, mean, 1)

    return Point(codec, kbps, interval(kbps), None, {"pesq_wb": interval(score), "stoi": interval(score / 5)}, **facts)


POINTS = [point("ours", kbps, kbps / 2, trained_on=PESQ) for kbps in (2.0, 4.0, 8.0)]
POINTS += [point("opus", kbps, kbps / 3) for kbps in (2.0, 4.0, 8.0)]


def test_losses_and_metrics_have_names_that_there_are():
    assert METRICS_OF_LOSSES.keys() <= set(LOSS_WEIGHTS)
    assert {metric for metrics in METRICS_OF_LOSSES.values() for metric in metrics} <= METRICS.keys()
    for card in MODELS.values():
        assert card.losses and set(card.losses) <= set(LOSS_WEIGHTS)


def test_a_run_says_what_its_weights_were_trained_on_and_so_does_the_run_that_it_started_from(tmp_path, toy_weights):
    first = run_of(tmp_path / "first", toy_weights, {"loss": {"perceptual": 1.5, "mel": 0.0}, "init": None})
    assert NeuralCodec(str(first)).trained_on == PESQ
    assert NeuralCodec(str(tmp_path / "first")).trained_on == PESQ
    then = run_of(tmp_path / "then", toy_weights, {"loss": {"perceptual": 0.0, "mel": 1.0}, "init": str(first)})
    assert trained_on(then, "") == ("mel_distance", *PESQ)
    for start in ("speech-16k", str(tmp_path / "gone.safetensors"), str(tmp_path / "again" / "model.safetensors")):
        shutil.rmtree(tmp_path / "again", ignore_errors=True)
        again = run_of(tmp_path / "again", toy_weights, {"loss": {"grid": 1.0}, "init": start})
        assert {"grid_50hz", "grid_100hz"} <= set(trained_on(again, ""))
        assert ("pesq_wb" in trained_on(again, "")) == (start == "speech-16k")


@pytest.mark.parametrize("config", ["", "[]", '{"loss": 3}', '{"loss": {"perceptual": "1"}}', '{"model_type": "x"}'])
def test_a_config_of_something_else_marks_nothing(tmp_path, toy_weights, config):
    assert trained_on(run_of(tmp_path / "run", toy_weights, config), "") == ()


def test_the_bundled_model_is_known_by_its_weights_wherever_they_lie(tmp_path):
    assert "pesq_wb" in trained_on(tmp_path / "copy.safetensors", MODELS["speech-16k"].sha256)
    assert "distill_mos" not in trained_on(None, MODELS["speech-16k"].sha256)


def test_marks_stand_at_scores_of_that_codec_and_metric_only():
    _, *rows = points_rows(POINTS, ["pesq_wb", "stoi"])
    assert [["†" in cell for cell in row[3:5]] for row in rows] == [[True, False]] * 3 + [[False, False]] * 3
    rows = comparisons_rows(compare_curves(POINTS, "ours", ["pesq_wb", "stoi"]))[1:]
    assert [row[1] for row in rows] == ["PESQ-WB†", "STOI"]


def test_a_curve_marks_the_codec_and_explains_the_mark():
    flattered, plain = (svg_of(rate_quality_curve(POINTS, name)) for name in ("pesq_wb", "stoi"))
    assert "ours †" in flattered and "opus †" not in flattered and "which flatters it" in flattered
    assert "†" not in plain


def test_results_keep_it_and_table_page_and_summary_show_it(tmp_path, speech, toy_weights):
    weights = run_of(tmp_path / "run", toy_weights, {"loss": {"mel": 1.0}})
    soundfile.write(tmp_path / "clip.wav", speech[:16000], 16000)
    out = tmp_path / "out"
    evaluate([tmp_path / "clip.wav"], out, Comparison([str(weights), "pcm"], [0.2], ["mel_distance", "si_sdr"]))
    ours, pcm = read_results(out)
    assert (ours.trained_on, pcm.trained_on) == (("mel_distance",), ())
    text = present(out)
    assert "†: a loss of the codec's training is a model of this metric" in text
    assert text.splitlines()[2].count("†") == 1 and "†" not in text.splitlines()[3]
    assert "<li>†: a loss of the codec" in (out / "report.html").read_text()
    points = json.loads((out / "summary.json").read_text())["points"]
    assert [p["trained_on"] for p in points] == [["mel_distance"], []]
    with (out / "results.jsonl").open("a") as file:
        file.write('{"codec": "a", "version": "1", "clip": "b", "error": "x", "trained_on": [1]}\n')
    with pytest.raises(ConfigError, match="line 3 is no result"):
        read_results(out)
