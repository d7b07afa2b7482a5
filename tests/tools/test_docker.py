"""The Dockerfile, as far as it can be tested without an engine: linted, and of files that exist."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()


def test_it_copies_what_exists_and_what_docker_is_sent():
    copied = [name for line in re.findall(r"^COPY (?!--)(.*) \S+$", TEXT, re.M) for name in line.split()]
    assert {"pyproject.toml", "lock.txt", "vqcodec"} <= set(copied)
    assert all((ROOT / name).exists() for name in copied)
    sent = re.findall(r"^!(.*)", (ROOT / ".dockerignore").read_text(), re.M)
    assert sorted(copied) == sorted(sent)


def test_it_installs_from_the_lock_and_runs_as_nobody_special():
    assert "PIP_CONSTRAINT=/source/lock.txt" in TEXT
    assert TEXT.index("PIP_CONSTRAINT") < TEXT.index("pip install", TEXT.index("RUN"))
    assert re.findall(r"^(?:USER|ENTRYPOINT) .*", TEXT, re.M) == ["USER 1000", 'ENTRYPOINT ["vqcodec"]']


def test_the_linter_finds_nothing():
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
