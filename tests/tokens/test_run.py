"""tokenize as a whole: what it writes, what it refuses, and that nothing is lost whatever happens to it."""

import errno
import fcntl
import json
import multiprocessing
import os
import random
import subprocess
import sys
import time
import unicodedata

import numpy as np
import pytest
import soundfile

import vqcodec
import vqcodec.tokens
from vqcodec.audio.resample import resample
from vqcodec.errors import AudioError, ConfigError, OutputError, TokensError, WorkerError
from vqcodec.models.effort import EFFORTS
from vqcodec.tokens.formats import FORMATS
from vqcodec.tokens.index import index_path, merge, read_index
from vqcodec.tokens.plan import open_plan
from vqcodec.tokens.run import at_work, tokenize
from vqcodec.tokens.sources import huggingface
from vqcodec.tokens.work import processes as local
from vqcodec.tokens.work.messages import Workers


def ids_of(out):
    """Ids in the index, and the failed ones."""
    lines = [line for shard in range(len(list((out / "index").iterdir()))) for line in read_index(out, shard)]
    return [line["id"] for line in lines if "error" not in line], [line["id"] for line in lines if "error" in line]


pytestmark = pytest.mark.usefixtures("in_process")  # but where a test asks for two workers


@pytest.fixture(scope="module")
def clips(tmp_path_factory, make_clips):
    return make_clips(tmp_path_factory.mktemp("clips") / "in", 40)


@pytest.mark.parametrize("kind", ["parquet", *(pytest.param(one, marks=pytest.mark.slow) for one in list(FORMATS)[1:])])
def test_workers_batches_and_parts_give_the_same_bytes(tmp_path, clips, tokenize_toy, bytes_of, kind):
    totals = tokenize_toy(clips, tmp_path / "one", format=kind, shard_size=7)
    tokenize_toy(clips, tmp_path / "two", format=kind, shard_size=7, workers=2, batch_seconds=0.3)
    for part in range(2):
        tokenize_toy(clips, tmp_path / "parts", format=kind, shard_size=7, shard=(part, 2))
    assert totals.utterances == 40
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two") == bytes_of(tmp_path / "parts")
    for name in ("index.json", "failures.jsonl", "plan.jsonl"):
        assert len({(tmp_path / out / name).read_bytes() for out in ("one", "two", "parts")}) == 1
    if kind in ("npy", "vqc"):
        lines = (tmp_path / "one" / "manifest.jsonl").read_text().splitlines()
        assert [json.loads(line)["id"] for line in lines] == ids_of(tmp_path / "one")[0]


def test_bad_audio_among_good_is_listed(tmp_path, make_clips, tokenize_toy, speech):
    folder = make_clips(tmp_path / "in", 30)
    (folder / "corrupt.flac").write_bytes(os.urandom(5000))
    (folder / "empty.wav").touch()
    soundfile.write(folder / "none.wav", np.zeros(0), 16000)
    soundfile.write(folder / "nan.wav", np.full(2000, np.nan), 16000, subtype="FLOAT")
    soundfile.write(folder / "six.wav", np.tile(speech[:9600, None], 6), 96000)
    (folder / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    (folder / "cut.flac").write_bytes((folder / "clip000.flac").read_bytes()[:-200])
    totals = tokenize_toy(folder, tmp_path / "out", shard_size=8)
    good, bad = ids_of(tmp_path / "out")
    assert bad == ["corrupt", "cut", "empty", "gone", "nan", "none"]
    assert sorted(good + bad) == sorted(path.stem for path in folder.iterdir())
    assert (totals.utterances, totals.failures) == (31, 6)
    failures = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").read_text().splitlines()]
    assert [line["id"] for line in failures] == bad
    assert all(line["error"] and line["source"] for line in failures)


def test_what_is_cut_is_listed_and_taken_when_asked_for(tmp_path, make_clips, tokenize_toy):
    folder = make_clips(tmp_path / "in", 2)
    soundfile.write(tmp_path / "whole.wav", np.full(16000, 0.1), 16000)
    (folder / "cut.wav").write_bytes((tmp_path / "whole.wav").read_bytes()[:16044])
    assert tokenize_toy(folder, tmp_path / "out").failures == 1
    assert "is cut" in (tmp_path / "out" / "failures.jsonl").read_text()
    with pytest.raises(ConfigError, match="on_truncated 'all'"):
        Workers(1, on_truncated="all")
    again = tokenize_toy(folder, tmp_path / "out", on_truncated="take", resume=True, retry_failed=True)
    assert again.failures == 0
    assert vqcodec.tokens.open(tmp_path / "out")["cut"].samples == 8000


def test_what_would_be_passed_over_or_become_silence_is_listed(tmp_path, make_clips, tokenize_toy, speech):
    folder = make_clips(tmp_path / "in", 1)
    (folder / "phone.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    soundfile.write(folder / "inverted.wav", np.stack([speech[:8000], -speech[:8000]], axis=1), 16000)
    name = unicodedata.normalize("NFD", "été.wav")
    soundfile.write(tmp_path / name, speech[:8000], 16000)
    assert tokenize_toy(folder, tmp_path / "out").failures == 2
    listed = (tmp_path / "out" / "failures.jsonl").read_text()
    assert "phone.m4a" in listed
    assert "channels cancel each other" in listed
    rows = [{"path": "in/inverted.wav", "channel": 1}, {"path": unicodedata.normalize("NFC", name)}]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    totals = tokenize_toy(tmp_path / "m.jsonl", tmp_path / "again")
    assert (totals.utterances, totals.failures) == (2, 0)


def test_an_unreadable_file_is_a_failure(tmp_path, make_clips, tokenize_toy):
    folder = make_clips(tmp_path / "in", 3)
    tokenize_toy(folder, tmp_path / "out", plan_only=True)
    (folder / "clip001.flac").unlink()  # as one that vanishes after the plan, and for root, one without permission
    (folder / "clip002.flac").unlink()
    (folder / "clip002.flac").mkdir()
    totals = tokenize_toy(folder, tmp_path / "out", resume=True)
    assert (totals.utterances, totals.failures) == (1, 2)


def test_a_pipe_and_an_excerpt_past_the_end_are_failures(tmp_path, make_clips, tokenize_toy):
    folder = make_clips(tmp_path / "in", 2)
    os.mkfifo(folder / "pipe.wav")
    rows = [{"path": "clip000.flac", "id": "long", "start": 0.01, "duration": 100}, {"path": "clip001.flac"}]
    (folder / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert tokenize_toy(folder / "m.jsonl", tmp_path / "excerpts").failures == 1
    assert tokenize_toy(folder, tmp_path / "out").failures == 1
    for out, why in [("out", "is not a regular file"), ("excerpts", "is to end at 0:01:40.01, but the audio is 0:")]:
        assert why in (tmp_path / out / "failures.jsonl").read_text()


@pytest.mark.slow
def test_stop_on_error_stops(tmp_path, make_clips, tokenize_toy):
    folder = make_clips(tmp_path / "in", 9)
    (folder / "clip004.flac").write_bytes(b"junk")
    with pytest.raises(AudioError, match="clip004: .*no audio"):
        tokenize_toy(folder, tmp_path / "out", shard_size=3, stop_on_error=True, workers=2)
    assert not list((tmp_path / "out" / "shards").glob(".*"))
    assert not (tmp_path / "out" / "index.json").exists()
    assert tokenize_toy(folder, tmp_path / "out", shard_size=3, resume=True).failures == 1


def test_resume_does_what_is_missing_and_nothing_else(tmp_path, clips, tokenize_toy, bytes_of):
    out = tmp_path / "out"
    tokenize_toy(clips, out, shard_size=7)
    before = bytes_of(out)
    kept = out / "shards" / "shard-000001.parquet"
    stamp = kept.stat().st_mtime_ns
    index_path(out, 2).unlink()
    (out / "shards" / "shard-000004.parquet").unlink()  # lost although the index says it is there
    told = []
    tokenize_toy(clips, out, shard_size=7, resume=True, on_progress=told.append)
    assert bytes_of(out) == before
    assert kept.stat().st_mtime_ns == stamp
    assert (told[-1].shards, told[-1].all_shards, told[-1].utterances) == (6, 6, 14)


@pytest.mark.parametrize("kind", ["parquet", "npy"])
def test_a_shard_that_is_cut_is_done_again(tmp_path, clips, tokenize_toy, bytes_of, kind):
    out = tmp_path / "out"
    tokenize_toy(clips, out, shard_size=20, format=kind)
    before = bytes_of(out)
    name = "shards/shard-000001.parquet" if kind == "parquet" else "shards/shard-000001/clip030.npy"
    (out / name).write_bytes(before[name][:-1])
    with pytest.raises(TokensError, match=r"1 of 2 shards are unfinished \(1\); run --resume"):
        merge(open_plan(out))
    tokenize_toy(clips, out, shard_size=20, format=kind, resume=True)
    assert bytes_of(out) == before


def test_an_index_without_the_size_of_its_shard_counts(tmp_path, clips, tokenize_toy):
    tokenize_toy(clips, tmp_path / "out", shard_size=40)
    path = index_path(tmp_path / "out", 0)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert merge(open_plan(tmp_path / "out")).utterances == 40


def test_retrying_does_shards_with_failures_again_and_no_others(tmp_path, make_clips, tokenize_toy, bytes_of):
    folder = make_clips(tmp_path / "in", 20)
    tokenize_toy(folder, tmp_path / "calm", shard_size=5)
    whole = (folder / "clip007.flac").read_bytes()
    (folder / "clip007.flac").write_bytes(b"junk")
    out = tmp_path / "out"
    tokenize_toy(folder, out, shard_size=5)
    stamp = (out / "shards" / "shard-000000.parquet").stat().st_mtime_ns
    (folder / "clip007.flac").write_bytes(whole)
    with pytest.raises(ConfigError, match="retry_failed goes with resume"):
        tokenize_toy(folder, out, retry_failed=True)
    assert tokenize_toy(folder, out, resume=True).failures == 1
    assert tokenize_toy(folder, out, shard=(0, 2), retry_failed=True).failures == 0  # shard 1 is another's
    assert tokenize_toy(folder, out, resume=True, retry_failed=True).failures == 0
    assert bytes_of(out) == bytes_of(tmp_path / "calm")
    assert (out / "shards" / "shard-000000.parquet").stat().st_mtime_ns == stamp


def test_a_retry_that_is_interrupted_leaves_no_dataset_that_lies(tmp_path, make_clips, tokenize_toy, monkeypatch):
    folder = make_clips(tmp_path / "in", 3)
    (folder / "bad.flac").write_bytes(b"junk")
    tokenize_toy(folder, tmp_path / "out")
    monkeypatch.setattr(local, "_make", os.abort)
    with pytest.raises(WorkerError, match="workers die"):
        tokenize_toy(folder, tmp_path / "out", resume=True, retry_failed=True, workers=2)
    with pytest.raises(TokensError, match="unfinished, 0 of 1 shards"):
        vqcodec.tokens.open(tmp_path / "out")


def test_another_setting_is_refused(tmp_path, clips, tokenize_toy, codec):
    tokenize_toy(clips, tmp_path / "out", plan_only=True, num_codebooks=2)
    with pytest.raises(OutputError, match="holds tokens already; --resume"):
        tokenize_toy(clips, tmp_path / "out")
    with pytest.raises(TokensError, match="planned with num_codebooks 2, not 3"):
        tokenize_toy(clips, tmp_path / "out", resume=True)
    with pytest.raises(TokensError, match="planned with format parquet, not npy"):
        tokenize_toy(clips, tmp_path / "out", resume=True, num_codebooks=2, format="npy")
    with pytest.raises(TokensError, match="planned with model toy, not speech-16k"):
        tokenize_toy(clips, tmp_path / "out", resume=True, num_codebooks=2, model="speech-16k")
    with pytest.raises(TokensError, match="planned with effort normal, not fast; give that or a new folder"):
        tokenize_toy(clips, tmp_path / "out", resume=True, num_codebooks=2, effort="fast")


def test_an_effort_is_that_of_the_codec_and_stands_in_plan_and_index(tmp_path, make_clips, tokenize_toy, toy_weights):
    folder = make_clips(tmp_path / "in", 3)
    codes = {}
    for effort in EFFORTS:
        tokenize_toy(folder, tmp_path / effort, effort=effort)
        assert json.loads((tmp_path / effort / "index.json").read_text())["effort"] == effort
        codec = vqcodec.load(toy_weights, effort=effort)
        (row, *_) = vqcodec.tokens.open(tmp_path / effort)
        wave = resample(soundfile.read(folder / "clip000.flac", dtype="float32")[0][None], 16000, 8000)
        session = vqcodec.EncodeSession(codec)
        wanted = np.concatenate((session.push(wave), session.flush()), axis=2)[0]
        assert np.array_equal(row.codes, wanted)
        codes[effort] = row.codes
    assert not np.array_equal(codes["fast"], codes["normal"])
    plan = json.loads((tmp_path / "normal" / "plan.json").read_text())
    assert plan["settings"].pop("effort") == "normal"
    (tmp_path / "normal" / "plan.json").write_text(json.dumps(plan))
    assert open_plan(tmp_path / "normal").settings.effort == "normal", "a plan from before there were others"


def test_a_folder_of_something_else_is_left_alone(tmp_path, clips, tokenize_toy):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="is no output of vqcodec tokenize"):
        tokenize_toy(clips, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_a_source_is_the_same_by_any_name(tmp_path, make_clips, tokenize_toy, monkeypatch):
    make_clips(tmp_path / "src", 2)
    (tmp_path / "link").symlink_to("src")
    (tmp_path / "elsewhere" / "src").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for source, names in [("src", ["./src", "src/", tmp_path / "src", "link"]), ("src/*.flac", ["./link/*.flac"])]:
        out = tmp_path / f"out{len(names)}"
        tokenize_toy(source, out, plan_only=True)
        for name in names:
            tokenize_toy(name, out, plan_only=True, resume=True)
        monkeypatch.chdir(tmp_path / "elsewhere")
        with pytest.raises(TokensError, match=r"planned with source .*/src.*, not .*/elsewhere/src"):
            tokenize_toy(source, out, plan_only=True, resume=True)
        monkeypatch.chdir(tmp_path)


def test_another_size_of_shards_is_refused(tmp_path, clips, tokenize_toy):
    tokenize_toy(clips, tmp_path / "out", plan_only=True, shard_size=7)
    with pytest.raises(TokensError, match="planned with shard_size 7, not 8; give that or a new folder"):
        tokenize_toy(clips, tmp_path / "out", plan_only=True, resume=True, shard_size=8)
    tokenize_toy(clips, tmp_path / "out", plan_only=True, resume=True)


def test_an_empty_source_is_not_the_folder_here(tmp_path, tokenize_toy, clips, monkeypatch):
    monkeypatch.chdir(clips)
    with pytest.raises(AudioError, match="SOURCE is empty; give a folder"):
        tokenize_toy("", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_error_of_the_source_is_not_one_of_the_output(tmp_path, clips, tokenize_toy, monkeypatch):
    def fail(_):
        raise PermissionError(errno.EACCES, "Permission denied", str(clips))

    monkeypatch.setattr(huggingface, "metadata_files", fail)
    with pytest.raises(AudioError, match=rf"{clips}: cannot be read \(Permission denied\)"):
        tokenize_toy(clips, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Several at once


def test_two_runs_cannot_work_in_one_folder(tmp_path, clips, tokenize_toy):
    out = tmp_path / "out"
    tokenize_toy(clips, out, plan_only=True, shard_size=20)
    with at_work(out, alone=True):
        for options in ({"resume": True}, {"shard": (0, 2)}):
            with pytest.raises(OutputError, match="out: another run is at work in it; wait"):
                tokenize_toy(clips, out, **options)
    with at_work(out, alone=False):
        assert tokenize_toy(clips, out, shard=(0, 2)).utterances == 20
        with pytest.raises(OutputError, match="another run is at work"):
            tokenize_toy(clips, out, resume=True)
    assert tokenize_toy(clips, out, resume=True).utterances == 40


def test_parts_that_plan_at_the_same_time_leave_each_others_files(tmp_path, clips, tokenize_toy):
    (tmp_path / "out").mkdir()
    theirs = tmp_path / "out" / ".plan.1234.jsonl"
    theirs.touch()
    tokenize_toy(clips, tmp_path / "out", plan_only=True, shard=(0, 2))
    assert theirs.exists()


def test_a_file_system_without_locks_is_worked_on(tmp_path, clips, tokenize_toy, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    tokenize_toy(clips, tmp_path / "out", plan_only=True)


# Refusals


def test_a_bad_source_leaves_no_plan(tmp_path, tokenize_toy):
    (tmp_path / "in").mkdir()
    with pytest.raises(AudioError, match="no audio found"):
        tokenize_toy(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    soundfile.write(tmp_path / "in" / "a.wav", np.zeros(800), 16000)
    assert tokenize_toy(tmp_path / "in", tmp_path / "out").utterances == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_seconds": 0}, "batch_seconds 0"),
        ({"batch_seconds": float("nan")}, "batch_seconds nan"),
        ({"workers": 0}, "workers 0"),
        ({"shard_size": 0}, "shard_size 0"),
        ({"shard": (2, 2)}, "shard 2/2"),
        ({"format": "hdf5"}, "format 'hdf5' is none of parquet"),
        ({"format": "npy", "entropy_coded": True}, "the format vqc"),
        ({"format": "vqc", "entropy_coded": True}, "are entropy-coded anyway"),
        ({"num_codebooks": 4}, "num_codebooks 4"),
        ({"runner": "slurm"}, "runner 'slurm' is none of local, ray"),
        ({"device": "abacus"}, "device 'abacus' is not usable here"),
    ],
)
def test_impossible_options_are_refused_before_any_work(tmp_path, clips, tokenize_toy, options, message):
    with pytest.raises(ConfigError, match=message):
        tokenize_toy(clips, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_read_only_folder_is_an_output_error(read_only_folder, clips, tokenize_toy):
    with pytest.raises(OutputError, match="cannot write"):
        tokenize_toy(clips, read_only_folder / "out", model="speech-16k")


# Deaths


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_nothing(tmp_path, clips, tokenize_toy, bytes_of):
    tokenize_toy(clips, tmp_path / "calm", shard_size=4)
    killed = set()

    def kill(_):
        fresh = [one for one in multiprocessing.active_children() if one.pid not in killed]
        if fresh and len(killed) < 3:
            killed.add(fresh[0].pid)
            fresh[0].kill()

    totals = tokenize_toy(clips, tmp_path / "out", shard_size=4, workers=2, on_progress=kill)
    assert len(killed) == 3
    assert (totals.utterances, totals.failures) == (40, 0)
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "calm")


def test_a_plan_runs_no_command_unasked(tmp_path, clips, tokenize_toy):
    """Whoever made the plan may not be who goes on with it."""
    audio = sorted(clips.iterdir())[0]
    (tmp_path / "wav.scp").write_text(f"one touch {tmp_path}/ran; cat {audio} |\ntwo {audio}\n")
    out = tmp_path / "out"
    tokenize_toy(tmp_path / "wav.scp", out, run_commands=True, plan_only=True)
    for options in ({"resume": True}, {"shard": (0, 1)}):
        with pytest.raises(ConfigError, match=r"plan.jsonl: one is a command \(touch .*; --run-commands runs it"):
            tokenize_toy(tmp_path / "wav.scp", out, **options)
    assert not (tmp_path / "ran").exists()
    assert not list(out.glob("shards/*"))
    assert tokenize_toy(tmp_path / "wav.scp", out, resume=True, run_commands=True).utterances == 2
    assert (tmp_path / "ran").exists()


@pytest.mark.slow
def test_an_utterance_that_kills_is_found_and_left_out(tmp_path, clips, tokenize_toy):
    rows = [{"path": str(path), "id": path.stem} for path in sorted(clips.iterdir())[:12]]
    (tmp_path / "wav.scp").write_text(
        "".join(f"{row['id']} {'kill -SEGV $PPID |' if n == 7 else row['path']}\n" for n, row in enumerate(rows))
    )
    totals = tokenize_toy(tmp_path / "wav.scp", tmp_path / "out", shard_size=4, workers=2, run_commands=True)
    good, bad = ids_of(tmp_path / "out")
    assert bad == [rows[7]["id"]]
    assert len(good) == totals.utterances == 11
    assert "the process that read it crashed (SIGSEGV)" in (tmp_path / "out" / "failures.jsonl").read_text()


def test_a_shard_that_kills_whatever_is_left_out_ends_the_run():
    history = local._History()
    for _ in range(3):
        assert history.after_death(5, "crashed (SIGSEGV)").shard == 5
    with pytest.raises(WorkerError, match=r"shard 5: every process at it dies, the last crashed \(SIGSEGV\)"):
        history.after_death(5, "crashed (SIGSEGV)")


def test_workers_that_cannot_start_end_the_run(tmp_path, clips, tokenize_toy, monkeypatch):
    monkeypatch.setattr(local, "_make", os.abort)
    with pytest.raises(WorkerError, match="workers die while they start"):
        tokenize_toy(clips, tmp_path / "out", workers=2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["webdataset", "shar"])
def test_a_full_disk_ends_the_run_and_resume_goes_on(tmp_path, clips, tokenize_toy, toy_weights, bytes_of, kind):
    tokenize_toy(clips, tmp_path / "calm", shard_size=10, format=kind)
    tokenize_toy(clips, tmp_path / "out", shard_size=10, plan_only=True, format=kind)
    command = f"ulimit -f 8; exec {sys.executable} -m vqcodec tokenize {clips} {tmp_path / 'out'} --resume"
    command += f" --model {toy_weights} --workers 1 --format {kind}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no space left on the disk" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "out" / "shards").iterdir()) == []
    tokenize_toy(clips, tmp_path / "out", resume=True, format=kind)
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "calm")


@pytest.mark.slow
def test_kills_at_random_times_leave_every_utterance_exactly_once(tmp_path, make_clips, toy_weights, bytes_of):
    folder = make_clips(tmp_path / "in", 50)
    rows = [
        {"path": str(path), "id": f"{copy:03}/{path.stem}"} for copy in range(40) for path in sorted(folder.iterdir())
    ]
    manifest = tmp_path / "many.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokenize(manifest, tmp_path / "calm", model=toy_weights, workers=2)
    command = [sys.executable, "-m", "vqcodec", "tokenize", str(manifest), str(tmp_path / "out")]
    command += ["--model", str(toy_weights), "--workers", "2", "--resume"]
    chance = random.Random(0)
    kills = 0
    while True:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=chance.uniform(0.2, 2.5) if kills < 10 else None)
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        if process.wait() == 0:
            break
        time.sleep(0.1)
    assert kills >= 5
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "calm")
    good, bad = ids_of(tmp_path / "out")
    assert good == [row["id"] for row in rows]
    assert bad == []


def test_what_is_of_workers_may_stand_beside_the_rest_as_until_02(tmp_path, clips, toy_weights, in_process):
    options = {"model": toy_weights, "workers": 1}
    with pytest.warns(DeprecationWarning, match=r"Workers\(runner=\.\.\., device=\.\.\.\) instead of engine, device"):
        totals = tokenize(clips / "clip000.flac", tmp_path / "out", **options, device="cpu", engine="local")
    assert totals == tokenize(clips / "clip000.flac", tmp_path / "again", **options)
    with pytest.warns(DeprecationWarning), pytest.raises(ConfigError, match="runner 'slurm' is none of local, ray"):
        tokenize(clips, tmp_path / "none", model=toy_weights, engine="slurm")
    with pytest.warns(DeprecationWarning), pytest.raises(ConfigError, match="engine 'local' is the former name of ru"):
        tokenize(clips, tmp_path / "none", model=toy_weights, engine="local", runner="ray")
    with pytest.warns(DeprecationWarning), pytest.raises(ConfigError, match="device is of Workers; give it there"):
        tokenize(clips, tmp_path / "none", model=toy_weights, workers=Workers(1), device="cpu")
    with pytest.raises(TypeError, match="unexpected keyword argument 'wrokers'"):
        tokenize(clips, tmp_path / "none", model=toy_weights, wrokers=2)
    assert not (tmp_path / "none").exists()


def test_a_plan_that_was_changed_is_not_gone_on_with(tmp_path, clips, tokenize_toy):
    out = tmp_path / "out"
    tokenize_toy(clips, out, plan_only=True, format="npy")
    path = out / "plan.jsonl"
    path.write_text(path.read_text().replace("clip000", "clip001"))
    for options in ({"resume": True}, {"shard": (0, 1)}):
        with pytest.raises(TokensError, match=r"plan\.jsonl: was changed"):
            tokenize_toy(clips, out, format="npy", **options)
    assert not any((out / "shards").iterdir())


@pytest.mark.parametrize("lines", [0, 3])
def test_an_index_that_is_cut_is_no_dataset_with_fewer_utterances(tmp_path, clips, tokenize_toy, bytes_of, lines):
    out = tmp_path / "out"
    tokenize_toy(clips, out, shard_size=20)
    before = bytes_of(out)
    path = index_path(out, 0)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:lines]))
    with pytest.raises(TokensError, match=r"1 of \d shards are unfinished \(0\)"):
        merge(open_plan(out))
    tokenize_toy(clips, out, shard_size=20, resume=True)
    assert bytes_of(out) == before
