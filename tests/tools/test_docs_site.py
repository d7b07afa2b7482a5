"""tools/docs: the pages become a site, strictly; a link, an anchor or a name that leads nowhere is an error."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import vqcodec
import vqcodec.tokens

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
NAMES = re.findall(r"^::: (\S+)$", REFERENCE, re.MULTILINE)


def build(tree, folder):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [tree / "tools" / "docs", folder]
    return subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)


def test_every_public_name_is_on_the_page_of_names():
    public = {f"{module.__name__}.{name}" for module in (vqcodec, vqcodec.tokens) for name in module.__all__}
    assert public - {"vqcodec.__version__", "vqcodec.VqcodecError"} <= set(NAMES)  # a number, and one of the errors
    assert "vqcodec.errors" in NAMES
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    code = "\n".join(
        text for page in pages for text in re.findall(r"```python\n(?!# vqcodec/)(.*?)```", page.read_text(), re.DOTALL)
    )
    imported = {
        f"{module}.{name.strip()}"
        for module, listed in re.findall(r"^from (vqcodec\S*) import (.+)$", code, re.MULTILINE)
        for name in listed.split(",")
    }
    assert imported <= set(NAMES)


@pytest.mark.slow
def test_the_pages_become_a_site_that_asks_no_network(tmp_path):
    built = build(ROOT, tmp_path / "site")
    assert built.returncode == 0, built.stderr
    assert built.stdout == f"{tmp_path}/site/index.html\n"
    for page in (ROOT / "docs").glob("*.md"):
        shown = (tmp_path / "site" / "docs" / f"{page.stem}.html").read_text(encoding="utf-8")
        assert not re.search(r"<(script|link|img)[^>]+(src|href)=\"?(https?:)?//", shown), page
    shown = (tmp_path / "site" / "docs" / "reference.html").read_text(encoding="utf-8")
    assert [name for name in NAMES if f'id="{name}"' not in shown] == []


@pytest.fixture
def tree(tmp_path):
    """A copy of what the site is made of, with the first names only: the others take most of the time."""
    for name in ("docs", "recipes", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name)
    ignored = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.onnx")
    shutil.copytree(ROOT / "vqcodec", tmp_path / "vqcodec", ignore=ignored)
    for path in (*ROOT.glob("*.md"), ROOT / "mkdocs.yml", ROOT / "CITATION.cff"):
        shutil.copy(path, tmp_path)
    short = REFERENCE.split("## Files")[0]
    (tmp_path / "docs" / "reference.md").write_text(short, encoding="utf-8")
    return tmp_path


LINKS = [
    ("docs/install.md", "[gone](nowhere.md)", "'docs/install.md' contains a link 'nowhere.md'"),
    ("docs/install.md", "[gone](../vqcodec/nowhere.py)", "contains a link '../vqcodec/nowhere.py'"),
    ("README.md", "[gone](docs/policy.md#nowhere)", "'docs/policy.md' does not contain an anchor '#nowhere'"),
    ("docs/unlisted.md", "# Not in the menu", 'not included in the "nav" configuration:\n  - docs/unlisted.md'),
]
"""Pages, what is added to them, and what is said of it."""
NAME = ("docs/reference.md", "::: vqcodec.nowhere", "vqcodec.nowhere could not be found")


@pytest.mark.slow
@pytest.mark.parametrize(("added", "abort"), [(LINKS, "Aborted with 4 warnings"), ([NAME], "Aborted with")])
def test_what_leads_nowhere_fails(tree, added, abort):
    for page, text, _ in added:
        with (tree / page).open("a", encoding="utf-8") as file:
            file.write(f"\n{text}\n")
    built = build(tree, tree / "site")
    assert built.returncode == 1
    assert [said for *_, said in added if said not in built.stderr] == []
    assert abort in built.stdout
    assert "index.html" not in built.stdout
