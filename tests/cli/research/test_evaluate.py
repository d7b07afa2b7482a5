import json
import math
import re

import pytest
import soundfile
from click.testing import CliRunner

from vqcodec.cli import main
from vqcodec.evaluation.run import DEFAULT_METRICS
from vqcodec.metrics import METRICS


@pytest.fixture
def clips(tmp_path, speech):
    (tmp_path / "clips").mkdir()
    for number in range(2):
        soundfile.write(tmp_path / "clips" / f"{number}.wav", speech[16000 * number : 16000 * number + 20000], 16000)
    return tmp_path / "clips"


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.slow
def test_evaluate_prints_tables_and_summary_prints_them_again(tmp_path, clips, in_process):
    out = tmp_path / "out"
    done = run("evaluate", clips, "--codecs", "opus@6/24,pcm", "--metrics", "stoi", "--workers", 1, "--out", out)
    assert done.exit_code == 0, done.output
    assert "| opus" in done.stdout
    assert f"listen: {out / 'report.html'}" in done.stdout
    again = run("evaluate", "--summary", out)
    assert again.stdout == done.stdout
    refused = run("evaluate", clips, "--codecs", "pcm", "--metrics", "stoi", "--out", out)
    assert refused.exit_code == 1
    assert "--resume" in refused.stderr
    more = ("evaluate", clips, "--codecs", "opus@6/24,pcm,flac", "--metrics", "stoi", "--workers", 1, "--out", out)
    assert "flac" in run(*more, "--resume").stdout


def test_a_clip_that_fails_is_told_and_the_rest_is_done(tmp_path, clips, in_process):
    (clips / "bad.wav").write_text("no audio")
    arguments = ("evaluate", clips, "--codecs", "pcm", "--metrics", "stoi", "--workers", 1, "--out", tmp_path / "out")
    done = run(*arguments)
    assert done.exit_code == 1
    assert "1 of the results are errors" in done.stderr
    assert "bad.wav" in done.stdout
    assert "| 2     |" in done.stdout
    soundfile.write(clips / "bad.wav", soundfile.read(clips / "0.wav")[0], 16000)
    assert run(*arguments, "--resume").exit_code == 0


def test_external_codecs_and_recognisers_are_commands(tmp_path, clips, in_process):
    done = run(
        *("evaluate", clips / "0.wav", "--out", tmp_path / "out", "--workers", 1, "--metrics", "si_sdr"),
        *("--external", "copy=cp {in} {bits}; cp {bits} {out}", "--codecs", "copy", "--recogniser", "echo word {wav}"),
    )
    assert done.exit_code == 0, done.output
    assert "| copy" in done.stdout
    assert "WER" in done.stdout
    assert "CER" in done.stdout
    assert "wer and cer: against what the recogniser hears in the original" in done.stdout
    rated = ("--external", "mine=cp {in} {bits}; cp {bits} {out}", "--codecs", "mine@6/8")
    again = run("evaluate", clips / "0.wav", "--out", tmp_path / "two", "--workers", 1, "--metrics", "si_sdr", *rated)
    assert again.exit_code == 0, again.output


def test_each_number_of_generations_is_a_row_of_its_own(tmp_path, clips, in_process):
    done = run(
        *("evaluate", clips / "0.wav", "--out", tmp_path / "out", "--workers", 1, "--metrics", "si_sdr"),
        *("--codecs", "mp3@32", "--generations", "1,3", "--shift-ms", "2.5"),
    )
    assert done.exit_code == 0, done.output
    rows = [line.split("|")[1:3] for line in done.stdout.splitlines() if line.startswith("| mp3")]
    conditions = [condition.strip() for _, condition in rows]
    assert conditions[:2] == ["shift 2.5 ms", "3 generations, shift 2.5 ms"]


def test_a_bad_anchor_still_leaves_a_report(tmp_path, clips, in_process):
    arguments = ("evaluate", clips, "--codecs", "pcm", "--metrics", "stoi", "--workers", 1, "--out", tmp_path / "out")
    done = run(*arguments, "--anchor", "lyra")
    assert done.exit_code == 1
    assert "no results of lyra" in done.stderr
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "SOURCES"),
        (("clips", "--summary", "out"), 2, "SOURCES"),
        (("clips",), 2, "--out"),
        (("clips", "--out", "out", "--kbps", "3,x"), 2, "no number"),
        (("clips", "--out", "out", "--kbps", "0"), 2, "over 0"),
        (("clips", "--out", "out", "--codecs", ","), 2, "at least one"),
        (("clips", "--out", "out", "--codecs", "lyra"), 1, "lyra"),
        (("clips", "--out", "out", "--metrics", "mos"), 1, "mos"),
        (("clips", "--out", "out", "--external", "x"), 2, "NAME=ENCODE;DECODE"),
        (("clips", "--out", "out", "--external", "a@b=x {in} {bits}; y {bits} {out}"), 2, "a name without @"),
        (("clips", "--out", "out", "--external", "x=one", "--codecs", "x"), 1, "two commands"),
        (("clips", "--out", "out", "--metrics", "wer"), 1, "recogniser"),
        (("clips", "--out", "out", "--metrics", "cer"), 1, "cer needs a recogniser"),
        (("clips", "--out", "out", "--recogniser", "whisper:none"), 1, "none: has no model.bin"),
        (("clips", "--out", "out", "--generations", "2,x"), 2, "is no count"),
        (("clips", "--out", "out", "--generations", "0"), 1, "generations 0 is no count; give 1 to 100"),
        (("clips", "--out", "out", "--shift-ms", "-4"), 1, "shift_ms -4.0 cannot be; give 0 to 1000"),
        (("clips", "--out", "out", "--level", "nan"), 1, "level_db nan cannot be; give -100 to 100"),
        (("clips", "--out", "out", "--noise", "clips"), 2, "--noise FOLDER and --snr DB go together"),
        (("clips", "--out", "out", "--snr", "10"), 2, "--noise FOLDER and --snr DB go together"),
        (("clips", "--out", "out", "--loss", "random:0"), 1, "loss 'random:0' cannot be; give random:PERCENT"),
        (("clips", "--out", "out", "--loss-seed", "1"), 2, "--loss-seed is of --loss; give both"),
        (("clips", "--out", "out", "--codecs", "pcm", "--loss", "burst:5"), 1, "pcm has no packets that could be lost"),
        (("clips", "--out", "out", "--codecs", "pcm", "--noise", "x", "--snr", "10"), 1, "x: no audio found"),
        (("absent", "--out", "out"), 1, "absent"),
        (("", "--out", "out"), 1, "source is empty"),
        (("--summary", "absent"), 1, "absent"),
        (("clips", "--out", "clips/0.wav", "--codecs", "pcm", "--metrics", "stoi"), 1, "clips/0.wav"),
    ],
)
def test_bad_input_is_one_line(tmp_path, clips, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    done = run("evaluate", *arguments)
    assert done.exit_code == code, done.output
    assert message in done.stderr
    assert "Traceback" not in done.output
    if code == 1:
        assert done.stderr.strip().count("\n") == 0
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_compare_makes_a_folder_and_refuses_to_replace_another(tmp_path, clips, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("compare", clips / "0.wav", "--codecs", "opus,pcm", "--kbps", "12")
    assert done.exit_code == 0, done.output
    assert "PESQ-WB" in done.stdout
    assert (tmp_path / "0-compare" / "report.html").exists()
    assert '"rates": []' in (tmp_path / "0-compare" / "report.html").read_text()
    assert run("compare", clips / "0.wav", "--codecs", "abr:speech-16k@2.2", "--out", "varied").exit_code == 0
    page = (tmp_path / "varied" / "report.html").read_text()
    rates = max((json.loads(its) for its in re.findall(r'"rates": (\[.*?\])', page)), key=len)
    assert len(rates) == math.ceil(10 * soundfile.info(clips / "0.wav").duration)
    assert max(rates) > 1.5 * min(rates)
    next((tmp_path / "varied").glob("audio/*/*.rates.npy")).write_bytes(b"no array")
    assert "--resume makes it again" in run("evaluate", "--summary", "varied").stderr
    assert run("compare", clips / "0.wav", "--codecs", "pcm").exit_code == 1
    assert run("compare", clips / "0.wav", "--codecs", "pcm", "--force").exit_code == 0
    refused = run("compare", clips / "0.wav", "--codecs", "pcm", "--force", "--out", clips)
    assert refused.exit_code == 1
    assert (clips / "1.wav").exists()
    assert run("compare", tmp_path / "absent.wav").exit_code == 1
    (clips / "bad.wav").write_text("no audio")
    assert run("compare", clips / "bad.wav", "--codecs", "pcm").exit_code == 1
    assert not (tmp_path / "bad-compare").exists()
    partly = run("compare", clips, "--codecs", "pcm", "--out", tmp_path / "partly")
    assert partly.exit_code == 1, "of several clips one could not be read"
    assert "1 of the results are errors, see above; the first: " in partly.stderr
    assert (tmp_path / "partly" / "report.html").exists()


def test_help_names_every_metric():
    text = run("evaluate", "--help").stdout
    assert all(name in text for name in METRICS)
    assert f"By default: {', '.join(DEFAULT_METRICS)}." in " ".join(text.split())
