"""lock.txt: a version for all that is installed, on every Python, within the ranges of pyproject.toml."""

import platform
import re
import subprocess
import tomllib
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = [
    Requirement(line.partition("  #")[0]) for line in re.findall(r"^[^#\n].*", (ROOT / "lock.txt").read_text(), re.M)
]
CUDA = re.compile("nvidia|cuda|triton")


def declared():
    """Every requirement that pyproject.toml states itself."""
    extras = chain.from_iterable(PROJECT["project"]["optional-dependencies"].values())
    texts = [*PROJECT["build-system"]["requires"], *PROJECT["project"]["dependencies"], *extras]
    return [need for need in map(Requirement, texts) if need.name != "vqcodec"]


def locked(version):
    """The lock on a Python of this version, on Linux: name -> version."""
    here = default_environment() | {
        "sys_platform": "linux",
        "python_version": version,
        "python_full_version": f"{version}.1",
    }
    pins = [pin for pin in PINS if pin.marker is None or pin.marker.evaluate(here)]
    assert all(re.fullmatch(r"==[^*]+", str(pin.specifier)) for pin in pins)
    found = {canonicalize_name(pin.name): str(pin.specifier)[2:] for pin in pins}
    assert len(found) == len(pins), "one version of each"
    return found


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("source", ["pyproject.toml", "constraints.txt"])
def test_the_lock_is_within_what_is_asked_for(version, source):
    lines = re.findall(r"^[^#\n\s]+", (ROOT / "constraints.txt").read_text(), re.M)
    needs = declared() if source == "pyproject.toml" else [Requirement(line) for line in lines if "uv" not in line]
    assert len(needs) >= 4
    pins = locked(version)
    for need in needs:
        assert canonicalize_name(need.name) in pins, f"{need} is not locked: run tools/lock"
        assert pins[canonicalize_name(need.name)] in need.specifier, f"{need} is locked otherwise: run tools/lock"


def is_as_locked(name, pins):
    """Whether this environment has the locked version: others, as in tools/test --lowest, may need other packages."""
    try:
        return metadata.version(name).partition("+")[0] == pins[canonicalize_name(name)]
    except metadata.PackageNotFoundError:
        return False


def test_the_lock_names_every_package_that_the_tests_bring():
    pins = locked(".".join(platform.python_version_tuple()[:2]))
    names, waiting = set(), [(need.name, frozenset(need.extras)) for need in declared()]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen or CUDA.match(name):
            continue
        seen.add((name, extras))
        names.add(canonicalize_name(name))
        assert canonicalize_name(name) in pins, f"{name} is not locked: run tools/lock"
        if not is_as_locked(name, pins):
            continue
        for need in map(Requirement, metadata.requires(name) or []):
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                waiting.append((need.name, frozenset(need.extras)))
    assert len(names) > len(declared())


def test_the_lock_names_no_index_and_nothing_of_cuda():
    text = (ROOT / "lock.txt").read_text()
    assert "://" not in text
    assert "--" not in text
    assert not [pin.name for pin in PINS if CUDA.match(pin.name)]


def test_an_environment_is_made_again_when_what_decides_about_it_changes(tmp_path):
    for name in ("pyproject.toml", "lock.txt"):
        (tmp_path / name).write_text("before\n")

    def stamp(requirement="."):
        script = f". {ROOT}/tools/environment; environment_stamp '{requirement}' lock.txt"
        return subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, check=True).stdout

    first = stamp()
    assert stamp() == first
    assert stamp(".[dev]") != first
    for name in ("pyproject.toml", "lock.txt"):
        (tmp_path / name).write_text("after\n")
        assert stamp() != first
        (tmp_path / name).write_text("before\n")


def test_the_gate_explains_itself_and_names_a_python_that_it_does_not_find():
    usage = subprocess.run([ROOT / "tools" / "test", "--help"], capture_output=True, text=True, check=False)
    assert usage.returncode == 2
    assert all(option in usage.stderr for option in ("--python", "--newest", "--lowest"))
    gone = subprocess.run([ROOT / "tools" / "test", "--python", "3.99"], capture_output=True, text=True, check=False)
    assert gone.returncode == 1
    assert gone.stderr == "python3.99: not at hand\n"
