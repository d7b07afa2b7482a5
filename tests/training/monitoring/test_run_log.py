"""What a run says: lines that fit, numbers that TensorBoard finds by names that say something, all in log.jsonl."""

import json

import pytest

from vqcodec.training.monitoring.run_log import RunLog

pytest.importorskip("tensorboard")


@pytest.fixture
def tags(tmp_path):
    """Function: the tags that TensorBoard has of the run."""

    def read():
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(tmp_path / "tensorboard"))
        events.Reload()
        return {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}

    return read


def test_lines_are_short_and_the_file_has_all(tmp_path, capsys):
    values = {f"loss_{number}": number / 7 for number in range(40)}
    with RunLog(tmp_path, 0, 10) as log:
        log.record(3, "train", values)
        log.phase("k-means on latents")
        log.record(4, "validation", {"estoi": [0.5, 0.75]})
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert 120 < len(lines[0]) <= 160
    assert lines[0].startswith("step 3  train  seconds ")
    assert lines[0].endswith("  (more in log.jsonl)")
    assert lines[1] == "k-means on latents"
    assert lines[2].endswith("estoi [0.5 0.75]")
    record = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])
    assert {name: record[name] for name in values} == values


def test_scores_are_named_by_their_rate(tmp_path, tags):
    with RunLog(tmp_path, 0, 10) as log:
        log.record(5, "validation", {"codebooks": [3.0, 12.0], "kbps": [1.5, 6.0], "pesq_wb": [2.0, 3.0]})
        log.record(5, "train", {"loss": 1.0, "perplexity": [10.0, 20.0]})
    scalars = tags()
    assert scalars["validation/pesq_wb/1.5-kbps"] == [2.0]
    assert scalars["validation/pesq_wb/6-kbps"] == [3.0]
    assert scalars["train/perplexity/2"] == [20.0]
    assert not [tag for tag in scalars if "kbps/" in tag or "codebooks" in tag]
