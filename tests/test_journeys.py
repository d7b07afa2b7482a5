"""Whole jobs of a user, in tests/journeys/, of the lines that docs/ shows."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vqcodec.bitstream import VqcReader

ROOT = Path(__file__).parents[1]
PAGES = {
    "archivist": ("command-line.md", "## An archive", 6),
    "language_modeller": ("datasets.md", "## A language model of speech", 3),
    "codec_researcher": ("extending.md", "## A metric: one file, one line", 3),
}
"""Where the lines of each stand, and how many at least."""


@pytest.fixture
def recordings(tmp_path, speech):
    """recordings/: subfolders, rates, formats, two channels, a text, and what is no audio in spite of its name."""
    folder = tmp_path / "recordings"
    (folder / "deep" / "deeper").mkdir(parents=True)
    clip = speech[16000:56000]
    soundfile.write(folder / "a.wav", clip, 16000)
    soundfile.write(folder / "deep" / "both.flac", np.stack([clip, clip[::-1]], axis=1), 44100)
    soundfile.write(folder / "deep" / "deeper" / "memo.ogg", clip, 22050)
    soundfile.write(folder / "note.mp3", clip, 16000)
    (folder / "broken.wav").write_text("no audio")
    (folder / "list.txt").write_text("what was recorded when")
    return folder


def below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def travel(name, folder):
    """Run the script of a journey in `folder`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "-x", ROOT / "tests" / "journeys" / f"{name}.sh"]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def section_of(name):
    page, title, _ = PAGES[name]
    return (ROOT / "docs" / page).read_text(encoding="utf-8").split(f"\n{title}\n")[1].split("\n## ")[0]


def programs(text):
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.slow
def test_the_archivist_gets_everything_back(recordings, tmp_path):
    travel("archivist", tmp_path)
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


@pytest.mark.slow
def test_the_language_modeller_hears_what_a_model_of_tokens_draws(recordings, tmp_path):
    (program,) = programs(section_of("language_modeller"))
    (tmp_path / "language_model.py").write_text(program, encoding="utf-8")
    travel("language_modeller", tmp_path)
    facts = json.loads((tmp_path / "info.json").read_text())
    seconds = sum(soundfile.info(path).duration for path in recordings.rglob("*.*") if path.suffix != ".txt")
    assert facts["utterances"] == 5
    assert facts["tokens"] == pytest.approx(3 * 50 * seconds, rel=0.02)
    drawn = soundfile.info(tmp_path / "drawn.wav")
    assert (drawn.samplerate, drawn.frames % 320) == (16000, 0)
    assert 0.5 < drawn.duration <= 1.0, "of 50 steps, less those by which the last codebook comes later"


@pytest.mark.slow
def test_the_codec_researcher_has_a_number_for_an_idea(tmp_path, speech):
    for name in ("speech/train/one.wav", "speech/valid/two.wav", "clip.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, speech[16000:48000], 16000)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    for program in programs((ROOT / "docs" / "extending.md").read_text(encoding="utf-8")):
        named = re.match(r"# (random_codebook|snr_metric)\.py\n", program)
        if named:
            (tmp_path / f"{named[1]}.py").write_text(program, encoding="utf-8")
    travel("codec_researcher", tmp_path)
    with (tmp_path / "clip.vqc").open("rb") as file:
        assert VqcReader(file).header.samples == 32000
    rows = [json.loads(line) for line in (tmp_path / "results" / "results.jsonl").read_text().splitlines()]
    snr = {row["codec"]: row["snr"] for row in rows}
    assert set(snr) == {"random", "opus"}
    assert snr["opus"] > 5 > snr["random"]


@pytest.mark.parametrize("name", PAGES)
def test_a_journey_goes_by_the_lines_of_its_page(name):
    script = (ROOT / "tests" / "journeys" / f"{name}.sh").read_text(encoding="utf-8").splitlines()
    lines = re.search(r"```sh\n(.*?)```", section_of(name), re.DOTALL).group(1).splitlines()
    shown = [re.sub(r" +#.*", "", line) for line in lines]
    assert len(shown) >= PAGES[name][2]
    for line in shown:
        assert any(given.removeprefix("if ").startswith(line) for given in script), line


def test_every_script_is_a_journey():
    assert {path.stem for path in (ROOT / "tests" / "journeys").iterdir()} == set(PAGES)
