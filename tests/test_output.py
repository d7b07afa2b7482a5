import io
import resource

import pytest

from vqcodec.errors import OutputError
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


def test_a_device_is_written_directly():
    with atomic_output("/dev/null") as path:
        path.write_bytes(b"anything")


def test_a_copy_holds_what_was_not_yet_read():
    source = io.BytesIO(b"0123456789")
    source.read(3)
    with seekable_copy(source) as copy:
        assert copy.read() == b"3456789"
