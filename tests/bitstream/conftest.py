"""Fixtures of the container's tests: the golden files and the tool that writes them."""

import importlib.util
import sys
from pathlib import Path

import pytest

from vqcodec.bitstream.entropy import EntropyModel

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tool():
    """tools/golden.py as a module."""
    spec = importlib.util.spec_from_file_location("golden", ROOT / "tools" / "golden.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["golden"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def entropy(tool):
    """The small entropy model of the golden files: two layers, 32 codes."""
    return EntropyModel(tool.entropy_tensors())
