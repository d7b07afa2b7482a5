"""The README's install without torch, in an environment that has nothing."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_requirements_without_torch_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = re.findall(r"^[^#\n].*", (ROOT / "requirements-onnx.txt").read_text(), re.MULTILINE)
    base = {need for need in project["dependencies"] if not need.startswith(("torch", "pydantic", "pyyaml"))}
    assert set(listed) == base | set(project["optional-dependencies"]["onnx"])


@pytest.mark.slow
def test_encoding_and_decoding_work_in_an_environment_without_torch(tmp_path, speech_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "bare"], check=True)
    python = tmp_path / "bare" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", ROOT / "requirements-onnx.txt"], check=True)
    subprocess.run([*pip, "--no-deps", ROOT], check=True)
    vqcodec = python.with_name("vqcodec")
    for arguments in (["encode", speech_path, "a.vqc"], ["decode", "a.vqc", "a.wav"]):
        subprocess.run([vqcodec, *arguments, "--engine", "onnx"], cwd=tmp_path, check=True)
    assert (tmp_path / "a.wav").stat().st_size > 100_000
    assert subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode == 1
    without = subprocess.run(
        [vqcodec, "encode", speech_path, "b.vqc"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert without.returncode == 1
    assert without.stderr.startswith("Error: the torch engine needs torch")
