"""The gate's check of import directions finds what it should."""

import subprocess
import sys
from pathlib import Path

LAYERS = Path(__file__).parents[2] / "tools" / "layers.py"


def check(package):
    return subprocess.run([sys.executable, LAYERS, package], capture_output=True, text=True, check=False)


def test_imports_up_sideways_and_inside_functions_are_found(tmp_path):
    package = tmp_path / "vqcodec"
    (package / "nn").mkdir(parents=True)
    (package / "nn" / "conv.py").write_text("from vqcodec.errors import VqcodecError\nfrom vqcodec.nn import blocks\n")
    assert check(package).returncode == 0
    (package / "nn" / "conv.py").write_text("def f():\n    from vqcodec import codec\n")
    (package / "audio.py").write_text("import vqcodec.nn.conv\n")
    (package / "novel.py").write_text("")
    result = check(package)
    assert result.returncode == 1
    assert "nn/conv.py:2: nn (floor 2) imports codec" in result.stdout
    assert "audio.py:1: audio (floor 2) imports nn" in result.stdout
    assert "novel has no floor" in result.stdout
