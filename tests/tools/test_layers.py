"""The gate's check of import directions finds what it should."""

import subprocess
import sys
from pathlib import Path

LAYERS = Path(__file__).parents[2] / "tools" / "layers.py"


def check(package):
    return subprocess.run([sys.executable, LAYERS, package], capture_output=True, text=True, check=False)


def write(package, **files):
    """Modules by dotted name with "__" for the dots."""
    for name, text in files.items():
        path = package.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_imports_up_sideways_and_inside_functions_are_found(tmp_path):
    package = tmp_path / "vqcodec"
    write(package, nn__conv="from vqcodec.errors import VqcodecError\nfrom vqcodec.nn import blocks\n", nn__blocks="")
    assert check(package).returncode == 0
    write(package, nn__conv="def f():\n    from vqcodec import models\n", audio="import vqcodec.nn.conv\n", novel="")
    write(package, cli="from vqcodec import load\nfrom vqcodec.novel import x\n")
    result = check(package)
    assert result.returncode == 1
    assert "nn.conv:2: nn (floor 2) imports models" in result.stdout
    assert "audio:1: audio (floor 2) imports nn" in result.stdout
    assert "novel has no floor" in result.stdout
    assert "cli:2: cli (floor 7) imports novel" in result.stdout
    assert "imports load" not in result.stdout


def test_a_circle_inside_a_part_is_found_however_it_is_imported(tmp_path):
    package = tmp_path / "vqcodec"
    write(
        package,
        tokens__reader="def f():\n    from vqcodec.tokens.streaming import TokenStream\n",
        tokens__streaming="from vqcodec.tokens import rows\n",
        tokens__rows="import vqcodec.tokens.reader\n",
        nn__conv="from vqcodec.nn import blocks\n",
        nn__blocks="from vqcodec.nn.conv import CausalConv1d\n",
    )
    result = check(package)
    assert result.returncode == 1
    assert result.stdout.count("a circle") == 2
    assert all(name in result.stdout for name in ("tokens.reader", "tokens.streaming", "tokens.rows", "nn.blocks"))


def test_what_only_type_checkers_import_may_go_up_but_not_in_a_circle(tmp_path):
    types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "
    up = tmp_path / "up" / "vqcodec"
    write(up, nn__conv=f"{types}from vqcodec.tokens.reader import TokenDataset\n", tokens__reader="")
    assert check(up).returncode == 0
    package = tmp_path / "vqcodec"
    text = f"{types}from vqcodec.tokens.reader import TokenDataset\n"
    write(package, tokens__reader="from vqcodec.tokens import streaming\n", tokens__streaming=text)
    found = check(package)
    assert found.returncode == 1
    assert "tokens.reader" in found.stdout
    assert "a circle" in found.stdout
