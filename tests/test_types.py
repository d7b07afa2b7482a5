"""What mypy tells somebody who installed the package and knows nothing of this tree: types, not Any."""

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import vqcodec
import vqcodec.tokens

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = [README, *(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))]

USES = """\
from typing import Any, assert_type

import numpy as np
import torch
from numpy.typing import NDArray

import vqcodec
import vqcodec.tokens
from vqcodec.models.adapters import Adapter
from vqcodec.files.convert import Summary
from vqcodec.models.onnx_codec import OnnxCodec

Samples = NDArray[np.float32]
codec = vqcodec.load()
assert_type(codec, vqcodec.Codec | Adapter)
assert_type(vqcodec.load_onnx(), OnnxCodec)
assert_type(codec.encode(torch.zeros(1, 1, 320), kbps=3), torch.Tensor)
assert_type(codec.decode(torch.zeros(1, 6, 1, dtype=torch.int64)), torch.Tensor)
assert_type(vqcodec.compress(np.zeros(320, np.float32), 16000), bytes)
assert_type(vqcodec.decompress(b""), tuple[Samples, int])
assert_type(vqcodec.encode_file("a.wav", "a.vqc"), Summary)
assert_type(vqcodec.EncodeSession(codec).push(np.zeros((1, 320), np.float32)), NDArray[np.int64])
assert_type(vqcodec.DecodeSession(vqcodec.load_onnx()).push(None), Samples)
assert_type(vqcodec.packetize(np.zeros((1, 6, 1), np.int64)), list[bytes])
assert_type(vqcodec.Depacketizer().push(b""), list[NDArray[np.uint16] | None])
dataset = vqcodec.tokens.open("tokens")
assert_type(dataset["id"], vqcodec.tokens.TokenizedUtterance)
assert_type(next(iter(dataset.stream(shuffle_seed=0))).codes, NDArray[np.uint16])
assert_type(vqcodec.tokens.Delayed(6, 1024).flatten(dataset[0].codes), NDArray[np.int64])
vqcodec.compress("no samples", 16000)  # WRONG
"""

GIVEN = """\
import numpy as np
import torch
from numpy.typing import NDArray

wave: torch.Tensor
samples: NDArray[np.float32]
"""


def blocks(page):
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)


def public_names():
    """What `__all__` says, and what README and docs import."""
    names = {(module.__name__, name) for module in (vqcodec, vqcodec.tokens) for name in module.__all__}
    imports = re.findall(r"^from (vqcodec\S*) import (.+)$", "\n".join(map("\n".join, map(blocks, DOCS))), re.MULTILINE)
    return sorted(names | {(module, name.strip()) for module, listed in imports for name in listed.split(",")})


@pytest.fixture
def installed(tmp_path):
    """The Python of an environment where the package is installed, and where its dependencies are found."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (tmp_path / "tree").mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / "tree")
    shutil.copytree(ROOT / "vqcodec", tmp_path / "tree" / "vqcodec", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--target", site, tmp_path / "tree"], check=True)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return tmp_path / "venv" / "bin" / "python"


@pytest.mark.slow
def test_a_program_from_outside_sees_types(installed, tmp_path):
    names = public_names()
    assert {("vqcodec", "Codec"), ("vqcodec.tokens", "open"), ("vqcodec.training.config", "load_run_config")} <= set(
        names
    )
    modules = sorted({module for module, _ in names})
    reveal = [f"import {module}" for module in modules] + [f"reveal_type({'.'.join(name)})" for name in names]
    programs = {"uses.py": USES, "names.py": "\n".join(reveal)}
    # As where transformers is not installed, which is an extra: it took mypy as long as all others together.
    programs |= {"mypy.ini": "[mypy]\n[mypy-transformers.*]\nfollow_imports = skip\n"}
    programs |= {f"readme{number}.py": GIVEN + block for number, block in enumerate(blocks(README))}
    (tmp_path / "client").mkdir()
    for name, program in programs.items():
        (tmp_path / "client" / name).write_text(program, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", installed]
    command += [name for name in programs if name.endswith(".py")]
    command += ["--cache-dir", ROOT / ".mypy_cache" / "outside"]  # what torch and numpy are is the same every time
    # No variables: PYTHONPATH may lead to the tree, whose sources mypy would take without a py.typed.
    said = subprocess.run(command, cwd=tmp_path / "client", env={}, capture_output=True, text=True, check=False).stdout
    wrong = 1 + USES.splitlines().index('vqcodec.compress("no samples", 16000)  # WRONG')
    errors = [line for line in said.splitlines() if ": error: " in line]
    assert [line.split(": error:")[0] for line in errors] == [f"uses.py:{wrong}"], said
    revealed = re.findall(r"^names\.py:\d+: note: Revealed type is \"(.*)\"$", said, re.MULTILINE)
    assert len(revealed) == len(names)
    untyped = [name for name, kind in zip(names, revealed, strict=True) if re.search(r"(^|-> )Any$", kind)]
    assert untyped == []
