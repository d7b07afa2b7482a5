"""Whole jobs of a user, in tests/journeys/, of the lines that docs/ shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[1]


@pytest.fixture
def recordings(tmp_path, speech):
    """recordings/: subfolders, rates, formats, two channels, a text, and what is no audio in spite of its name."""
    folder = tmp_path / "recordings"
    (folder / "deep" / "deeper").mkdir(parents=True)
    clip = speech[16000:56000]
    soundfile.write(folder / "a.wav", clip, 16000)
    soundfile.write(folder / "deep" / "both.flac", np.stack([clip, clip], axis=1), 44100)
    soundfile.write(folder / "deep" / "deeper" / "memo.ogg", clip, 22050)
    soundfile.write(folder / "note.mp3", clip, 16000)
    (folder / "broken.wav").write_text("no audio")
    (folder / "list.txt").write_text("what was recorded when")
    return folder


def below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_archivist_gets_everything_back(recordings, tmp_path):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "-x", ROOT / "tests" / "journeys" / "archivist.sh"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert below(tmp_path / "archive") == ["a.vqc", "deep/both.vqc", "deep/deeper/memo.vqc", "note.vqc"]
    assert below(tmp_path / "audio") == ["a.opus", "deep/both.opus", "deep/deeper/memo.opus", "note.opus"]
    for name in ("a.wav", "deep/both.flac", "deep/deeper/memo.ogg", "note.mp3"):
        given = soundfile.info(recordings / name)
        got = soundfile.info((tmp_path / "audio" / name).with_suffix(".opus"))
        assert got.duration == pytest.approx(given.duration, abs=0.1), name
        assert got.channels == given.channels
    assert below(tmp_path / "minute") == ["a.wav", "note.wav"]
    assert soundfile.info(tmp_path / "minute" / "a.wav").duration == pytest.approx(1.0)
    assert soundfile.info(tmp_path / "bridged.wav").channels == 2


def test_the_journey_goes_by_the_lines_of_its_page():
    script = (ROOT / "tests" / "journeys" / "archivist.sh").read_text(encoding="utf-8").splitlines()
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8").split("## An archive\n")[1]
    lines = re.search(r"```sh\n(.*?)```", page, re.DOTALL).group(1).splitlines()
    shown = [re.sub(r" +#.*", "", line) for line in lines]
    assert len(shown) >= 6
    for line in shown:
        assert any(own.startswith(line) for own in script), line
