import os
import sys

import pytest

from vqcodec.audio.stderr import named_stderr


def test_lines_of_libraries_get_a_name_and_others_do_not(capfd):
    print("before", file=sys.stderr)
    with named_stderr("a.mp3"):
        os.write(2, b"Warning: a frame\n\n[layer3.c:1] error: x\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\na.mp3: Warning: a frame\na.mp3: [layer3.c:1] error: x\nafter\n"


def test_an_error_passes_and_leaves_standard_error_as_it_was(capfd):
    with pytest.raises(ZeroDivisionError), named_stderr("a.mp3"):
        os.write(2, b"half")
        _ = 1 / 0
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "a.mp3: half\nafter\n"
