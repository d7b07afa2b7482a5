"""Bounded runs of tools/fuzz and tools/fuzz_audio; the long ones are commands."""

import importlib.util
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from vqcodec.audio.reader import AudioReader

ROOT = Path(__file__).parents[2]


def load(name):
    loader = SourceFileLoader(name, str(ROOT / "tools" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    sys.modules[name] = module
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fuzz():
    return load("fuzz")


def test_a_round_is_clean(fuzz):
    fuzz.fuzz_round(0, 60)


def test_a_wrong_reader_would_be_found(fuzz, monkeypatch):
    """The fuzzer must fail where codes come back wrong."""
    right = fuzz.read
    monkeypatch.setattr(fuzz, "read", lambda data, **kwargs: [(at, part ^ 1) for at, part in right(data, **kwargs)])
    with pytest.raises(AssertionError):
        fuzz.fuzz_round(0, 30)


@pytest.mark.slow
def test_fuzzing_guided_by_coverage_runs(tmp_path):
    pytest.importorskip("atheris")
    command = [sys.executable, str(ROOT / "tools" / "fuzz_guided"), "4"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    runs = re.search(r"Done (\d+) runs", result.stderr)
    assert runs is not None
    assert int(runs[1]) > len(list((ROOT / "tests" / "golden").glob("*.vqc")))


def test_a_thousand_mutations_of_audio_are_clean(tmp_path):
    """In a process of its own: a decoder may crash."""
    command = [sys.executable, str(ROOT / "tools" / "fuzz_audio"), "1000"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    counts = re.search(r"1000 mutations of 20 files: (\d+) read, (\d+) refused, clean", result.stdout)
    assert min(int(counts[1]), int(counts[2])) > 100
    assert not any(tmp_path.iterdir())


def test_a_reader_that_loses_sound_would_be_found(tmp_path, monkeypatch):
    """One that believes every header, as libsndfile does."""
    monkeypatch.chdir(tmp_path)
    fuzz_audio = load("fuzz_audio")
    monkeypatch.setattr(AudioReader, "check_whole", lambda self: None)
    with pytest.raises(AssertionError, match="samples without a word"):
        fuzz_audio.main(300, 0)
    assert (tmp_path / "fuzz-audio-input").is_file()
