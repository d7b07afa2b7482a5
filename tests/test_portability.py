"""What needs no Unix does without it: the commands run where the names are gone that Windows does not have."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from vqcodec.errors import OutputError
from vqcodec.tokens.lock import LOCK, locked

# Python runs sitecustomize.py before anything else, in worker processes as well.
WITHOUT_UNIX = """
import os, signal, sys
for name in ("fcntl", "resource", "termios", "tty", "pty", "pwd", "grp", "syslog"):
    sys.modules[name] = None
for module, names in (
    (signal, "SIGHUP SIGKILL SIGQUIT SIGALRM SIGUSR1 SIGUSR2 SIGCHLD SIGPIPE SIGSTOP SIGCONT alarm setitimer pause "
             "sigwait pthread_kill pthread_sigmask siginterrupt"),
    (os, "fork forkpty killpg setsid getpgid setpgid getpgrp getuid geteuid getgid getegid setuid setresuid "
         "sched_getaffinity sched_setaffinity mkfifo mknod chown lchown fchown nice getloadavg statvfs fstatvfs "
         "openpty pread pwrite posix_fadvise sendfile set_blocking get_blocking O_NONBLOCK O_NOFOLLOW O_DIRECTORY"),
):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
"""

IMPORT_ALL = """
import importlib, pkgutil, vqcodec
names = {found.name for found in pkgutil.walk_packages(vqcodec.__path__, "vqcodec.")} - {"vqcodec.__main__"}
for name in names:
    importlib.import_module(name)
print(len(names))
"""


@pytest.fixture
def run(tmp_path):
    """Function: run Python with arguments, without Unix; returns what it prints."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(WITHOUT_UNIX)
    paths = os.pathsep.join([str(tmp_path / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])

    def run(*arguments):
        command = [sys.executable, *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": paths}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_names_are_gone(run):
    program = "import os, signal\ntry: import fcntl\nexcept ModuleNotFoundError: print('gone')\n"
    assert run("-c", program + "print(hasattr(signal, 'SIGHUP'), hasattr(os, 'fork'))") == "gone\nFalse False\n"


def test_every_module_can_be_imported(run):
    assert int(run("-c", IMPORT_ALL)) > 150


@pytest.mark.slow
def test_files_are_coded_without_unix(tmp_path, run, speech_path, speech):
    coded, thinned, wave = tmp_path / "a.vqc", tmp_path / "b.vqc", tmp_path / "a.wav"
    run("-m", "vqcodec", "encode", speech_path, coded, "--kbps", 3)
    assert "speech-16k" in run("-m", "vqcodec", "info", coded)
    run("-m", "vqcodec", "verify", coded)
    run("-m", "vqcodec", "thin", coded, thinned, "--kbps", 1.5)
    assert thinned.stat().st_size < 0.7 * coded.stat().st_size
    run("-m", "vqcodec", "decode", coded, wave)
    decoded, rate_hz = soundfile.read(wave, dtype="float32")
    assert (len(decoded), rate_hz) == (len(speech), 16000)
    assert np.corrcoef(decoded, speech)[0, 1] > 0.5


def test_a_folder_is_tokenized_without_unix(tmp_path, run, speech_path):
    out = tmp_path / "tokens"
    run("-m", "vqcodec", "tokenize", speech_path, out, "--kbps", "1.5", "--workers", 1, "--format", "npy")
    run("-m", "vqcodec", "tokenize", speech_path, out, "--kbps", "1.5", "--workers", 1, "--format", "npy", "--resume")
    (codes,) = out.rglob("*.npy")
    assert np.load(codes).shape[0] == 3
    assert not (out / LOCK).exists()


def test_a_folder_is_held_by_one_run_where_folders_cannot_be_locked(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    others = pytest.raises(OutputError, match="another run is at work")
    with locked(tmp_path, alone=False), others, locked(tmp_path, alone=False):
        pass
    with locked(tmp_path, alone=True):
        pass
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="cannot write"), locked(tmp_path / "absent", alone=True):
        pass
