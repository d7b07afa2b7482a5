"""A bounded run of tools/fuzz; the long one is a command."""

import importlib.util
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def fuzz():
    loader = SourceFileLoader("fuzz", str(ROOT / "tools" / "fuzz"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("fuzz", loader))
    sys.modules["fuzz"] = module
    loader.exec_module(module)
    return module


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
