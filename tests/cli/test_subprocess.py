"""The installed command as a stranger runs it: pipes, exit codes, read-only folders, a full disk."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

COMMAND = [sys.executable, "-m", "vqcodec"]
QUICK = ("--engine", "onnx")
"""For what is no matter of the engine: importing torch takes a process 2 s."""


def run(*arguments, code=0, **kwargs):
    result = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, check=False, **kwargs)
    assert result.returncode == code, result.stderr.decode()
    assert b"Traceback" not in result.stderr
    return result


@pytest.mark.slow
def test_a_pipeline_from_wav_to_wav(tmp_path, speech_path, speech):
    soundfile.write(tmp_path / "in.wav", speech, 16000)
    coded = run("encode", "-", "-", "--kbps", "1.5", input=(tmp_path / "in.wav").read_bytes()).stdout
    assert coded[:3] == b"VQC"
    wave = run("decode", "-", "-", input=coded).stdout
    (tmp_path / "out.wav").write_bytes(wave)
    assert soundfile.info(tmp_path / "out.wav").frames == len(speech)
    facts = json.loads(run("info", "-", "--json", input=coded).stdout)
    assert facts["num_codebooks"] == 3
    assert facts["kbps"] == round(8 * len(coded) / facts["duration_seconds"] / 1000, 4)
    assert 1 < facts["kbps"] < 1.5


HEAVY = ("torch", "onnxruntime", "torchaudio", "soundfile", "soxr", "vqcodec.audio.extent")
"""What a command that neither computes nor opens sound does not wait for."""


def test_help_and_info_import_no_torch(tmp_path, speech_path):
    path = str(tmp_path / "a.vqc")
    run("encode", *QUICK, speech_path, path)
    for arguments in (
        ["--help"],
        ["encode", "--help"],
        ["info", path],
        ["verify", path],
        ["thin", path, str(tmp_path / "b.vqc"), "--codebooks", "2"],
        ["models"],
    ):
        program = (
            "import sys; from vqcodec.cli import main\n"
            f"try: main({arguments!r})\n"
            f"finally: print(sorted(sys.modules.keys() & set({HEAVY!r})))"
        )
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
        assert result.stdout.decode().splitlines()[-1] == "[]", arguments


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_no_file(tmp_path, speech_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    result = run("encode", *QUICK, speech_path, tmp_path / "a.vqc", code=1, preexec_fn=limit)
    assert result.stderr.decode().count("\n") == 1
    assert b"no space left" in result.stderr
    run("encode", *QUICK, speech_path, tmp_path / "a.vqc")
    for name in ("a.wav", "a.flac", "a.ogg", "a.mp3"):
        result = run("decode", *QUICK, tmp_path / "a.vqc", tmp_path / name, code=1, preexec_fn=limit)
        assert result.stderr.decode().count("\n") == 1, result.stderr
        assert b"cannot write" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.vqc"]


def test_a_reader_that_goes_away_is_no_traceback(tmp_path, speech_path):
    run("encode", *QUICK, speech_path, tmp_path / "a.vqc")
    with subprocess.Popen(
        [*COMMAND, "decode", *QUICK, tmp_path / "a.vqc", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        error = process.stderr.read()
        process.wait()
    assert b"Traceback" not in error
    assert process.returncode != 0


@pytest.mark.parametrize(
    ("command", "closed"), [("encode", 0), ("encode", 1), ("decode", 0), ("decode", 1), ("info", 0)]
)
def test_a_closed_standard_stream_is_told_in_a_line(command, closed):
    target = [] if command == "info" else ["-", *QUICK]
    result = subprocess.run(
        [*COMMAND, command, "-", *target],
        preexec_fn=lambda: os.close(closed),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "is closed; give a file instead of -" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_full_device_behind_a_pipe_is_named(speech_path):
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [*COMMAND, "encode", *QUICK, speech_path, "-"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode == 1
    assert result.stderr.startswith("Error: standard output: cannot write (no space left")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_no_temporary_file(tmp_path, number):
    soundfile.write(tmp_path / "long.wav", np.zeros(16000 * 900, np.int16), 16000)
    process = subprocess.Popen(
        [*COMMAND, "encode", *QUICK, "long.wav", "a.vqc"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not list(tmp_path.glob(".a.*.vqc")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert [path.name for path in tmp_path.iterdir()] == ["long.wav"]
