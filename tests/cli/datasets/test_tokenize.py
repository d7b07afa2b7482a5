"""vqcodec tokenize: exit codes, what it tells, what it refuses."""

import json
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from vqcodec.cli import main, progress
from vqcodec.tokens.run import Progress


@pytest.fixture(scope="module")
def clips(tmp_path_factory, speech_path):
    """Two good files and a bad one."""
    folder = tmp_path_factory.mktemp("clips") / "in"
    (folder / "sub").mkdir(parents=True)
    for name in ("a", "sub/b"):
        (folder / f"{name}.flac").write_bytes(speech_path.read_bytes())
    (folder / "bad.wav").write_bytes(b"no audio")
    return folder


def run(*arguments):
    result = CliRunner().invoke(main, ["tokenize", *map(str, arguments)], prog_name="vqcodec")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_rate_that_the_model_does_not_have_is_told(tmp_path, clips, toy_weights):
    result = run(clips, tmp_path / "out", "--model", toy_weights, "--plan-only", "--kbps", 7)
    assert result.output.splitlines()[0] == "7 kbps is more than this model has: all 3 codebooks, 0.6 kbps"


def test_a_column_with_a_name_of_ours_is_told_in_a_line(tmp_path, clips, toy_weights):
    lines = [{"path": str(clips / f"{name}.flac"), "source": name} for name in ("a", "sub/b")]
    manifest = tmp_path / "all.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = run(manifest, tmp_path / "out", "--model", toy_weights, "--plan-only")
    assert result.exit_code == 0
    told = f"{manifest}: column 'source' has the name of one of ours; it is carried as 'source_given'"
    assert result.output.splitlines() == [told, f"{tmp_path / 'out'}: planned"]


@pytest.mark.parametrize(("on_error", "code"), [("report", 1), ("skip", 0), ("stop", 1)])
def test_bad_audio_decides_the_exit_code(tmp_path, clips, toy_weights, in_process, on_error, code):
    options = ("--model", toy_weights, "--workers", 1, "--on-error", on_error)
    result = run(clips, tmp_path / "out", *options)
    assert result.exit_code == code
    last = result.output.splitlines()[-1]
    if on_error == "stop":
        assert last.startswith("Error: bad: ")
        assert not (tmp_path / "out" / "index.json").exists()
    else:
        told = f"1 utterances failed; {tmp_path / 'out'}/failures.jsonl says why, --resume --retry-failed tries again"
        assert last.removeprefix("Error: ") == told
        assert json.loads((tmp_path / "out" / "index.json").read_text())["utterances"] == 2


def test_what_failed_is_tried_again_when_asked(tmp_path, clips, toy_weights, speech_path, in_process):
    shutil.copytree(clips, tmp_path / "in")
    options = (tmp_path / "in", tmp_path / "out", "--model", toy_weights, "--workers", 1)
    assert run(*options).exit_code == 1
    (tmp_path / "in" / "bad.wav").write_bytes(speech_path.read_bytes())
    assert run(*options, "--resume").exit_code == 1
    result = run(*options, "--resume", "--retry-failed")
    assert (result.exit_code, (tmp_path / "out" / "failures.jsonl").read_text()) == (0, "")
    assert "3 utterances" in result.output


def test_a_log_has_a_json_line_with_what_is_done(tmp_path, clips, toy_weights, in_process):
    result = run(clips / "sub", tmp_path / "out", "--model", toy_weights, "--workers", 1)
    lines = [json.loads(line) for line in result.output.splitlines() if line.startswith("{")]
    assert (lines[-1]["utterances"], lines[-1]["planned"], lines[-1]["failures"]) == (1, 1, 0)
    assert lines[-1]["seconds_left"] == 0
    assert result.output.splitlines()[-1].endswith("1 utterances, 0.00 h, 771 tokens")


def test_a_terminal_has_one_line_that_changes(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with progress.Display() as display:
        now += 30  # to load
        display.show(Progress(0, 4, planned=40, utterances=2, seconds=720, failures=0))
        now += 10
        display.show(Progress(1, 4, planned=40, utterances=10, seconds=7200, failures=2))
    first, last = capsys.readouterr().err.split("\r\033[K")[1:]
    assert first == "0.20 h, 24 h/h, 2 of 40 utterances, 0 of 4 shards"
    assert last == "2.00 h, 180 h/h, 0:00:28 left, 10 of 40 utterances, 1 of 4 shards, 2 failed\n"


def test_the_time_left_is_that_of_what_is_left_at_the_pace_since_the_first_was_done():
    pace = progress.Pace()
    pace.begin(Progress(0, 4, 40, 1, 0.0, 0), 60.0)
    pace.begin(Progress(0, 4, 40, 2, 0.0, 0), 61.0)
    facts = progress.facts_of(Progress(1, 4, planned=40, utterances=9, seconds=3600, failures=2), 70.0, pace)
    assert (facts["hours"], facts["hours_per_hour"], facts["seconds_left"]) == (1.0, 51.4, 29.0)
    assert pace.seconds_left(Progress(4, 4, 40, 38, 0.0, 2), 60.5) == 0


def test_no_time_is_told_before_enough_is_done_to_know():
    pace = progress.Pace()
    assert pace.seconds_left(Progress(0, 4, 1000, 0, 0.0, 0), 60.0) is None
    pace.begin(Progress(0, 4, 1000, 1, 0.0, 0), 60.0)

    def left(done, elapsed, planned=1000):
        return pace.seconds_left(Progress(0, 4, planned, done, 0.0, 0), elapsed)

    assert left(1, 60.0) is None
    assert left(1, 600.0) is None, "nothing since the first"
    assert left(900, 64.9) is None, "too short a time"
    assert left(20, 600.0) is None, "too few utterances"
    assert left(21, 70.0) == 10 * 979 / 20
    assert left(2, 70.0, planned=3) == 10, "of a few long ones a share is enough"
    assert left(2, 70.0, planned=9) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--kbps", 3, "--codebooks", 2), "give --kbps or --codebooks, not both"),
        (("--shard", "3/3"), "'3/3' is not i/N"),
        (("--shard", "x"), "'x' is not i/N"),
        (("--ray-address", "auto"), "--ray-address is for --runner ray"),
        (("--format", "hdf5"), "'hdf5' is not one of"),
    ],
)
def test_wrong_usage_is_exit_code_2(tmp_path, clips, options, message):
    result = run(clips, tmp_path / "out", *options)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()


def test_a_plan_alone_makes_no_shards(tmp_path, clips, toy_weights):
    result = run(clips, tmp_path / "out", "--model", toy_weights, "--plan-only")
    assert (result.exit_code, result.output) == (0, f"{tmp_path / 'out'}: planned\n")
    assert list((tmp_path / "out" / "shards").iterdir()) == []


def test_help_imports_no_torch_and_neither_does_planning(tmp_path, clips):
    script = (
        "import sys; from vqcodec.cli import main;"
        f"main(['tokenize', {str(clips)!r}, {str(tmp_path / 'out')!r}, '--plan-only'], standalone_mode=False);"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


@pytest.mark.slow
def test_sigterm_ends_workers_and_leaves_nothing_half_written(tmp_path, clips):
    manifest = tmp_path / "many.jsonl"
    rows = [{"path": str(clips / "a.flac"), "id": str(number)} for number in range(3000)]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, "-m", "vqcodec", "tokenize", str(manifest), str(tmp_path / "out"), "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline().startswith("{")  # a worker is at it
    process.terminate()
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 128 + 15
    assert "Traceback" not in rest
    assert not list((tmp_path / "out" / "shards").glob(".*"))


def test_the_former_name_of_the_runner_works_and_warns(tmp_path, clips, toy_weights, in_process):
    options = ("--model", toy_weights, "--workers", 1, "--engine", "local")
    result = run(clips / "sub", tmp_path / "out", *options)
    assert result.exit_code == 0
    assert "Warning: --engine is called --runner now" in result.output
    result = run(clips, tmp_path / "none", "--runner", "local", "--engine", "ray")
    assert result.exit_code == 2
    assert "--engine ray is the former name of --runner local; give one" in result.output
