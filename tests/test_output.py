import contextlib
import errno
import io
import os
import resource
import subprocess
import sys

import pytest

from vqcodec.audio.reader import AudioReader
from vqcodec.bitstream.open_vqc import open_vqc
from vqcodec.errors import OutputError, VqcodecError
from vqcodec.output import atomic_output, check_output, seekable_copy


def test_a_target_appears_only_when_the_block_ends(tmp_path):
    target = tmp_path / "a.bin"
    with atomic_output(target) as path:
        path.write_bytes(b"new")
        assert not target.exists()
        assert path.suffix == ".bin"
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomic_output(target, force=True) as path:
        path.write_bytes(b"half")
        _ = 1 / 0
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_existing_target_needs_force(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    with pytest.raises(OutputError, match="--force"), atomic_output(target):
        pass
    with atomic_output(target, force=True) as path:
        path.write_bytes(b"new")
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("has_links", [True, False])
def test_a_target_that_appears_meanwhile_is_kept(tmp_path, monkeypatch, has_links):
    def link(*_):
        raise OSError(errno.EPERM, "a file system without links")

    if not has_links:
        monkeypatch.setattr("os.link", link)
    target = tmp_path / "a.bin"
    with pytest.raises(OutputError, match="appeared meanwhile, and is kept"), atomic_output(target) as path:
        path.write_bytes(b"new")
        target.write_bytes(b"precious")
    assert target.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [target]
    with atomic_output(tmp_path / "b.bin") as path:
        path.write_bytes(b"new")
    assert (tmp_path / "b.bin").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_link_that_leads_nowhere_exists_already(tmp_path):
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(OutputError, match="exists already"):
        check_output(tmp_path / "link", force=False)


def test_force_keeps_a_link_and_the_mode_of_what_it_replaces(tmp_path):
    real, link = tmp_path / "real.bin", tmp_path / "link.bin"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real.name)
    with atomic_output(link, force=True) as path:
        path.write_bytes(b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert real.stat().st_mode & 0o777 == 0o640
    (tmp_path / "dangling.bin").symlink_to("made.bin")
    with atomic_output(tmp_path / "dangling.bin", force=True) as path:
        path.write_bytes(b"made")
    assert (tmp_path / "made.bin").read_bytes() == b"made"


@pytest.mark.parametrize("name", ["n" * 251 + ".bin", "é" * 125 + ".bin", "🎤" * 62 + ".bin"])
def test_names_may_be_as_long_as_the_file_system_allows(tmp_path, name):
    with atomic_output(tmp_path / name) as path:
        path.write_bytes(b"new")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_input_is_no_target(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"old")
    (tmp_path / "link.bin").symlink_to("a.bin")
    for target in ("a.bin", "link.bin"):
        with pytest.raises(OutputError, match="is the input itself"):
            check_output(tmp_path / target, force=True, source=tmp_path / "a.bin")
    check_output(tmp_path / "b.bin", force=True, source=tmp_path / "a.bin")


def test_content_is_on_the_disk_before_its_name_and_the_name_at_the_end(tmp_path, monkeypatch):
    target, synced = tmp_path / "a.bin", []
    fsync = os.fsync

    def seen(descriptor):
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), target.exists()))
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", seen)
    with atomic_output(target) as path:
        path.write_bytes(b"new")
    assert synced == [(str(path), False), (str(tmp_path), True)]


def test_a_folder_and_a_missing_folder_are_refused(tmp_path):
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path, force=True)
    with pytest.raises(OutputError, match="no folder"):
        check_output(tmp_path / "no" / "a.bin", force=True)


def test_a_read_only_folder_is_refused_before_any_work(read_only_folder):
    with pytest.raises(OutputError, match="read-only"):
        check_output(read_only_folder / "a.bin", force=False)


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old[1]))
    try:
        with pytest.raises(OutputError, match="no space left"), atomic_output(tmp_path / "a.bin") as path:
            path.write_bytes(bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_gets_everything_or_nothing():
    pipe = io.BytesIO()
    with pytest.raises(ZeroDivisionError), atomic_output(pipe, suffix=".vqc") as path:
        path.write_bytes(b"half")
        _ = 1 / 0
    assert pipe.getvalue() == b""
    with atomic_output(pipe, suffix=".vqc") as path:
        path.write_bytes(b"whole")
    assert pipe.getvalue() == b"whole"


def test_a_device_takes_anything():
    with atomic_output("/dev/null") as path:
        path.write_bytes(b"anything")


def test_a_named_pipe_gets_all_of_it_at_the_end(tmp_path):
    pipe = tmp_path / "pipe.bin"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        with atomic_output(pipe) as path:
            path.write_bytes(b"new")
            assert path.stat().st_size == 3
        assert reader.communicate()[0] == b"new"
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_copy_holds_what_was_not_yet_read():
    source = io.BytesIO(b"0123456789")
    source.read(3)
    with seekable_copy(source, lambda head: None) as copy:
        assert copy.read() == b"3456789"


def test_a_pipe_that_comes_in_drops_is_looked_at_as_a_whole():
    class Drops(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 3) if size > 0 else size)

    looks = []
    with seekable_copy(Drops(b"0123456789"), looks.append) as copy:
        assert copy.read() == b"0123456789"
    assert looks == [b"0123456789"]


class Endless(io.RawIOBase):
    """A pipe that never ends, of which more than a megabyte is not wanted by anybody."""

    name = "pipe"

    def __init__(self):
        self.taken = 0

    def readable(self):
        return True

    def readinto(self, buffer):
        self.taken += len(buffer)
        assert self.taken < 1 << 20
        buffer[:] = b"y" * len(buffer)
        return len(buffer)


@pytest.mark.parametrize("opened", [open_vqc, lambda pipe: contextlib.closing(AudioReader(pipe))])
def test_a_pipe_is_looked_at_before_it_is_copied(opened):
    with pytest.raises(VqcodecError, match=r"standard input: (not a \.vqc|no audio)"), opened(Endless()):
        pass


@pytest.mark.skipif(os.name == "nt", reason="no locks of this kind")
def test_what_a_killed_run_left_is_removed_by_the_next_and_no_file_of_another(tmp_path):
    target = tmp_path / "long.name.vqc"
    kill = f"""
import os
from vqcodec.output import atomic_output
with atomic_output({str(target)!r}) as path:
    path.write_bytes(b"half")
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", kill], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".long.name.")
    for name in (".long.name.1234567.vqc", ".long.name.12345678.wav", ".other.12345678.vqc"):
        (tmp_path / name).write_bytes(b"")
    with atomic_output(target) as held:
        assert not left.exists()
        held.write_bytes(b"one")
        again = f"""
from vqcodec.output import atomic_output
with atomic_output({str(target)!r}) as path:
    path.write_bytes(b"two")
"""
        subprocess.run([sys.executable, "-c", again], check=True)  # which leaves the file that is held alone
        assert held.read_bytes() == b"one"
        target.unlink()
    assert target.read_bytes() == b"one"
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("path", ["n" * 300, "/".join(["d" * 200] * 25), "a\0b"])
def test_a_path_that_the_system_does_not_take_is_our_own_error(tmp_path, path):
    with pytest.raises(OutputError, match="too long for a name or path; give a shorter one|is no path"):
        check_output(tmp_path / path, force=True)
    with pytest.raises(VqcodecError, match="give a"):
        AudioReader(tmp_path / path)
    with pytest.raises(VqcodecError, match="give a"), open_vqc(tmp_path / path):
        pass
