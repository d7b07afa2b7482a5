"""The wheel and the sdist: what an index takes, what they hold, and a clip through the wheel where nothing else is."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ONNX = ROOT / "requirements-onnx.txt"
FOLDERS = ("docs", "recipes", "tests", "tools", "vqcodec")
LEFT = shutil.ignore_patterns(".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info", *(
    "build", "dist", "runs", "demo",
))  # fmt: skip


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def within(names, *folders):
    return {name for name in names if name.startswith(tuple(f"{folder}/" for folder in folders))}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy without what was made in the tree: building writes into it."""
    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("tree") / "vqcodec", ignore=LEFT))


@pytest.fixture(scope="module")
def built(tree):
    """The sdist, and the wheel that is built from it and not from the tree."""
    before = files(tree)
    command = [sys.executable, "-m", "build", "--outdir", tree / "dist", tree]
    subprocess.run(command, env=outside(), capture_output=True, check=True)
    (sdist,), (wheel,) = (tree / "dist").glob("*.tar.gz"), (tree / "dist").glob("*.whl")
    return before, sdist, wheel


def outside(constraints=ROOT / "lock.txt"):
    """The variables of a shell that does not see the tree, whose pip takes versions from the file."""
    seen = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**seen, "PIP_CONSTRAINT": str(constraints), "PIP_BUILD_CONSTRAINT": str(constraints)}


def test_the_requirements_without_torch_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = re.findall(r"^[^#\n].*", ONNX.read_text(), re.MULTILINE)
    base = {need for need in project["dependencies"] if not need.startswith(("torch", "pydantic", "pyyaml"))}
    assert set(listed) == base | set(project["optional-dependencies"]["onnx"])


def test_every_file_of_the_package_that_is_no_module_is_declared():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    globs = [f"{package.replace('.', '/')}/{glob}" for package, all_globs in declared.items() for glob in all_globs]
    taken = {path for glob in globs for path in ROOT.glob(glob)}
    others = {path for path in (ROOT / "vqcodec").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert others == taken
    assert ROOT / "vqcodec" / "evaluation" / "codecs" / "rivals" / "opus_ml.mjs" in taken


def test_what_the_package_imports_of_scipy_is_in_the_extras_that_need_it():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    users = {path.relative_to(ROOT / "vqcodec").parts[0] for path in (ROOT / "vqcodec").rglob("*.py")
             if re.search(r"^\s*(from|import) scipy\b", path.read_text(), re.MULTILINE)}  # fmt: skip
    assert users == {"metrics", "evaluation"}, "the parts behind the extras train, judges and eval"
    for extra in ("train", "eval"):
        assert any(re.match(r"scipy\b", need) for need in extras[extra]), extra


@pytest.mark.slow
def test_an_index_would_take_them(built):
    command = [sys.executable, "-m", "twine", "check", "--strict", *built[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED") == 2


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_the_sdist_the_tree(built):
    before, sdist, wheel = built
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    assert {name for name in held if ".dist-info/" not in name} == within(before, "vqcodec")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert within(before, *FOLDERS) <= held
    beside = {name for name in before if "/" not in name} - {".gitignore"}
    assert {"lock.txt", "constraints.txt", "requirements-onnx.txt", "LICENSE", "Dockerfile"} <= beside & held


def other_python(version):
    script = f". tools/environment; other_python {version}"
    found = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or pytest.skip(f"python{version}: not at hand")


@pytest.mark.slow
@pytest.mark.parametrize(("version", "lowest"), [("", False), ("", True), ("3.12", False), ("3.13", False)])
def test_a_clip_goes_through_the_wheel_in_an_environment_that_has_nothing(
    built, tmp_path, speech_path, version, lowest
):
    """Without torch, as the README says; in the locked versions and in the lowest that are allowed."""
    constraints = ROOT / "lock.txt"
    if lowest:
        constraints = tmp_path / "lowest.txt"
        constraints.write_text(ONNX.read_text().replace(">=", "=="))
    creator = other_python(version) if version else sys.executable
    run = {"cwd": tmp_path, "env": outside(constraints), "text": True}
    # Neither a pip of its own nor compiled: a third of the time, most of it for modules that nothing imports.
    subprocess.run([creator, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True, **run)
    python = tmp_path / "bare" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    pip += ["install", "--quiet", "--no-compile"]
    subprocess.run([*pip, "-r", ONNX], check=True, **run)
    subprocess.run([*pip, "--no-deps", built[2]], check=True, **run)
    vqcodec = python.with_name("vqcodec")
    for arguments in (["encode", speech_path, "a.vqc"], ["decode", "a.vqc", "a.wav"]):
        subprocess.run([vqcodec, *arguments], check=True, **run)
    assert (tmp_path / "a.wav").stat().st_size > 100_000
    where = [python, "-c", "import vqcodec; print(vqcodec.__file__)"]
    assert str(tmp_path) in subprocess.run(where, capture_output=True, check=True, **run).stdout
    assert subprocess.run([python, "-c", "import torch"], capture_output=True, check=False, **run).returncode == 1
    torch = [vqcodec, "encode", speech_path, "b.vqc", "--engine", "torch"]
    without = subprocess.run(torch, capture_output=True, check=False, **run)
    assert without.returncode == 1
    assert without.stderr.startswith("Error: the torch engine needs torch; pip install -c lock.txt .")
