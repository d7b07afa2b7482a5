"""Watched processes: what they do comes back, and how they die is told."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import deque

import pytest

from vqcodec.errors import AudioError, WorkerError
from vqcodec.system.workers import Event, Pool, ending


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-signal.SIGSEGV, "crashed (SIGSEGV)"),
        (-signal.SIGABRT, "crashed (SIGABRT)"),
        (-signal.SIGKILL, "was killed (SIGKILL), perhaps for lack of memory"),
        (-signal.SIGTERM, "was ended (SIGTERM)"),
        (-(signal.SIGRTMIN + 3), f"was ended (signal {signal.SIGRTMIN + 3})"),
        (3, "ended with exit code 3"),
        (0xC0000005, "crashed (0xC0000005)"),
    ],
)
def test_an_ending_is_told_by_name(code, words):
    assert ending(code) == words


def test_an_ending_is_that_of_a_real_process():
    source = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    assert ending(subprocess.run([sys.executable, "-c", source], check=False).returncode) == "crashed (SIGSEGV)"


def _make(factor):
    def work(task, say):
        say("begun")
        if task == "threads":
            return os.environ["THREADS_OF_A_TEST"]
        if task == "error":
            raise AudioError("the reason")
        if task == "address 0":
            ctypes.string_at(0)
        if isinstance(task, signal.Signals):
            os.kill(os.getpid(), task)
        return factor * task

    return work


def pool(size=2, **options):
    return Pool(_make, (3,), size=size, name="test", **options)


def results(size, tasks, **options):
    with pool(size, **options) as some:
        return [event.value for event in some.run(deque(tasks)) if event.is_done]


def test_every_task_is_done_once():
    assert sorted(results(2, range(20))) == [3 * task for task in range(20)]


def test_deaths_are_told_of_their_task_and_the_others_are_done():
    tasks = [1, signal.SIGSEGV, 2, signal.SIGKILL, "address 0", 3]
    with pool() as some:
        events = list(some.run(deque(tasks)))
    deaths = {event.task: event.death for event in events if event.death is not None}
    assert deaths == {
        signal.SIGSEGV: "crashed (SIGSEGV)",
        signal.SIGKILL: "was killed (SIGKILL), perhaps for lack of memory",
        "address 0": "crashed (SIGSEGV)",
    }
    assert [event.value for event in events if event.is_done] == [3, 6, 9]
    assert [event.task for event in events if event == Event(event.task, "begun")].count(signal.SIGSEGV) == 1


def test_a_task_that_is_put_back_is_done_again():
    waiting, tries = deque([signal.SIGSEGV]), []
    with pool(1) as some:
        for event in some.run(waiting):
            if event.death is not None:
                tries.append(event.task)
                waiting.append(signal.SIGSEGV if len(tries) < 3 else 7)
    assert (len(tries), event) == (3, Event(7, 21, is_done=True))


def test_an_error_of_ours_is_raised_here():
    with pytest.raises(AudioError, match="the reason"):
        results(1, ["error", 1])


def test_a_variable_reaches_the_processes_alone():
    assert results(1, ["threads"], environment={"THREADS_OF_A_TEST": "5"}) == ["5"]
    assert "THREADS_OF_A_TEST" not in os.environ


def test_processes_that_die_while_they_start_end_it():
    why = r"die while they start: the last of 3 crashed \(SIGABRT\)"
    with Pool(os.abort, (), size=2, name="test") as some, pytest.raises(WorkerError, match=why):
        list(some.run(deque([1, 2])))


def test_ctrl_c_while_processes_begin_prints_nothing_of_theirs(tmp_path):
    (tmp_path / "slow_import.py").write_text("import os, time\nos.write(1, b'begun\\n')\ntime.sleep(1)\n")
    (tmp_path / "main.py").write_text(
        "from collections import deque\nfrom vqcodec.system import workers\n"
        "def make():\n    return lambda task, say: task\n"
        "if __name__ == '__main__':\n"
        "    with workers.Pool(make, (), size=1, name='test', imports=['slow_import']) as pool:\n"
        "        list(pool.run(deque([1])))\n"
    )
    command, streams = [sys.executable, "main.py"], {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, text=True, start_new_session=True, **streams) as process:
        assert process.stdout.readline() == "begun\n"
        os.killpg(process.pid, signal.SIGINT)
        told = process.communicate(timeout=60)[1]
    assert process.returncode != 0
    assert told.count("Traceback") == 1, "that of the program itself, which catches nothing"


def test_processes_end_with_their_parent_even_if_it_is_killed(tmp_path):
    """The parent writes the ids of its workers, which then wait for ever; it is killed without a chance to end them."""
    (tmp_path / "parent.py").write_text(
        "import os, time\nfrom collections import deque\nfrom vqcodec.system.workers import Pool\n"
        "def make():\n    return lambda task, say: (say(os.getpid()), time.sleep(600))\n"
        "if __name__ == '__main__':\n"
        "    with Pool(make, (), size=2, name='test') as pool:\n"
        "        for event in pool.run(deque([1, 2])):\n            print(event.value, flush=True)\n"
    )
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, text=True)
    ids = [int(parent.stdout.readline()) for _ in range(2)]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 30
    while any(_runs(one) for one in ids):
        assert time.monotonic() < end, "workers outlive their parent"
        time.sleep(0.05)


def _runs(process_id):
    """Whether it does, and is no zombie that nobody has taken note of."""
    status = ["ps", "-o", "stat=", str(process_id)]
    return subprocess.run(status, capture_output=True, text=True, check=False).stdout[:1] not in ("Z", "")
