"""tools/demo on the bundled clip and on a user's, in an environment that is there already."""

import subprocess
from pathlib import Path

import pytest
import soundfile

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tree(tmp_path, launcher):
    """A copy of the tree whose .venv is there already, with the programs of the tests."""
    for name in ("tools", "tests", "pyproject.toml", "lock.txt"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(launcher)
    script = ". tools/environment; environment_stamp . lock.txt"
    stamp = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, check=True)
    (tmp_path / ".venv" / "stamp").write_bytes(stamp.stdout)
    return tmp_path


@pytest.mark.slow
def test_the_demo_prints_rates_and_leaves_files(tree, speech, speech_path):
    result = subprocess.run([tree / "tools" / "demo"], capture_output=True, text=True, check=True)
    assert "using the environment .venv" in result.stdout
    assert f"{tree}/demo/" in result.stdout
    for kbps in ("1.5", "3", "6"):
        assert f"demo/{kbps}-kbps.vqc: 0:00:05.14" in result.stderr
        assert soundfile.info(tree / "demo" / f"{kbps}-kbps.wav").frames == len(speech)
    other = speech_path.parent / "kerstin.flac"
    subprocess.run([tree / "tools" / "demo", other.name], cwd=other.parent, capture_output=True, check=True)
    assert soundfile.info(tree / "demo" / "6-kbps.wav").frames == soundfile.info(other).frames
    missing = subprocess.run([tree / "tools" / "demo", "none.wav"], capture_output=True, text=True, check=False)
    assert missing.returncode == 1
    assert "no such file" in missing.stderr
