"""What docs/ says is so: its commands run, its Python runs, its links lead somewhere.

A block marked "no-test" needs a network.
"""

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import vqcodec
from vqcodec.bitstream import VqcReader
from vqcodec.models.adapters import ADAPTERS
from vqcodec.models.architecture import CODEBOOKS
from vqcodec.sessions.stream import EncodeSession
from vqcodec.training.config import load_run_config

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
SMALL = [
    *("steps=12", "model.channels=16", "model.stft_channels=8", "model.latent_dim=8", "model.codebook_size=16"),
    *("quantizer.start_step=4", "quantizer.kmeans_batches=4", "data.batch_size=2", "log_every=2"),
    *("validate_every=12", "accelerator=cpu"),
]


def text_of(page):
    return page.read_text(encoding="utf-8")


def test_publishing_runs_in_its_order(tmp_path, speech_path, toy_weights, monkeypatch):
    shutil.copy(speech_path, tmp_path / "speech.wav")
    shutil.copy(toy_weights, tmp_path / "mine.safetensors")
    monkeypatch.chdir(tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    blocks = re.findall(r"```(sh|python)\n(.*?)```", text_of(ROOT / "docs" / "publishing.md"), re.DOTALL)
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


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def folder(tmp_path, speech, monkeypatch):
    """A working folder with clips, and the repository's recipes and tools beside them."""
    for name in ("speech/train/one.wav", "speech/valid/two.wav", "clip.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, speech[:40000], 16000)
    for name in ("recipes", "tools"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_walk_through_a_vq_vae_runs(folder, speech):
    (script,) = blocks("vqvae.md", "sh")
    script = script.replace("--run runs/vqvae", f"{' '.join(SMALL)} --run runs/vqvae", 1)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["bash", "-ec", script], env={**os.environ, "PATH": path}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert re.search(r"epoch  .*reconstruction [\d.]+  latent [\d.]+", done.stderr.decode())
    assert soundfile.info("back.wav").frames == 40000
    names = {"wave": torch.from_numpy(speech[None, :16000])}
    for block in blocks("vqvae.md", "python"):
        exec(block, names)
    codec = names["codec"]
    assert torch.equal(names["codes"], codec.encode(names["wave"][None])[0, 0])
    pictures = re.findall(r"!\[.*?\]\(vqvae/(.*?)\)", (ROOT / "docs" / "vqvae.md").read_text(encoding="utf-8"))
    assert {path.name for path in (folder / "pictures").iterdir()} == set(pictures)
    assert all((ROOT / "docs" / "vqvae" / name).exists() for name in pictures)


def test_each_change_that_the_walk_proposes_is_a_config():
    page = (ROOT / "docs" / "vqvae.md").read_text(encoding="utf-8")
    changes = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(changes) >= 6
    default = load_run_config(ROOT / "recipes" / "vqvae.yaml")
    for change in changes:
        assert load_run_config(ROOT / "recipes" / "vqvae.yaml", change.split()) != default, change


def test_a_quantizer_is_one_file_and_one_line(folder, speech, monkeypatch):
    module, use = blocks("extending.md", "python")[:2]
    assert len([line for line in module.splitlines() if line.strip()]) <= 30
    (folder / "random_codebook.py").write_text(module)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setitem(CODEBOOKS, "random", "")  # taken out again afterwards
    small = ["data.train=[speech/train]", "data.valid=[speech/valid]", *SMALL]
    names = {"vqcodec": vqcodec, "overrides": small, "samples": speech[:8000]}
    exec(use, names)
    codec = names["codec"]
    assert type(codec.quantizer.codebooks[0]).__name__ == "RandomCodebook"
    session = EncodeSession(codec)
    wanted = np.concatenate((session.push(speech[None, :8000]), session.flush()), axis=2)
    assert np.array_equal(next(VqcReader(io.BytesIO(names["data"])).chunks()).codes, wanted)
    assert vqcodec.decompress(names["data"], model=codec)[0].shape == (1, 8000)


def test_an_adapter_is_one_file_and_one_line(folder, noise, monkeypatch):
    transformers = pytest.importorskip("transformers")
    if not hasattr(transformers, "WavTokenizerModel"):
        pytest.skip("this transformers has no WavTokenizer")
    module, use = blocks("extending.md", "python")[2:]
    assert len([line for line in module.splitlines() if line.strip()]) <= 30
    (folder / "wavtokenizer_adapter.py").write_text(module)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setitem(ADAPTERS, "wavtokenizer", "")  # taken out again afterwards
    torch.manual_seed(0)
    config = transformers.WavTokenizerConfig(
        num_filters=4, hidden_size=16, codebook_dim=16, codebook_size=64, num_lstm_layers=1, decoder_hidden_size=32,
        decoder_intermediate_size=32, decoder_num_layers=1, decoder_attention_num_groups=4,
    )  # fmt: skip
    model = transformers.WavTokenizerModel(config).eval()
    for name, buffer in model.named_buffers():
        if name.endswith("embed"):
            torch.nn.init.normal_(buffer)
    model.save_pretrained(folder / "wavtokenizer")
    wave = noise(1, 5000)
    names = {"vqcodec": vqcodec, "folder": folder / "wavtokenizer", "samples": wave}
    exec(use, names)
    with torch.inference_mode():
        codes = model.encode(torch.from_numpy(wave)[None]).audio_codes
        decoded = model.decode(codes).audio_values.reshape(1, -1)[:, :5000]
    assert np.array_equal(next(VqcReader(io.BytesIO(names["data"])).chunks()).codes, codes)
    assert np.allclose(names["samples_hat"], decoded, atol=1e-5)


def test_the_tree_names_what_exists():
    (tree,) = blocks("architecture.md", "")
    named = set(re.findall(r"(\w+)\.py", tree)) | set(re.findall(r"\b(\w+)/", tree))
    for path in (ROOT / "vqcodec").rglob("*.py"):
        name = path.parent.name + "/" if path.name == "__init__.py" else path.stem
        assert re.search(rf"\b{re.escape(name)}", tree) or name == "__main__", f"{path} is not in docs/architecture.md"
    files = {path.stem for path in ROOT.rglob("*.py")} | {path.name for path in ROOT.iterdir()}
    folders = {path.name for path in ROOT.rglob("*") if path.is_dir()}
    assert named <= files | folders
    for tool in (ROOT / "tools").iterdir():
        assert tool.stem in tree or tool.name in {"__pycache__", "environment"}


def test_the_main_path_is_one_of_files_that_import_the_next():
    text = text_of(ROOT / "docs" / "architecture.md").split("ten-minute read:")[1].split("\n\n")[0]
    path = re.findall(r"`([\w/]+)`", text)
    assert len(path) == 9
    for name in path:
        assert (ROOT / "vqcodec" / f"{name}.py").exists(), name
