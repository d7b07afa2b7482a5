import json
import math
import re
import shutil

import numpy as np
import pytest
import soundfile

from vqcodec.errors import ConfigError
from vqcodec.evaluation.report.write_report import present
from vqcodec.evaluation.run import Comparison, evaluate

METRICS = ["stoi", "si_sdr"]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, speech):
    """An evaluation of three clips by two speakers, one of them no audio."""
    folder = tmp_path_factory.mktemp("evaluated")
    rows = ["path,speaker\n"]
    for number, speaker in enumerate(("Ada", "Ada", "Eve")):
        soundfile.write(folder / f"{number}.wav", speech[number * 16000 : number * 16000 + 24000], 16000)
        rows.append(f"{number}.wav,{speaker}\n")
    (folder / "bad.wav").write_text("no audio")
    soundfile.write(folder / "silent.wav", np.zeros(16000), 16000)
    (folder / "clips.csv").write_text("".join([*rows, "bad.wav,Eve\n", "silent.wav,Eve\n"]))
    codecs = ["speech-16k", "opus@6/24", "pcm", "speex-that-is-absent=hf:absent"]
    evaluate(
        [folder / "clips.csv"], folder / "out", Comparison(codecs=codecs, kbps=[1.5, 3], metrics=METRICS, listen=2)
    )
    return folder / "out"


@pytest.fixture
def out(evaluated, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(evaluated, tmp_path / "out")


@pytest.mark.slow
def test_the_folder_gets_tables_curves_facts_and_a_report(out):
    text = present(out)
    assert text.count("| speech-16k ") >= 2
    assert (out / "report.html").stat().st_size > 100_000
    assert {path.name for path in (out / "curves").iterdir()} == {f"{m}.{s}" for m in METRICS for s in ("svg", "png")}
    facts = json.loads((out / "summary.json").read_text())
    points = {(point["codec"], point["kbps_asked"]): point for point in facts["points"]}
    assert set(points) == {("speech-16k", 1.5), ("speech-16k", 3), ("opus", 6), ("opus", 24), ("pcm", None)}
    assert points["opus", 6]["scores"]["stoi"]["clips"] == 3
    assert points["opus", 6]["scores"]["stoi"]["undefined"] == 1
    assert points["pcm", None]["scores"]["si_sdr"]["mean"] > 50
    assert {front["codec"] for front in facts["pareto_front"]["si_sdr"]} >= {"pcm", "speech-16k"}
    (disagreement,) = facts["disagreements"]
    assert [pair["metrics"] for pair in disagreement["metrics"]] == [METRICS]
    assert len(disagreement["ranks"]) == 5
    assert "Where judges disagree" in (out / "report.html").read_text()


def test_what_is_missing_is_told_in_the_terminal_and_on_the_page(out):
    text = present(out, by="speaker")
    page = (out / "report.html").read_text()
    for shown in (text, page):
        for part in ("bad.wav", "undefined stoi: the original is silent", "skipped speex-that-is-absent"):
            assert part in shown
        for title in ("speaker Ada", "Speed", "Use of codebooks"):
            assert title in shown


@pytest.mark.slow
def test_order_is_that_of_the_codecs_however_results_came(out):
    first = present(out)
    path = out / "results.jsonl"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    assert present(out) == first


def test_the_use_of_codebooks_is_counted(out):
    usage = json.loads((out / "summary.json").read_text())["codebook_usage"] if present(out) else []
    assert [(u["codec"], u["kbps_asked"], len(u["perplexity"])) for u in usage] == [
        ("speech-16k", 1.5, 3),
        ("speech-16k", 3, 6),
    ]
    assert all(10 < value < 1024 for value in usage[1]["perplexity"])


def test_columns_give_groups(out):
    text = present(out, by="speaker")
    groups = json.loads((out / "summary.json").read_text())["groups"]
    assert set(groups) == {"Ada", "Eve"}
    assert groups["Ada"][0]["kbps"]["clips"] == 2
    assert "speaker Ada:" in text
    with pytest.raises(ConfigError, match="no clip has a column accent; there are speaker"):
        present(out, by="accent")


def test_the_anchor_of_bd_rates_can_be_chosen(out):
    present(out, anchor="opus")
    comparisons = json.loads((out / "summary.json").read_text())["comparisons"]
    assert {c["anchor"] for c in comparisons} == {"opus"}
    assert all(c["bd_rate"] is None or math.isfinite(c["bd_rate"]) for c in comparisons)
    with pytest.raises(ConfigError, match="no results of lyra"):
        present(out, anchor="lyra")


def test_a_folder_without_an_evaluation_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no evaluation"):
        present(tmp_path)


def test_nothing_coded_says_why(tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    evaluate([tmp_path / "bad.wav"], tmp_path / "out", Comparison(codecs=["pcm"], kbps=[6], metrics=["si_sdr"]))
    with pytest.raises(ConfigError, match=r"no clip was coded.*bad\.wav"):
        present(tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ["nope"]}, "names the metric 'nope'; there are pesq_wb"),
        ({"metrics": "stoi"}, "holds no evaluation"),
        ({"listen": 5}, "holds no evaluation"),
        ({"codecs": [1]}, "holds no evaluation"),
        ({"skipped": {"a": 1}}, "holds no evaluation"),
        ({"notes": ["\ud800"]}, "holds no evaluation"),
    ],
)
def test_settings_of_another_kind_are_one_line(out, change, message):
    path = out / "settings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ConfigError, match=message) as error:
        present(out)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["flac", "npy"])
def test_what_is_kept_and_damaged_is_named(out, kind):
    damaged = sorted(out.rglob(f"*.{kind}"))[0]
    damaged.write_bytes(damaged.read_bytes()[:20])
    with pytest.raises(ConfigError, match=rf"{re.escape(str(damaged))}: .* --resume makes it again once it is removed"):
        present(out)
