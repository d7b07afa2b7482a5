"""A program whose reader goes away ends quietly, whatever of its output was still in a buffer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "tools"
VARIABLES = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
PROGRAM = """
import sys
from vqcodec.system.pipes import until_unread
def program():
    print("first", flush={flush})
    sys.exit({code})
until_unread(program)
"""


def unread(*command):
    """What becomes of a command whose output nobody reads: its exit code, and what it says."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*map(str, command)], stdout=writing, stderr=subprocess.PIPE, env=VARIABLES, cwd=ROOT, check=False
        )
    finally:
        os.close(writing)
    return done.returncode, done.stderr


@pytest.mark.parametrize("flush", [True, False])
def test_a_program_ends_quietly_when_nobody_reads(flush):
    assert unread(sys.executable, "-c", PROGRAM.format(flush=flush, code=0)) == (1, b"")


def test_a_program_that_is_read_keeps_its_exit_code():
    program = [sys.executable, "-c", PROGRAM.format(flush=False, code=3)]
    done = subprocess.run(program, capture_output=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout.split(), done.stderr) == (3, [b"first"], b"")


@pytest.mark.parametrize("tool", [["layers.py", "tests/golden"], ["conformance_check.py", "--help"]])
def test_tools_end_quietly_when_nobody_reads(tool):
    assert unread(sys.executable, TOOLS / tool[0], *tool[1:]) == (1, b"")


def test_every_tool_that_prints_ends_quietly_when_nobody_reads():
    """conformance_check, which is packed without vqcodec, does the same by itself."""
    programs = [path for path in TOOLS.rglob("*") if path.is_file() and path.suffix in ("", ".py")]
    texts = {path.name: path.read_text(encoding="utf-8") for path in programs}
    printing = {
        name for name, text in texts.items() if "__main__" in text and ("print(" in text or "ArgumentParser" in text)
    }
    assert {name for name in printing if "until_unread(" not in texts[name]} == {"conformance_check.py"}
