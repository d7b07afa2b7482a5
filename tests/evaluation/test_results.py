import json
import math
from dataclasses import replace

import pytest

from vqcodec.errors import ConfigError, OutputError
from vqcodec.evaluation.results import Result, ResultsFile, finished, from_json, read_results, to_json

GOOD = Result(
    codec="opus",
    version="libopus 1.4",
    clip='weird "name"\u2028é',
    kbps_asked=6,
    rate_hz=16000,
    seconds=5.25,
    kbps=6.76,
    payload_kbps=5.5,
    encode_seconds=0.03,
    decode_seconds=0.01,
    delay_samples=104,
    scores={"pesq_wb": 2.21, "f0_rmse": math.nan},
    undefined={"f0_rmse": "no frame voiced in both"},
    columns={"speaker": "Ada"},
)
FAILED = Result("opus", "libopus 1.4", "bad", None, error="bad.wav: holds no samples")


@pytest.mark.parametrize("result", [GOOD, FAILED, replace(GOOD, columns={}, undefined={}, scores={"stoi": 0.5})])
def test_a_line_gives_the_result_back(result):
    line = to_json(result)
    assert "\n" not in line
    assert repr(from_json(line)) == repr(result)  # NaN equals nothing, its text does


def test_scores_stand_beside_the_facts_and_what_is_undefined_is_null():
    line = to_json(GOOD)
    assert '"pesq_wb": 2.21' in line
    assert '"f0_rmse": null' in line
    assert "NaN" not in line


def test_results_are_appended_and_the_last_of_a_kind_counts(tmp_path):
    for kbps in (7.0, 6.5):
        with ResultsFile(tmp_path / "results.jsonl") as file:
            file.add(replace(GOOD, kbps=kbps, scores={}))
            file.add(replace(GOOD, clip="other", scores={}))
    read = read_results(tmp_path)
    assert [(result.clip, result.kbps) for result in read] == [(GOOD.clip, 6.5), ("other", 6.76)]


@pytest.mark.parametrize("kept", [1, 10, -2, -1])
def test_a_line_that_a_kill_cut_is_forgotten_and_the_next_begins_on_its_own(tmp_path, kept):
    path = tmp_path / "results.jsonl"
    first, second = to_json(FAILED), to_json(replace(FAILED, clip="second"))
    path.write_text(f"{first}\n{second}\n"[: len(first) + 1 + kept] if kept > 0 else f"{first}\n{second}\n"[:kept])
    assert read_results(path) == [FAILED]
    with ResultsFile(path) as file:
        file.add(replace(FAILED, clip="third"))
    assert [result.clip for result in read_results(path)] == ["bad", "third"]


@pytest.mark.parametrize("line", ["{", "[]", '{"clip": "a"}', '{"codec": 1, "scores": 2}', "null"])
def test_lines_that_are_no_results_are_named(tmp_path, line):
    path = tmp_path / "results.jsonl"
    path.write_text(f"{to_json(FAILED)}\n{line}\n")
    with pytest.raises(ConfigError, match="line 2"):
        read_results(path)


def test_a_damaged_byte_makes_a_bad_line(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_bytes(f"{to_json(FAILED)}\n".encode() + b"\xff\xfe\n")
    with pytest.raises(ConfigError, match="line 2"):
        read_results(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"results\.jsonl"):
        read_results(tmp_path)


def test_errors_and_missing_metrics_are_to_be_done_again():
    done = finished([GOOD, FAILED, replace(GOOD, clip="other", scores={"stoi": 0.9})], ["pesq_wb", "f0_rmse"])
    assert list(done) == [GOOD.key]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(OutputError, match="absent"):
        ResultsFile(tmp_path / "absent" / "results.jsonl")


@pytest.mark.parametrize(
    "change",
    [
        {"codec": ["x"]},
        {"clip": None},
        {"version": {}},
        {"kbps": "a"},
        {"kbps": 10**400},
        {"kbps": True},
        {"seconds": 0},
        {"seconds": -1},
        {"seconds": None},
        {"rate_hz": float("inf")},
        {"pesq_wb": "nan"},
        {"codebook_size": 10**12},
        {"codebook_size": 0},
        {"codebook_size": 64.5},
        {"pesq_wb": [1]},
        {"columns": ["a"]},
        {"columns": {"speaker": 3}},
        {"undefined": "text"},
        {"error": 3},
        {"clip": "\ud800"},
    ],
    ids=str,
)
def test_a_value_of_another_kind_makes_a_bad_line(tmp_path, change):
    path = tmp_path / "results.jsonl"
    path.write_text(f"{to_json(FAILED)}\n{json.dumps({**json.loads(to_json(GOOD)), **change})}\n")
    with pytest.raises(ConfigError, match="line 2 is no result; remove it"):
        read_results(path)


@pytest.mark.parametrize("line", ["[" * 200_000, '{"a": ' + "9" * 5000 + "}"], ids=["deep", "digits"])
def test_a_line_beyond_the_limits_is_a_bad_line(tmp_path, line):
    (tmp_path / "results.jsonl").write_text(f"{to_json(FAILED)}\n{line}\n")
    with pytest.raises(ConfigError, match="line 2 is no result; remove it"):
        read_results(tmp_path)
