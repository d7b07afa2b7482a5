"""What the README says is so: its commands run, its Python runs, its tree exists."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import vqcodec

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title):
    return README.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def block(title, language):
    return re.search(rf"```{language}\n(.*?)```", section(title), re.DOTALL).group(1)


@pytest.mark.slow
def test_the_commands_run(tmp_path, speech, speech_path):
    soundfile.write(tmp_path / "speech.wav", speech, 16000)
    (tmp_path / "recordings").mkdir()
    shutil.copy(speech_path, tmp_path / "recordings")
    np.save(tmp_path / "codes.npy", np.zeros((6, 50), int))
    data = vqcodec.compress(speech, 16000, num_codebooks=2)
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "one.vqc").write_bytes(data)
    (tmp_path / "damaged.vqc").write_bytes(data[:100] + b"junk" + data[100:])
    script = block("On the command line", "sh")
    assert script.count("vqcodec") >= 8
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # Each line by itself, and the first decode again later: allow replacing.
    script = "set -e -o pipefail\n" + script.replace(
        "decode speech.vqc speech.wav", "decode speech.vqc speech.wav --force"
    )
    result = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr.decode()
    assert soundfile.info(tmp_path / "again.wav").frames == len(speech)
    assert soundfile.info(tmp_path / "live.wav").frames == len(speech)
    assert soundfile.info(tmp_path / "part.wav").duration == pytest.approx(1.5)


@pytest.mark.slow
def test_the_commands_and_python_of_tokens_run(tmp_path, speech_path, monkeypatch):
    (tmp_path / "recordings").mkdir()
    for name in ("one", "84-121123-0000"):
        shutil.copy(speech_path, tmp_path / "recordings" / f"{name}.flac")
    script = block("Datasets as tokens", "sh")
    assert script.count("vqcodec") >= 5
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-ec", script], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr.decode()
    assert soundfile.info(tmp_path / "audio" / "one.wav").frames == soundfile.info(speech_path).frames
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(block("Datasets as tokens", "python"), names)
    np.testing.assert_array_equal(names["codes"], names["utterance"].codes)


@pytest.mark.slow
def test_the_commands_of_comparing_run(tmp_path, speech):
    (tmp_path / "clips").mkdir()
    soundfile.write(tmp_path / "clips" / "one.wav", speech[:40000], 16000)
    soundfile.write(tmp_path / "speech.wav", speech, 16000)
    script = block("Comparing codecs", "sh")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-ec", script], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr.decode()
    assert b"against opus" in result.stdout
    assert (tmp_path / "results" / "report.html").exists()
    assert (tmp_path / "speech-compare" / "report.html").exists()


def test_the_python_runs(speech):
    names = {
        "wave": torch.from_numpy(speech)[None, None],
        "samples": np.repeat(speech, 3),
    }
    exec(block("In Python", "python"), names)
    assert names["wave_hat"].shape == names["wave"].shape
    assert names["rate_hz"] == 44100
    assert names["samples_hat"].shape == (1, 3 * len(speech))
