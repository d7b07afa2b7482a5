"""The front door: what `import vqcodec` costs and names, former names included."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import vqcodec


def test_importing_the_package_imports_neither_torch_nor_numpy():
    program = "import sys, vqcodec; print(sorted({'torch', 'numpy', 'soundfile'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_every_public_name_is_there_and_documented():
    assert list(vqcodec.__all__) == sorted(vqcodec.__all__)
    for name in vqcodec.__all__:
        assert getattr(vqcodec, name) is getattr(vqcodec, name)
        assert name == "__version__" or getattr(vqcodec, name).__doc__
    assert set(dir(vqcodec)) == set(vqcodec.__all__)


def test_every_package_has_what_it_lists():
    for path in sorted(Path(vqcodec.__file__).parent.rglob("__init__.py")):
        module = importlib.import_module(".".join(path.parent.relative_to(Path(vqcodec.__file__).parents[1]).parts))
        assert all(hasattr(module, name) for name in getattr(module, "__all__", ())), module


def test_other_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="transmogrify"):
        vqcodec.transmogrify  # noqa: B018


@pytest.mark.parametrize(
    ("former", "now", "name"),
    [
        ("vqcodec.adapters", "vqcodec.models.adapters", "ADAPTERS"),
        ("vqcodec.architecture", "vqcodec.models.architecture", "CODEBOOKS"),
        ("vqcodec.config", "vqcodec.training.config", "load_run_config"),
    ],
)
def test_modules_that_moved_warn_and_are_what_they_were(former, now, name, monkeypatch):
    monkeypatch.delitem(sys.modules, former, raising=False)
    with pytest.warns(DeprecationWarning, match=f"{former} is {now} now") as warned:
        module = importlib.import_module(former)
    assert getattr(module, name) is getattr(importlib.import_module(now), name)
    with pytest.raises(AttributeError, match="transmogrify"):
        module.transmogrify  # noqa: B018
    assert len(warned) == 1
    with pytest.raises(ModuleNotFoundError, match="is not a package"):
        importlib.import_module(f"{former}.mimi")
    names = {}
    exec(f"from {former} import *", names)
    assert names[name] is getattr(module, name)
