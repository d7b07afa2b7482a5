"""What the README says is so: its commands run, its Python runs; and it is a door, not the house."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title):
    return README.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def block(title, language):
    return re.search(rf"```{language}\n(.*?)```", section(title), re.DOTALL).group(1)


@pytest.mark.slow
def test_the_commands_run(tmp_path, speech, speech_path, bash):
    soundfile.write(tmp_path / "speech.wav", speech[:40000], 16000)
    (tmp_path / "recordings").mkdir()
    shutil.copy(speech_path, tmp_path / "recordings")
    script = block("On the command line", "sh")
    assert script.count("vqcodec") >= 8
    result = bash("-ec", "set -o pipefail\n" + script, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert soundfile.info(tmp_path / "live.wav").frames == 40000
    assert (tmp_path / "speech-compare" / "report.html").exists()
    assert (tmp_path / "tokens" / "index.json").exists()


def test_the_python_runs(speech):
    names = {
        "wave": torch.from_numpy(speech)[None, None],
        "samples": np.repeat(speech, 3),
    }
    exec(block("In Python", "python"), names)
    assert names["wave_hat"].shape == names["wave"].shape
    assert names["rate_hz"] == 44100
    assert names["samples_hat"].shape == (1, 3 * len(speech))


def test_it_is_short():
    assert len(README.splitlines()) <= 150
