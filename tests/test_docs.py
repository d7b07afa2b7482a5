"""What docs/ says is so: its commands run, its Python runs, its links lead somewhere.

A block marked "no-test" needs a network.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))


def text_of(page):
    return page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run_in_their_order(page, tmp_path, speech_path, toy_weights, monkeypatch):
    shutil.copy(speech_path, tmp_path / "speech.wav")
    shutil.copy(toy_weights, tmp_path / "mine.safetensors")
    monkeypatch.chdir(tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    blocks = re.findall(r"```(sh|python)\n(.*?)```", text_of(page), re.DOTALL)
    assert blocks
    for language, block in blocks:
        if language == "python":
            exec(block, {})
            continue
        script = block.replace("decode speech.vqc speech.wav", "decode speech.vqc speech.wav --force")
        environment = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1"}
        result = subprocess.run(["bash", "-ec", script], env=environment, capture_output=True, check=False)
        assert result.returncode == 0, result.stderr.decode()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_linked_and_marks_only_what_needs_a_network(page):
    assert f"](docs/{page.name})" in (ROOT / "README.md").read_text(encoding="utf-8")
    languages = re.findall(r"^```(.+)$", text_of(page), re.MULTILINE)
    assert set(languages) <= {"sh", "python", "python no-test"}
    for block in re.findall(r"```python no-test\n(.*?)```", text_of(page), re.DOTALL):
        compile(block, str(page), "exec")
        assert "huggingface_hub" in block
