"""Fixtures of the container's tests: the golden files and the tool that writes them."""

import importlib.util
import resource
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


@pytest.fixture
def bounded_memory():
    """The process gets 200 MB at most beyond what it has: what damage asks for beyond that is a MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 200_000_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
