"""A program that tests/launcher.py starts finds what it would find in a process of its own, and ends like it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LAUNCHER = Path(__file__).with_name("launcher.py")
FACTS = """
import os, signal, sys
print(__name__, sys.argv, sys.path, os.getcwd(), sorted(os.environ.items()), sys.stdin.read())
print([(stream.encoding, stream.errors, stream.line_buffering) for stream in (sys.stdin, sys.stdout, sys.stderr)])
print([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)])
print([number for number in range(20) if os.path.exists(f"/proc/self/fd/{number}")], sys.stdin.seekable())
print(oct(os.umask(0)), "vqcodec" in sys.modules, sorted({"click", "json", "vqcodec"} & sys.modules.keys()))
"""
"""What a program may know of where it runs."""


def begin(folder, watched):
    """Make a launcher in `folder` that has imported next to nothing, and ends with the process `watched`."""
    if sys.platform != "linux":
        pytest.skip("there it is not used")
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, LAUNCHER, folder, str(watched), "textwrap"], env=variables, check=True)
    return folder


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    return begin(tmp_path_factory.mktemp("launcher"), os.getpid())


@pytest.fixture
def both(started):
    """Function: arguments for Python, and what comes of them in a process of its own and in one that is launched."""

    def start(*arguments, **options):
        options = {"capture_output": True, "text": True, **options}
        return [
            subprocess.run([python, *map(str, arguments)], check=False, **options)
            for python in (sys.executable, started / "python")
        ]

    return start


@pytest.mark.parametrize("kind", ["script", "-c", "-m"])
def test_a_program_finds_what_it_would_find_in_a_process_of_its_own(kind, both, tmp_path):
    (tmp_path / "facts.py").write_text(FACTS)
    start = {"script": ["facts.py"], "-c": ["-c", FACTS], "-m": ["-m", "facts"]}[kind]
    variables = {**os.environ, "NUMBER": "1", "PYTHONPATH": f"{tmp_path}/a{os.pathsep}{tmp_path}/b"}
    variables.pop("PYTHONUNBUFFERED", None)
    read, write = os.pipe()
    os.write(write, b"given")
    own, launched = both(
        *start, "one", "--two", cwd=tmp_path, env=variables, pass_fds=[read], input="given", umask=0o27,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    os.close(read)
    os.close(write)
    assert own.returncode == 0, own.stderr
    assert launched.stdout == own.stdout
    assert launched.stderr == own.stderr == ""


@pytest.mark.parametrize(
    "program",
    [
        "print('done')",
        "import sys; sys.exit(3)",
        "import sys; sys.exit('why')",
        "import os; os._exit(4)",
        "import os; os.abort()",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import atexit, sys; atexit.register(lambda: print('the end', file=sys.stderr)); print('work', end='')",
        "import threading, time; threading.Thread(target=lambda: (time.sleep(0.2), print('late'))).start()",
        "import sys; sys.stdin.close(); sys.stdout.close()",
    ],
)
def test_a_program_ends_as_in_a_process_of_its_own(both, program):
    own, launched = both("-c", program)
    assert (launched.returncode, launched.stdout, launched.stderr) == (own.returncode, own.stdout, own.stderr)


def test_an_exception_is_told(both):
    own, launched = both("-c", "1 / 0")
    assert launched.returncode == own.returncode == 1
    assert launched.stderr.startswith("Traceback")
    assert launched.stderr.splitlines()[-1] == own.stderr.splitlines()[-1]


def test_a_closed_stream_is_closed(both):
    own, launched = both("-c", "import sys; print(sys.stdin)", preexec_fn=lambda: os.close(0))
    assert launched.stdout == own.stdout == "None\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_passed_on(started, number):
    program = (
        "import signal, time; signal.signal(signal.Signals({0}), lambda *_: exit(7)); print('ready', flush=True)\n"
    )
    program = program.format(int(number)) + "while True: time.sleep(0.01)"
    with subprocess.Popen([started / "python", "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.wait(60) == 7


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_processes_of_multiprocessing_are_launched_too(both, method, tmp_path):
    (tmp_path / "work.py").write_text("""
import multiprocessing, os, sys

def tell(number):
    return number, os.getcwd(), "textwrap" in sys.modules and "pickle" in sys.modules, os.environ["GIVEN"]

if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        print(pool.map(tell, range(3)), "textwrap" in sys.modules)
""")
    own, launched = both("work.py", method, cwd=tmp_path, env={**os.environ, "GIVEN": "1"})
    assert own.returncode == 0, own.stderr
    assert launched.stdout == own.stdout.replace("False", "True"), "textwrap is there in each"
    assert launched.stderr == own.stderr


def test_the_command_is_the_script_that_is_installed(started):
    commands = [Path(sys.executable).parent / "vqcodec", started / "vqcodec"]
    assert len({subprocess.run([path, "--version"], capture_output=True, check=True).stdout for path in commands}) == 1


def test_it_ends_with_the_process_that_is_named(tmp_path):
    with subprocess.Popen(["sleep", "600"]) as watched:
        command = [begin(tmp_path, watched.pid) / "python", "-c", ""]
        assert subprocess.run(command, check=False).returncode == 0
        watched.kill()
    for _ in range(600):
        done = subprocess.run(command, capture_output=True, check=False)
        if b"ConnectionRefusedError" in done.stderr:
            break
        time.sleep(0.1)
    else:
        pytest.fail("it goes on")
