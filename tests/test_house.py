"""The shape of the code: where things are, as docstrings and docs/architecture.md say, and how large they get."""

import ast
import re
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "vqcodec"
MODULES = sorted(PACKAGE.rglob("*.py"))
PACKAGES = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))


def source_of(path):
    return path.read_text(encoding="utf-8")


def functions():
    """Every function of the package with its module."""
    for path in MODULES:
        for node in ast.walk(ast.parse(source_of(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def flat(folder):
    return [path for path in folder.glob("*.py") if path.name != "__init__.py"]


def test_the_top_level_has_few_modules_and_no_package_has_many():
    assert len([path for path in flat(PACKAGE) if path.name != "__main__.py"]) <= 6
    for folder in PACKAGES:
        assert len(flat(folder)) <= 14, folder


def test_functions_are_short_and_ask_for_few_things():
    lengths = []
    for path, node in functions():
        where = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        lengths.append(node.end_lineno - node.lineno + 1)
        assert lengths[-1] <= 60, where
        if "cli" not in path.parts:
            names = [name.arg for name in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            assert len([name for name in names if name not in ("self", "cls")]) <= 8, where
    assert len(lengths) > 1000
    assert statistics.median(lengths) <= 7


@pytest.mark.parametrize("pattern", [r"-\(-", r"\bceil\(", r"- 1\) //"])
def test_only_frames_rounds_up(pattern):
    found = {
        path.name
        for path in MODULES
        if re.search(pattern, re.sub(r'""".*?"""|#.*', "", source_of(path), flags=re.DOTALL))
    }
    assert found <= {"frames.py"}


def test_types_of_arrays_stand_once():
    for name in ("Wave", "Codes", "StoredCodes", "Scales"):
        assert [path.name for path in MODULES if re.search(rf"^{name}\b.*=", source_of(path), re.MULTILINE)] == [
            "arrays.py"
        ]
    again = [
        path.name
        for path in MODULES
        if re.search(r"^\w+(: TypeAlias)? = NDArray\[np\.(float32|uint16)\]", source_of(path), re.MULTILINE)
    ]
    assert again == ["arrays.py"]


def test_audio_is_the_door_of_sound_for_all_that_codes():
    opened = {
        path.relative_to(PACKAGE).parts[0]
        for path in MODULES
        if re.search(r"^\s*(import|from) (soundfile|soxr)\b", source_of(path), re.MULTILINE)
    }
    assert opened == {"audio", "evaluation", "metrics", "training"}


def test_tests_have_the_folders_of_the_package_and_say_what_they_test():
    others = {"data", "golden", "recipes", "tools"}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        folder = PACKAGE / path.parent.relative_to(ROOT / "tests")
        if others & set(path.relative_to(ROOT / "tests").parts):
            continue
        assert folder.is_dir(), path
        names_a_module = (folder / path.name.removeprefix("test_")).exists()
        assert names_a_module or ast.get_docstring(ast.parse(source_of(path))), f"{path}: of what?"
    for folder in PACKAGES:
        assert list((ROOT / "tests" / folder.relative_to(PACKAGE)).rglob("test_*.py")), f"{folder} has no tests"
