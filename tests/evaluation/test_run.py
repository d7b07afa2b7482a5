"""Whole evaluations of external codecs: small programs written here, so that what they do is known."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vqcodec.errors import AudioError, ConfigError, OutputError
from vqcodec.evaluation.clips import clip_hash
from vqcodec.evaluation.folder import original_path, read_settings, take_path
from vqcodec.evaluation.results import read_results
from vqcodec.evaluation.run import Comparison, evaluate

METRICS = ["stoi", "si_sdr"]
CODEC = """
import sys, numpy as np, soundfile
what, source, target = sys.argv[1:]
wave, rate = soundfile.read(source, dtype="float32")
wave = {
    "copy": lambda: wave,
    "silence": lambda: 0 * wave,
    "noise": lambda: np.random.default_rng(0).normal(0, 0.1, len(wave)),
    "late": lambda: np.concatenate([np.zeros(1600), wave]),
    "loud": lambda: 2 * wave,
    "nan": lambda: np.full(len(wave), np.nan),
    "short": lambda: wave[: len(wave) // 2],
    "long": lambda: np.concatenate([wave, np.zeros(4000)]),
    "empty": lambda: wave[:0],
}[what]()
soundfile.write(target, wave, rate, format="WAV", subtype="FLOAT")
"""


@pytest.fixture
def externals(tmp_path):
    """A codec that does one thing, by its name; its coded file is a copy."""
    script = tmp_path / "codec.py"
    script.write_text(CODEC)
    whats = ("copy", "silence", "noise", "late", "loud", "nan", "short", "long", "empty")
    python = sys.executable
    return {
        what: f"{python} {script} copy {{in}} {{bits}}; {python} {script} {what} {{bits}} {{out}}" for what in whats
    }


@pytest.fixture
def clips(tmp_path, speech):
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(3):
        soundfile.write(folder / f"{number}.wav", speech[number * 16000 : number * 16000 + 24000], 16000)
    return folder


def test_every_clip_codec_and_rate_has_a_result(tmp_path, clips):
    settings = evaluate(
        [clips], tmp_path / "out", Comparison(codecs=["opus@6/24", "pcm"], kbps=[3], metrics=METRICS, listen=2)
    )
    results = read_results(tmp_path / "out")
    assert {result.key for result in results} == {
        (codec, clip, kbps) for codec, kbps in (("opus", 6), ("opus", 24), ("pcm", None)) for clip in "012"
    }
    pcm = next(result for result in results if result.codec == "pcm")
    assert pcm.kbps == pytest.approx(256 + 44 * 8 / 1.5 / 1000, rel=1e-5)
    assert pcm.delay_samples == 0
    assert settings.listen == ["0", "1"]
    assert read_settings(tmp_path / "out") == settings
    assert take_path(tmp_path / "out", "opus", 6, "1").exists()
    assert not take_path(tmp_path / "out", "opus", 6, "2").exists()
    original, _ = soundfile.read(original_path(tmp_path / "out", "0"))
    np.testing.assert_allclose(original, soundfile.read(clips / "0.wav")[0])


@pytest.mark.slow
def test_codecs_that_do_odd_things_are_scored_sanely(tmp_path, clips, externals):
    evaluate(
        [clips], tmp_path / "out", Comparison(codecs=list(externals), externals=externals, kbps=[6], metrics=METRICS)
    )
    scores = {}
    for result in read_results(tmp_path / "out"):
        assert result.error is None or result.codec in ("nan", "empty")
        scores.setdefault(result.codec, []).append(result)
    means = {codec: np.mean([r.scores.get("stoi", np.nan) for r in rows]) for codec, rows in scores.items()}
    assert means["copy"] == pytest.approx(1, abs=1e-4)
    assert means["late"] == pytest.approx(1, abs=1e-4)
    assert {result.delay_samples for result in scores["late"]} == {1600}
    assert means["loud"] == pytest.approx(1, abs=1e-4)
    assert means["long"] == pytest.approx(1, abs=1e-4)
    assert means["noise"] < 0.5
    assert means["short"] < 0.9
    assert all(np.isnan(result.scores["si_sdr"]) for result in scores["silence"])
    assert all(result.undefined["si_sdr"] for result in scores["silence"])
    assert all("NaN" in result.error for result in scores["nan"])
    assert all(result.error or result.scores["stoi"] < 0.1 for result in scores["empty"])


def test_a_clip_that_cannot_be_read_is_a_result_with_an_error(tmp_path, clips):
    (clips / "bad.wav").write_text("no audio")
    evaluate([clips], tmp_path / "out", Comparison(codecs=["pcm"], kbps=[6], metrics=["si_sdr"]))
    bad = next(result for result in read_results(tmp_path / "out") if result.clip == "bad")
    assert "bad.wav" in bad.error
    assert bad.kbps is None


def test_resuming_does_only_what_is_missing(tmp_path, clips):
    out = tmp_path / "out"
    evaluate([clips / "0.wav"], out, Comparison(codecs=["pcm", "flac"], kbps=[6], metrics=["si_sdr"]))
    before = (out / "results.jsonl").read_text()
    with pytest.raises(OutputError, match="--resume"):
        evaluate([clips], out, Comparison(codecs=["pcm"], kbps=[6], metrics=["si_sdr"]))
    seen = []
    evaluate(
        [clips],
        out,
        Comparison(codecs=["pcm", "flac"], kbps=[6], metrics=["si_sdr"]),
        resume=True,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    after = (out / "results.jsonl").read_text()
    assert after.startswith(before)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(read_results(out)) == 6


def test_results_of_another_version_are_done_again(tmp_path, clips):
    out = tmp_path / "out"
    evaluate([clips / "0.wav"], out, Comparison(codecs=["pcm"], kbps=[6], metrics=["si_sdr"]))
    path = out / "results.jsonl"
    row = json.loads(path.read_text())
    path.write_text(json.dumps({**row, "version": "of old", "si_sdr": 1.0}) + "\n")
    evaluate([clips / "0.wav"], out, Comparison(codecs=["pcm"], kbps=[6], metrics=["si_sdr"]), resume=True)
    (result,) = read_results(out)
    assert result.version == row["version"]
    assert result.scores["si_sdr"] != 1.0


def test_the_part_of_a_file_that_a_manifest_names_is_scored_and_another_part_is_done_again(tmp_path, clips):
    out, manifest = tmp_path / "out", clips / "clips.csv"
    comparison = Comparison(codecs=["pcm"], kbps=[6], metrics=["si_sdr"], listen=1)
    for start, duration in ((0.25, 1.0), (0.5, 0.75)):
        manifest.write_text(f"path,id,offset,duration\n0.wav,first,{start},{duration}\n")
        evaluate([manifest], out, comparison, resume=start > 0.25)
        (result,) = read_results(out)
        assert (result.seconds, result.error) == (duration, None)
        expected = soundfile.read(clips / "0.wav", start=round(start * 16000), frames=round(duration * 16000))[0]
        np.testing.assert_allclose(soundfile.read(original_path(out, "first"))[0], expected, atol=1e-4)


def test_the_channel_and_the_end_that_a_manifest_names_are_scored_and_another_channel_is_done_again(tmp_path, speech):
    waves = np.stack([speech[:24000], speech[24000:48000]])
    soundfile.write(tmp_path / "two.wav", waves.T, 16000)
    out, manifest = tmp_path / "out", tmp_path / "clips.csv"
    comparison = Comparison(codecs=["pcm"], kbps=[6], metrics=["si_sdr"], listen=1)
    for channel in (0, 1):
        manifest.write_text(f"path,start,end,channel\ntwo.wav,0.25,1.25,{channel}\n")
        evaluate([manifest], out, comparison, resume=channel > 0)
        (result,) = read_results(out)
        assert (result.seconds, result.error) == (1.0, None)
        np.testing.assert_allclose(soundfile.read(original_path(out, "two"))[0], waves[channel, 4000:20000], atol=1e-4)
    manifest.write_text("path,channel\ntwo.wav,2\n")
    evaluate([manifest], out, comparison, resume=True)
    (result,) = read_results(out)
    assert "two.wav: has no channel 2; give 0 to 1" in result.error


@pytest.mark.parametrize("start", [1.0, 2.0])
def test_an_excerpt_that_the_file_does_not_hold_is_a_result_with_an_error(tmp_path, clips, start):
    (clips / "clips.jsonl").write_text(json.dumps({"path": "0.wav", "start": start, "duration": 1.0}))
    evaluate([clips / "clips.jsonl"], tmp_path / "out", Comparison(codecs=["pcm"], kbps=[6], metrics=["si_sdr"]))
    (result,) = read_results(tmp_path / "out")
    assert "but the audio is 0:00:01.50 long; correct its start" in result.error
    assert "\n" not in result.error


def test_another_file_under_a_name_is_done_again(tmp_path, clips, speech):
    out = tmp_path / "out"
    evaluate([clips / "0.wav"], out, Comparison(codecs=["pcm"], kbps=[6], metrics=["si_sdr"]))
    soundfile.write(clips / "0.wav", speech[:16000], 16000)
    clip_hash.cache_clear()  # a new process has none
    evaluate([clips / "0.wav"], out, Comparison(codecs=["pcm"], kbps=[6], metrics=["si_sdr"]), resume=True)
    (result,) = read_results(out)
    assert result.seconds == 1.0


def test_what_the_folder_holds_is_no_source(tmp_path, clips):
    for resume in (False, True):
        evaluate([clips], clips, Comparison(codecs=["pcm"], kbps=[6], metrics=["si_sdr"]), resume=resume)
    assert {result.clip for result in read_results(clips)} == set("012")


def test_rates_that_a_codec_does_not_have_are_noted(tmp_path, clips):
    settings = evaluate(
        [clips / "0.wav"], tmp_path / "out", Comparison(codecs=["opus", "pcm"], kbps=[1.5, 6], metrics=["si_sdr"])
    )
    assert settings.notes == ["opus ran at 6 kbps, what it has nearest to 1.5, 6"]


def test_a_full_disk_is_one_line(tmp_path, clips, monkeypatch):
    written = Path.write_bytes

    def full(path, data):
        if len(data) > 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="no space left on the disk"):
        evaluate([clips], tmp_path / "out", Comparison(codecs=["opus@6"], kbps=[6], metrics=["si_sdr"]))


@pytest.mark.slow
def test_two_processes_give_the_same_results_as_one(tmp_path, clips):
    for workers in (1, 2):
        evaluate(
            [clips], tmp_path / str(workers), Comparison(codecs=["opus"], kbps=[6], metrics=METRICS), workers=workers
        )
    one, two = ({r.key: r for r in read_results(tmp_path / name)} for name in "12")
    assert one.keys() == two.keys()
    for key, result in one.items():
        assert (result.kbps, result.scores, result.delay_samples) == (
            two[key].kbps,
            two[key].scores,
            two[key].delay_samples,
        )


def test_what_is_not_installed_is_skipped_by_name_and_the_rest_runs(tmp_path, clips, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = evaluate(
        [clips / "0.wav"], tmp_path / "out", Comparison(codecs=["speex", "pcm"], kbps=[6], metrics=["si_sdr"])
    )
    assert settings.codecs == ["pcm"]
    assert "speexenc" in settings.skipped["speex"]
    with pytest.raises(ConfigError, match="speexenc"):
        evaluate([clips], tmp_path / "none", Comparison(codecs=["speex"], kbps=[6], metrics=["si_sdr"]))


@pytest.mark.parametrize(
    ("codecs", "message"),
    [(["nothing"], "nothing"), (["opus@x"], "opus@x"), (["pcm", "pcm"], "LABEL="), (["=pcm"], "LABEL=CODEC")],
)
def test_impossible_codecs_are_one_line_before_any_work(tmp_path, clips, codecs, message):
    with pytest.raises(ConfigError, match=message):
        evaluate([clips], tmp_path / "out", Comparison(codecs=codecs, kbps=[6], metrics=["si_sdr"]))
    assert not (tmp_path / "out").exists()


def test_unknown_metrics_and_sources_without_audio_are_refused(tmp_path, clips):
    with pytest.raises(ConfigError, match="mos"):
        evaluate([clips], tmp_path / "out", Comparison(codecs=["pcm"], kbps=[6], metrics=["mos"]))
    with pytest.raises(AudioError, match="absent"):
        evaluate([tmp_path / "absent"], tmp_path / "out", Comparison(codecs=["pcm"], kbps=[6]))


def test_a_long_clip_is_begun_first_and_the_report_keeps_the_order_of_names(tmp_path, clips, speech):
    soundfile.write(clips / "2.wav", speech[:40000], 16000)
    settings = evaluate([clips], tmp_path / "out", Comparison(codecs=["pcm"], kbps=[6], metrics=["si_sdr"], listen=3))
    assert [result.clip for result in read_results(tmp_path / "out")] == ["2", "0", "1"]
    assert settings.listen == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("word", "word"), "against the column text of the manifest"),
        ((None, None), "against what the recogniser hears in the original"),
        (
            ("other", None),
            "of 1 clips against the column text of the manifest, "
            "of the other 1 against what the recogniser hears in the original",
        ),
    ],
)
def test_words_and_characters_are_measured_and_it_is_said_against_what(tmp_path, clips, texts, said):
    rows = [{"path": str(clips / f"{n}.wav")} | ({"text": text} if text else {}) for n, text in enumerate(texts)]
    (tmp_path / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    comparison = Comparison(["pcm"], [6], metrics=["si_sdr"], recogniser="echo word {wav}", listen=0)
    settings = evaluate([tmp_path / "clips.jsonl"], tmp_path / "out", comparison)
    assert settings.metrics == ["si_sdr", "wer", "cer"]
    assert settings.notes == [f"wer and cer: {said}"]
    for result in read_results(tmp_path / "out"):
        # The program also says the name of the file, which no text has; what sounds the same is heard once.
        assert (result.scores["wer"] > 0) == (texts[int(result.clip)] is not None)
    only = Comparison(["pcm"], [6], metrics=["cer"], recogniser="echo word {wav}", listen=0)
    assert only.all_metrics == ["cer"]


def test_a_label_lets_a_codec_stand_twice(tmp_path, clips):
    evaluate(
        [clips / "0.wav"],
        tmp_path / "out",
        Comparison(codecs=["low=opus@6", "high=opus@32"], kbps=[1], metrics=["si_sdr"]),
    )
    assert [(r.codec, r.kbps_asked) for r in read_results(tmp_path / "out")] == [("low", 6), ("high", 32)]


@pytest.mark.slow
def test_a_killed_run_goes_on_without_computing_again(tmp_path, clips):
    command = [sys.executable, "-m", "vqcodec", "evaluate", clips, "--codecs", "speech-16k,opus@6/8/12/16/24,mp3@8/16"]
    command += ["--kbps", "1.5,3,6", "--metrics", "pesq_wb,estoi", "--workers", "2", "--out", tmp_path / "out"]
    process = subprocess.Popen(list(map(str, command)), start_new_session=True, stderr=subprocess.DEVNULL)
    path = tmp_path / "out" / "results.jsonl"
    while not (path.exists() and path.read_text().count("\n") >= 3):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = path.read_text()
    assert before.count("\n") < 3 * 10
    done = subprocess.run([*map(str, command), "--resume"], check=True, capture_output=True, text=True)
    lines = path.read_text()
    assert lines.startswith(before[: before.rfind("\n") + 1])
    assert lines.count("\n") == len(read_results(path)) == 3 * 10
    assert "speech-16k" in done.stdout
    assert Path(tmp_path / "out" / "report.html").exists()
