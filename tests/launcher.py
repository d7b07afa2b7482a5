"""Starts programs in forks of one process that has imported torch and other packages that are slow to import.

`python tests/launcher.py FOLDER PID` returns when that process is there, which ends with the process PID. It makes the
programs `vqcodec` and `python` (-c, -m or a script) in FOLDER; packages of one's own may follow. Each hands over what
a process inherits (arguments, folder, variables, open files, umask, ignored signals), passes signals on and ends as
the fork does. A fork runs the true script, with modules of vqcodec that it imports itself, and starts processes of
multiprocessing in the same way. Other than in a process of its own, torch has one thread and is imported, as is what
else PACKAGES names, and hubs are offline. What is about a start (imports, packages that are missing, SIGKILL, limits)
is for real ones.
"""

import atexit
import contextlib
import fcntl
import gc
import importlib
import logging
import marshal
import os
import runpy
import select
import signal
import socket
import sys
import threading
import types
from multiprocessing import process, spawn, util
from pathlib import Path

PACKAGES = """
numpy click pydantic yaml soundfile soxr torch torch.utils.tensorboard safetensors.torch scipy.signal matplotlib.pyplot
rich.progress jinja2 pesq pystoi pyloudnorm visqol lightning_fabric transformers.models.encodec.modeling_encodec
"""
"""Those that start no thread when they are imported, which a fork would not have; any may be missing."""
CLIENT = """\
#!{python} -IS
import marshal, os, signal, socket, sys

signals = {{signal.SIGINT, signal.SIGTERM, signal.SIGHUP}}
ignored = {{number for number in signals if signal.getsignal(number) is signal.SIG_IGN}}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # until there is whom to pass them on to
files = [number for number in range(250) if os.path.exists(f"/proc/self/fd/{{number}}")]
here, umask = os.path.dirname(os.path.abspath(__file__)), os.umask(0)
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.connect(here + "/socket")
arguments = {program} + sys.argv[1:]
inherited = arguments, os.getcwd(), dict(os.environ), files, umask, [*map(int, ignored)], here + "/python"
socket.send_fds(server, [marshal.dumps(inherited)], files)
for number in files:
    os.close(number)
pid = int(server.recv(16))


def pass_on(number, _):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


for number in signals - ignored:
    signal.signal(number, pass_on)
signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
code = os.waitstatus_to_exitcode(int(server.recv(16)))
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""
PATH = sys.path[1:]
ENCODINGS = [(stream.encoding, stream.errors) for stream in (sys.stdin, sys.stdout, sys.stderr)]
MOST_FILES = 512
"""The numbers of files that a program inherits are below; those on their way to them are above."""


def main(folder, pid, packages):
    for name in packages:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    assert len(os.listdir("/proc/self/task")) == 1, "a thread was started by an import"
    gc.freeze()  # a collection in a fork would touch, and so copy, every page
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{folder}/socket")
        listener.listen(64)
        for name, program in (("vqcodec", [str(Path(sys.executable).parent / "vqcodec")]), ("python", [])):
            path = Path(folder) / name
            path.write_text(CLIENT.format(python=sys.executable, program=program))
            path.chmod(0o755)
        if os.fork() == 0:
            serve(listener, os.pidfd_open(pid))


def serve(listener, watched):
    """Fork for each connection, until the process `watched` has ended."""
    while watched not in select.select([listener, watched], [], [])[0]:
        connection = listener.accept()[0]
        if os.fork() == 0:
            launch(connection)
        connection.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    os._exit(0)


def launch(connection):
    """Tell the client the number of the process that becomes its program, and how that ended."""
    pid = os.fork()
    if pid == 0:
        become(connection)
    with contextlib.suppress(OSError):  # who asked has gone
        connection.send(b"%d" % pid)
        connection.send(b"%d" % os.waitpid(pid, 0)[1])
    os._exit(0)


def become(connection):
    """Take on what the client hands over, and run its program to the end of this process."""
    message, received, *_ = socket.recv_fds(connection, 1 << 20, 250)
    arguments, folder, variables, files, umask, ignored, python = marshal.loads(message)
    above = [fcntl.fcntl(number, fcntl.F_DUPFD, MOST_FILES) for number in received]
    os.closerange(0, MOST_FILES)
    for given, number in zip(above, files, strict=True):
        os.dup2(given, number)
    os.closerange(MOST_FILES, 2 * MOST_FILES)
    os.chdir(folder)
    os.umask(umask)
    os.environ.clear()
    os.environ.update(variables)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        handler = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in ignored else handler)
    for number, name, mode in (0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"):
        buffering = 1 if name == "stderr" else -1
        stream = os.fdopen(number, mode, buffering, *ENCODINGS[number], closefd=False) if number in files else None
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    process.ORIGINAL_DIR = folder
    spawn.set_executable(python)  # so that worker processes, and the process that they are forks of, come from here too
    atexit._clear()  # what packages leave to the end is for the one process that has imported them
    atexit.register(logging.shutdown)
    atexit.register(util._exit_function)
    code = code_of(arguments)
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        if not stream.closed:
            try:
                stream.flush()
            except OSError:
                code = 120
    os._exit(code)  # what is left of the end of a process takes seconds, since it touches every page


def code_of(arguments):
    """Run a program as `python` with these arguments does; returns its exit code."""
    try:
        run(arguments)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        print(end.code, file=sys.stderr)
    except KeyboardInterrupt:
        sys.excepthook(*sys.exc_info())
        return 128 + signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
    else:
        return 0
    return 1


def run(arguments):
    kind, *rest = arguments
    first = {"-c": "", "-m": os.getcwd()}.get(kind, os.path.dirname(os.path.realpath(kind)))
    paths = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = [first, *map(os.path.abspath, paths), *PATH]
    if kind == "-c":
        sys.argv = [kind, *rest[1:]]
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(rest[0], vars(sys.modules["__main__"]))
    elif kind == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:] or PACKAGES.split())
