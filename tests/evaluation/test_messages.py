"""Jobs that kill their process: by a metric and by a codec, which are programs that send it a signal."""

import math

import pytest
import soundfile
from click.testing import CliRunner

from vqcodec.cli import main
from vqcodec.evaluation import messages as jobs
from vqcodec.evaluation.results import read_results
from vqcodec.evaluation.run import Comparison, evaluate


@pytest.fixture
def clips(tmp_path, speech):
    """Clips 0, 1 and 2; clip 1 is longer than the others."""
    (tmp_path / "clips").mkdir()
    for number, seconds in enumerate((1, 2, 1)):
        wave = speech[16000 * number : 16000 * (number + seconds)]
        soundfile.write(tmp_path / "clips" / f"{number}.wav", wave, 16000)
    return tmp_path / "clips"


@pytest.fixture
def killer(tmp_path):
    """Function: a command that ends the process that runs it with `signal` if its file is that of clip 1; says a word.

    once: only the first time.
    """

    def make(signal, *, once=False):
        path = tmp_path / "killer.sh"
        mark = tmp_path / "killed"
        condition = f"[ ! -e {mark} ] && " if once else ""
        kill = f"{condition}touch {mark} && kill -{signal} $PPID"
        path.write_text(f'if [ $(stat -c %s "$1") -gt 40000 ]; then {kill}; fi\necho word\n')
        return f"sh {path}"

    return make


def run(*arguments):
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def scores_of(out):
    return {result.clip: result.scores for result in read_results(out)}


@pytest.mark.slow
@pytest.mark.parametrize(("signal", "how"), [("SEGV", "crashed (SIGSEGV)"), ("KILL", "was killed (SIGKILL)")])
def test_a_metric_that_kills_costs_its_value_and_no_other(tmp_path, clips, killer, signal, how):
    calm, out = tmp_path / "calm", tmp_path / "out"
    options = {"codecs": ["pcm"], "kbps": [6], "metrics": ["si_sdr", "lsd"]}
    evaluate([clips], calm, Comparison(**options, recogniser="echo word {wav}"))
    done = run(
        *(clips, "--out", out, "--codecs", "pcm", "--metrics", "si_sdr,wer,lsd", "--workers", 2),
        *("--recogniser", f"{killer(signal)} {{wav}}"),
    )
    assert done.exit_code == 1
    assert f"1: wer of pcm: the process that measured it {how}" in done.stderr
    assert f"1: wer of pcm: the process that measured it {how}" in done.stdout
    one = {result.clip: result for result in read_results(out)}
    assert how in one["1"].failed["wer"]
    assert math.isnan(one["1"].scores["wer"])
    assert not one["0"].failures and not one["2"].failures
    for clip, scores in scores_of(calm).items():
        for metric in ("si_sdr", "lsd", *(["wer"] if clip != "1" else [])):
            assert one[clip].scores[metric] == scores[metric]


@pytest.mark.slow
@pytest.mark.parametrize("signal", ["SEGV", "KILL"])
def test_a_codec_that_kills_costs_its_clip(tmp_path, clips, killer, signal):
    killer(signal)
    # Read by the shell that is the program, and not run by it: the process to kill is the one that runs the program.
    (tmp_path / "encode.sh").write_text(f'. {tmp_path / "killer.sh"}\ncp "$1" "$2"\n')
    template = f"mine=sh {tmp_path / 'encode.sh'} {{in}} {{bits}}; cp {{bits}} {{out}}"
    done = run(clips, "--out", tmp_path / "out", "--codecs", "pcm,mine", "--external", template, "--metrics", "si_sdr")
    assert done.exit_code == 1
    assert "1: mine: the process that coded it" in done.stderr
    assert f"SIG{signal}" in done.stderr
    failed = [result for result in read_results(tmp_path / "out") if result.failures]
    assert [(result.codec, result.clip, result.kbps) for result in failed] == [("mine", "1", None)]
    assert len(read_results(tmp_path / "out")) == 6


def test_a_death_that_does_not_come_again_costs_nothing(tmp_path, clips, killer):
    done = run(
        *(clips, "--out", tmp_path / "out", "--codecs", "pcm", "--metrics", "si_sdr", "--workers", 1),
        *("--recogniser", f"{killer('SEGV', once=True)} {{wav}}"),
    )
    assert done.exit_code == 0, done.output
    assert (tmp_path / "killed").exists()
    assert {clip: scores["wer"] for clip, scores in scores_of(tmp_path / "out").items()} == {"0": 0, "1": 0, "2": 0}


@pytest.mark.slow
def test_what_failed_is_done_again_by_resume_and_nothing_else(tmp_path, clips, killer):
    arguments = (clips, "--out", tmp_path / "out", "--codecs", "pcm", "--metrics", "si_sdr", "--workers", 1)
    arguments += ("--recogniser", f"{killer('SEGV')} {{wav}}")
    assert run(*arguments).exit_code == 1
    (tmp_path / "killer.sh").write_text("echo word\n")
    before = (tmp_path / "out" / "results.jsonl").read_text()
    again = run(*arguments, "--resume")
    assert again.exit_code == 0, again.output
    added = (tmp_path / "out" / "results.jsonl").read_text().removeprefix(before)
    assert added.count("\n") == 1
    assert '"clip": "1"' in added


def test_an_exception_of_a_library_is_a_failure_and_no_end(tmp_path, clips, monkeypatch):
    def odd(wave, wave_hat, rate_hz):
        if len(wave) > 16000:
            raise ZeroDivisionError("of a library\nin two lines")
        return 1.0

    metric = jobs.METRICS["lsd"]
    monkeypatch.setitem(jobs.METRICS, "lsd", type(metric)(**{**vars(metric), "compute": odd}))
    evaluate([clips], tmp_path / "out", Comparison(codecs=["pcm"], kbps=[6], metrics=["lsd", "si_sdr"]))
    failed = [result for result in read_results(tmp_path / "out") if result.failures]
    assert [result.failures for result in failed] == [["1: lsd of pcm: ZeroDivisionError: of a library in two lines"]]
    assert failed[0].scores["si_sdr"] > 50
