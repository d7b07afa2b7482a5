"""Running a program: no shell, a time limit, and one line about what went wrong."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from vqcodec.errors import AudioError
from vqcodec.system.workers import ending

_LONGEST_LINE = 200


def execute(command: Sequence[str], *, limit_seconds: float, folder: Path) -> float:
    """Run `command` to its end and return the seconds it took; its messages go into a file in `folder`.

    Raises AudioError if it cannot start, fails (with the last line of its stderr) or takes longer than the limit; it
    is then stopped with all that it started.
    """
    name = Path(command[0]).name
    messages = folder / "messages"
    with messages.open("wb") as stderr:
        start = time.perf_counter()
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True
            )
        except (OSError, ValueError) as error:
            raise AudioError(f"{name} does not start: {error}") from None
        try:
            code = process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            raise AudioError(f"{name} was stopped after {limit_seconds:g} s without an end") from None
        finally:
            if process.poll() is None:
                _stop(process)
    if code:
        raise AudioError(f"{name} {ending(code)}: {_last_line(messages)}")
    return time.perf_counter() - start


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and, as it leads a session of its own, its children; on Windows, without sessions, it alone."""
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _last_line(messages: Path) -> str:
    """The last line that is not empty, printable and not too long; progress bars end theirs with a return."""
    with messages.open("rb") as file:
        file.seek(max(0, messages.stat().st_size - 4096))
        text = file.read().decode(errors="replace")
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    line = "".join(letter for letter in lines[-1] if letter.isprintable()) if lines else "no message"
    return line[:_LONGEST_LINE]
