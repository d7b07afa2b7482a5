"""Many files at once: jobs (what arguments mean) and batch (the loop over them), for every command that takes files."""

import json
import os
import re
import shutil
import sys

import numpy as np
import pytest
import soundfile

from vqcodec.bitstream import Header, VqcWriter
from vqcodec.cli.coding.batch import Batch, Outcome
from vqcodec.cli.coding.jobs import Job
from vqcodec.cli.progress import FilesDisplay
from vqcodec.models import zoo
from vqcodec.models.onnx_codec import OnnxCodec


def write_vqc(path, frames=5, fingerprint=None):
    """A .vqc of the bundled model, of zeros."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fingerprint = fingerprint or zoo.MODELS["speech-16k"].fingerprint
    with path.open("wb") as file:
        writer = VqcWriter(file, Header(fingerprint, 16000, 320, 16000, 1, 320 * frames, 6, 1024))
        writer.write(np.zeros((1, 6, frames), np.uint16))
        writer.close()
    return path


@pytest.fixture
def archive(tmp_path):
    """Two .vqc, one in a subfolder, and a file that is none of our business."""
    folder = tmp_path / "archive"
    write_vqc(folder / "a.vqc")
    write_vqc(folder / "deep" / "b.VQC", frames=10)
    (folder / "notes.txt").write_text("not sound")
    return folder


def below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_folder_is_never_damaged(run, archive):
    told = run("verify", archive)
    assert told.stdout.splitlines() == [
        f"{archive}/a.vqc: whole, 1 chunks, 0:00:00.10",
        f"{archive}/deep/b.VQC: whole, 1 chunks, 0:00:00.20",
    ]
    size = sum((archive / name).stat().st_size for name in ("a.vqc", "deep/b.VQC"))
    assert told.stderr == f"2 files, 0:00:00.30, {size} bytes, {8 * size / 300:.2f} kbps\n"
    assert run("verify", f"{archive}/*.vqc").stdout.count("whole") == 1
    assert run("verify", f"{archive}/**/*", archive / "a.vqc").stdout.count("whole") == 2, "each once"


def test_a_pipe_in_a_folder_is_a_failure_that_nobody_waits_for(run, archive, tmp_path):
    os.mkfifo(archive / "c.vqc")
    why = f"{archive}/c.vqc: is not a regular file but a pipe or device; give it by itself, or leave it out"
    for command in (["verify", archive], ["decode", archive, "--out-dir", tmp_path / "out"]):
        told = run(*command, code=1)
        assert f"Error: {why}\n" in told.stderr
        assert told.stderr.endswith("Error: 1 of 3 files failed\n")
    assert below(tmp_path / "out") == ["a.wav", "deep/b.wav"]


def test_a_folder_without_any_is_told(run, tmp_path):
    for command in (["verify"], ["info"], ["decode", "--out-dir", tmp_path / "out"]):
        told = run(*command, tmp_path, code=1).output
        assert told == f"Error: {tmp_path}: no .vqc found; give a file, a folder or a glob\n"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_as_one_input_points_to_out_dir(run, archive, tmp_path):
    assert (
        "is a folder; give a file, or --out-dir for a whole folder"
        in run("decode", archive, tmp_path / "a.wav", code=1).output
    )
    assert "or --out-dir" in run("thin", archive, tmp_path / "a.vqc", "--codebooks", 1, code=1).output
    told = run("enhance", archive, tmp_path / "a.wav", code=1).output
    assert told == f"Error: {archive}: is a folder; give a file\n", "it has no --out-dir"


def test_damage_and_what_cannot_be_read_are_counted_apart(run, archive):
    data = bytearray((archive / "a.vqc").read_bytes())
    data[-1] ^= 1
    (archive / "a.vqc").write_bytes(data)
    (archive / "text.vqc").write_text("not one")
    told = run("verify", archive, archive / "none.vqc", code=1)
    assert "Error: 2 of 4 files are damaged, 1 of 4 files failed" in told.stderr
    assert f"{archive}/none.vqc: cannot read" in told.stderr
    assert "b.VQC: whole" in told.stdout
    assert re.search(r"^3 files, .*, 2 damaged, 1 failed$", told.stderr, re.MULTILINE)


def test_info_of_many_is_a_line_of_json_each(run, archive):
    rows = [json.loads(line) for line in run("info", archive, "--json").stdout.splitlines()]
    assert [(row["path"], row["frames"]) for row in rows] == [(f"{archive}/a.vqc", 5), (f"{archive}/deep/b.VQC", 10)]
    text = run("info", archive)
    assert [line for line in text.stdout.splitlines() if line.endswith(":")] == [f"{row['path']}:" for row in rows]
    assert text.stderr.startswith("2 files, 0:00:00.30, ")
    assert "duration_seconds      0.1  (0:00:00.10)" in text.stdout


def test_decode_keeps_the_tree_and_the_format_that_is_asked_for(run, archive, tmp_path):
    told = run("decode", archive, "--out-dir", tmp_path / "out", "--format", "flac", "--engine", "onnx")
    assert below(tmp_path / "out") == ["a.flac", "deep/b.flac"]
    assert soundfile.info(tmp_path / "out" / "deep" / "b.flac").frames == 3200
    before, after = (sum((root / name).stat().st_size for name in below(root) if not name.endswith("txt"))
                     for root in (archive, tmp_path / "out"))  # fmt: skip
    assert f"2 files, 0:00:00.30, {before} bytes before and {after} after" in told.stderr
    run("decode", archive, "--out-dir", tmp_path / "wav", "--engine", "onnx")
    assert below(tmp_path / "wav") == ["a.wav", "deep/b.wav"]


def test_thin_takes_folders(run, archive, tmp_path):
    told = run("thin", archive, "--out-dir", tmp_path / "out", "--codebooks", 2)
    assert below(tmp_path / "out") == ["a.vqc", "deep/b.vqc"]
    after = sum((tmp_path / "out" / name).stat().st_size for name in ("a.vqc", "deep/b.vqc"))
    assert f" and {after} after, {8 * after / 300:.2f} kbps" in told.stderr
    assert run("info", tmp_path / "out", "--json").stdout.count('"num_codebooks": 2') == 2


def test_what_is_there_is_skipped_and_counted(run, archive, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.vqc").write_text("done before")
    told = run("thin", archive, "--out-dir", out, "--codebooks", 2, "--skip-existing")
    assert "1 files, " in told.stderr
    assert told.stderr.rstrip().endswith(", 1 skipped")
    assert (out / "a.vqc").read_text() == "done before"
    again = run("thin", archive, "--out-dir", out, "--codebooks", 2, "--skip-existing").stderr
    assert again.startswith("0 files, 0:00:00.00, 0 bytes before and 0 after, 2 skipped")
    assert "exists already" in run("thin", archive, "--out-dir", out, "--codebooks", 2, code=1).stderr
    one = run("thin", archive / "a.vqc", out / "a.vqc", "--codebooks", 2, "--skip-existing")
    assert one.stderr == f"{out / 'a.vqc'}: is there already, skipped\n"
    assert (
        "not both" in run("thin", archive, "--out-dir", out, "--kbps", 1, "--skip-existing", "--force", code=2).stderr
    )


def test_one_that_fails_stops_no_other(run, archive, tmp_path):
    write_vqc(archive / "other.vqc", fingerprint=b"none")
    told = run("decode", archive, archive / "gone.vqc", "--out-dir", tmp_path / "out", "--engine", "onnx", code=1)
    assert below(tmp_path / "out") == ["a.wav", "deep/b.wav"]
    assert "other.vqc: written by a model that is not bundled (fingerprint 6e6f6e65); give" in told.stderr
    assert "gone.vqc: cannot read" in told.stderr
    assert told.stderr.endswith(", 2 failed\nError: 2 of 4 files failed\n")


def test_an_output_that_is_its_own_input_is_refused_before_any_work(run, archive):
    before = below(archive)
    told = run("thin", archive, "--out-dir", archive, "--codebooks", 1, "--skip-existing", code=1)
    assert "a.vqc: is the input itself; choose another --out-dir" in told.stderr
    assert below(archive) == before


def test_two_inputs_of_one_name_are_refused(run, archive, tmp_path):
    write_vqc(archive / "deep" / "a.vqc")
    told = run("decode", archive / "a.vqc", archive / "deep" / "a.vqc", "--out-dir", tmp_path / "out", code=1)
    assert "would both become" in told.stderr
    assert told.stderr.endswith("give the folder above both, whose tree is kept, or rename one\n")
    assert not (tmp_path / "out").exists()


def test_what_no_file_can_have_ends_the_run_at_once(run, archive, tmp_path):
    told = run("decode", archive, "--out-dir", tmp_path / "out", "--engine", "onnx", "--device", "cuda", code=1)
    assert told.stderr == "Error: the onnx engine runs on cpu, not on cuda; use the torch engine\n"


@pytest.mark.parametrize("command", ["encode", "decode", "thin"])
def test_standard_input_is_one_file(run, tmp_path, command):
    options = ["--codebooks", 1] if command == "thin" else []
    assert "- goes with one OUTPUT" in run(command, "-", "--out-dir", tmp_path / "out", *options, code=2).output
    assert "give one INPUT and one OUTPUT" in run(command, "a", "b", "c", *options, code=2).output


@pytest.mark.parametrize("command", ["encode", "thin"])
def test_a_vqc_is_not_written_to_a_name_of_audio(run, archive, tmp_path, speech_path, command):
    source, options = {"encode": (speech_path, []), "thin": (archive / "a.vqc", ["--codebooks", 1])}[command]
    for name in ("out.mp3", "out.opus", "out.m4a", "OUT.WAV"):
        told = run(command, source, tmp_path / name, *options, code=1).output
        assert f"{name}: what is written is a .vqc" in told
        assert not (tmp_path / name).exists()


def test_workers_do_what_one_does(run, archive, tmp_path, speech_path):
    shutil.copy(archive / "a.vqc", archive / "c.vqc")
    (archive / "bad.vqc").write_text("not one")
    for count in (1, 2):
        told = run("verify", archive, "--workers", count, code=1)
        assert sorted(told.stdout.splitlines())[1].startswith(f"{archive}/bad.vqc: not a .vqc")
        assert told.stdout.count("whole") == 3
        assert told.stderr.endswith("1 damaged\nError: 1 of 4 files is damaged\n")
    for count in (1, 2):
        out = tmp_path / str(count)
        told = run("decode", archive, "--out-dir", out, "--engine", "onnx", "--workers", count, code=1)
        assert "Error: 1 of 4 files failed" in told.stderr
    assert below(tmp_path / "1") == below(tmp_path / "2") == ["a.wav", "c.wav", "deep/b.wav"]
    for name in below(tmp_path / "1"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_one_bar_for_all_files_is_drawn_on_a_terminal_only(monkeypatch, capsys):
    def draw():
        with FilesDisplay({"a": 100, "b": 300}) as display:
            display.show("a", 0.5)
            display.finish("a")
            display.clear()
            display.show("b", 0.5)
            display.finish("b")

    draw()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr("vqcodec.cli.progress._TERMINAL_SECONDS", 0)
    draw()
    drawn = capsys.readouterr().err.split("\r\033[K")
    assert [line.partition(" left")[0].partition(", 0:")[0].split("] ")[-1].strip() for line in drawn[1:]] == [
        *("12%, 0 of 2 files", "25%, 1 of 2 files", "", "62%, 1 of 2 files", ""),
    ]


def test_an_interrupted_run_says_how_it_goes_on(capsys):
    def make():
        def work(job, say):
            if job.source == "b":
                raise KeyboardInterrupt
            return Outcome(seconds=1.0)

        return work

    batch = Batch([Job("a", "a.vqc"), Job("b", "b.vqc"), Job("c", "c.vqc")], has_closing=True)
    with pytest.raises(KeyboardInterrupt):
        batch.run(make)
    assert capsys.readouterr().err == "interrupted after 1 of 3 files; --skip-existing goes on\n"


def test_a_remark_is_told_once_and_then_counted(run, tmp_path, speech):
    (tmp_path / "in").mkdir()
    for name in ("a", "b", "c"):
        channels = [speech[:8000]] if name == "b" else [speech[:8000], speech[8000:16000]]
        soundfile.write(tmp_path / "in" / f"{name}.wav", np.stack(channels, axis=1), 16000)
    told = run("encode", tmp_path / "in", "--out-dir", tmp_path / "out", "--kbps", 1, "--engine", "onnx").stderr
    assert told.count("2 channels, each coded by itself: 2 x 1 = 2 kbps in all") == 1
    assert "several channels, each at the rate of one: 2 of 3 files" in told
    assert len(re.findall(r"[\d.]+ kbps \([\d.]+ for each of 2 channels\)", told)) == 2
    assert told.splitlines()[0].startswith(f"{tmp_path}/in/a.wav: 2 channels"), "at once"
    again = ("--mono", "left", "--force", "--engine", "onnx", "--codebooks", 1)
    assert "channels" not in run("encode", tmp_path / "in", "--out-dir", tmp_path / "out", *again).stderr


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_loading_a_model_is_not_part_of_the_speed(run, tmp_path, archive, monkeypatch, engine):
    seconds, load, prepare = [0.0], zoo.engine_for, OnnxCodec.prepare

    def slow(function):
        def call(*arguments, **options):
            seconds[0] += 1000
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(zoo, "engine_for", slow(load))
    monkeypatch.setattr(OnnxCodec, "prepare", slow(prepare))
    monkeypatch.setattr("time.monotonic", lambda: seconds[0])
    line = run("decode", archive / "a.vqc", tmp_path / "a.wav", "--engine", engine).stderr
    assert seconds[0] >= 1000
    assert int(re.search(r"(\d+) x real time", line).group(1)) > 1


@pytest.mark.parametrize("command", ["encode", "decode"])
@pytest.mark.parametrize("options", [["--skip-existing"], ["--workers", 2], ["--out-dir", "out"]])
def test_live_streams_are_one_file(run, command, options):
    assert "--live" in run(command, "--live", "-", "-", *options, code=2).output


@pytest.mark.parametrize(("offsets", "told"), [((0, "0.0"), False), ((0, 1.5), True)])
def test_encoding_tells_that_excerpts_of_a_manifest_are_not_cut(run, tmp_path, speech_path, toy_weights, offsets, told):
    rows = [{"path": str(speech_path), "offset": offset, "duration": 1.0} for offset in offsets]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run("encode", tmp_path / "m.jsonl", "--out-dir", tmp_path / "out", "--model", toy_weights)
    warning = f"Warning: {tmp_path / 'm.jsonl'}: 1 of 2 rows name excerpts, yet whole files are encoded, each once; "
    assert (warning in result.stderr) == told
    assert len(list((tmp_path / "out").iterdir())) == 1


@pytest.mark.parametrize(("column", "value"), [("end", 1.0), ("channel", 0)])
def test_encoding_tells_that_ends_and_channels_of_a_manifest_are_not_obeyed(
    run, tmp_path, speech_path, toy_weights, column, value
):
    (tmp_path / "m.csv").write_text(f"path,{column}\n{speech_path},{value}\n")
    result = run("encode", tmp_path / "m.csv", "--out-dir", tmp_path / "out", "--model", toy_weights)
    assert "1 of 1 rows name excerpts, yet whole files are encoded, each once" in result.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_import_takes_folders(run, tmp_path, workers):
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "deep").mkdir(parents=True)
    codes = np.random.default_rng(0).integers(0, 1024, (6, 50))
    for name in ("a.npy", "deep/b.NPY"):
        with (old / name).open("wb") as file:
            np.save(file, codes)
    (old / "bad.npy").write_bytes(b"no array")
    (old / "notes.txt").write_text("no codes")
    every = ["import", "npy", old, "--out-dir", new, "--model", "speech-16k", "--workers", workers]
    told = run(*every, code=1)
    assert below(new) == ["a.vqc", "deep/b.vqc"]
    assert f"Error: {old}/bad.npy: " in told.stderr
    assert "2 files, 0:00:02.00, " in told.stderr
    assert told.stderr.splitlines()[-1] == "Error: 1 of 3 files failed"
    run("import", "npy", old / "a.npy", tmp_path / "alone.vqc", "--model", "speech-16k")
    for name in below(new):
        assert (new / name).read_bytes() == (tmp_path / "alone.vqc").read_bytes()

    (old / "bad.npy").unlink()
    assert ", 2 skipped" in run(*every, "--skip-existing").stderr
    told = run("import", "npy", old, "--out-dir", tmp_path / "none", "--model", "nothing", code=1)
    assert told.stderr.count("nothing: no such model") == 1, "no other file will have it either"


def test_import_of_many_is_asked_for_rightly(run, tmp_path):
    given = ["import", "npy", tmp_path, "--model", "speech-16k"]
    assert "--samples is the length of one file" in run(*given, "--out-dir", tmp_path, "--samples", 9, code=2).stderr
    assert "give one INPUT and one OUTPUT" in run(*given, code=2).stderr
    assert run(*given, "--out-dir", tmp_path / "new", code=1).stderr == (
        f"Error: {tmp_path}: no .npy found; give a file, a folder or a glob\n"
    )
