"""The shape of the code: where things are, as docstrings and docs/architecture.md say, and how large they get."""

import ast
import re
import statistics
from collections import Counter
from pathlib import Path

import pytest

from vqcodec.tokens.run import Options
from vqcodec.tokens.work.messages import Workers

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "vqcodec"
MODULES = sorted(PACKAGE.rglob("*.py"))
TOOLS = sorted((ROOT / "tools").rglob("*.py"))
PACKAGES = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))


def source_of(path):
    return path.read_text(encoding="utf-8")


def functions():
    """Every function of the package with its module."""
    for path in MODULES:
        for node in ast.walk(ast.parse(source_of(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def bound_names(tree):
    """Names of locals, parameters, comprehension variables and module variables; fields of classes are none."""
    fields = {
        target
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        for target in [getattr(statement, "target", None), *getattr(statement, "targets", ())]
    }
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) if node not in fields:
                yield name
            case ast.arg(arg=name) | ast.alias(asname=str(name)):
                yield name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name


def identifiers(tree):
    """All names but those of modules in imports."""
    for node in ast.walk(tree):
        for kind, field in ((ast.Name, "id"), (ast.Attribute, "attr"), (ast.alias, "name"), (ast.keyword, "arg")):
            if isinstance(node, kind):
                yield getattr(node, field) or ""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
    yield from bound_names(tree)


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
    for name in ("Wave", "Codes", "StoredCodes", "Scales", "State"):
        assert [path.name for path in MODULES if re.search(rf"^{name}\b.*=", source_of(path), re.MULTILINE)] == [
            "arrays.py"
        ]
    again = [
        path.name
        for path in MODULES
        if re.search(r"^\w+(: TypeAlias)? = NDArray\[np\.(float32|uint16)\]", source_of(path), re.MULTILINE)
    ]
    assert again == ["arrays.py"]


VAGUE = {"place", "number", "own", "one"}


@pytest.mark.parametrize(
    "source",
    [
        "place = 1",
        "def f(place): ...",
        "def f(*, place=1): ...",
        "lambda place: 1",
        "[0 for place in x]",
        "f(place := 1)",
        "for i, (place, _) in x: ...",
        "with x as place: ...",
        "try: ...\nexcept OSError as place: ...",
        "import x as place",
        "match x:\n    case [place, *_]: ...",
        "class A:\n    def f(self):\n        place: int = 1",
    ],
)
def test_names_are_found_however_they_are_bound(source):
    assert "place" in bound_names(ast.parse(source))


def test_no_name_is_a_word_of_many_meanings():
    assert "number" not in bound_names(ast.parse("class Packet:\n    number: int\n    place = 1"))
    for path in (*MODULES, *TOOLS):
        vague = VAGUE.intersection(bound_names(ast.parse(source_of(path))))
        assert not vague, f"{path.relative_to(ROOT)}: {', '.join(vague)}: of what? Say what it is"


def test_a_part_has_no_two_classes_of_one_name():
    names = Counter(
        (path.relative_to(PACKAGE).parts[0], node.name)
        for path in MODULES
        for node in ast.parse(source_of(path)).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_foreign_are_the_files_of_other_tools():
    users = set()
    for path in (*MODULES, *TOOLS):
        if any("foreign" in name.lower() for name in identifiers(ast.parse(source_of(path)))):
            users.add(path)
    folder = PACKAGE / "files" / "foreign"
    assert folder / "codes.py" in users
    for path in users:
        assert folder in path.parents or "vqcodec.files.foreign" in source_of(path), path


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


def test_an_option_of_tokenize_crosses_few_signatures():
    """Those whose names are used for nothing else; the command line, and what obeys, with objects between."""
    words = {"model", "kbps", "num_codebooks", "format", "shard", "count", "device"}
    options = {*Options.__annotations__, *Workers.__annotations__} - words
    crossed = Counter(
        name.arg
        for path, node in functions()
        if {"tokens", "datasets"} & set(path.parts)
        for name in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    )
    assert {name: crossed[name] for name in options if crossed[name] > 3} == {}
    assert crossed["run_commands"] == crossed["entropy_coded"] == 2
