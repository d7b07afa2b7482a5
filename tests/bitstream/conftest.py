"""Fixtures of the container's tests: a bound on memory."""

import resource
from pathlib import Path

import pytest


@pytest.fixture
def bounded_memory():
    """The process gets 200 MB at most beyond what it has: what damage asks for beyond that is a MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 200_000_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
