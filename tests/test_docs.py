"""What docs/ says is so: its commands run, its Python runs, its links lead somewhere.

A block marked "no-test" needs a network.
"""

import ast
import gc
import io
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile
import torch

import vqcodec
import vqcodec.tokens
from vqcodec.bitstream import VqcReader
from vqcodec.cli import main
from vqcodec.models.adapters import ADAPTERS
from vqcodec.models.architecture import CODEBOOKS
from vqcodec.models.enhancers import add_enhancer, save_enhancer
from vqcodec.sessions.stream import EncodeSession
from vqcodec.tokens.prior.network import Prior, PriorSizes
from vqcodec.tokens.prior.priorfile import save_prior
from vqcodec.training.config import load_run_config

ROOT = Path(__file__).parents[1]
USES = "## What else the codes are for"
MODULES = sorted((ROOT / "vqcodec").rglob("*.py"))
PAGES = sorted((ROOT / "docs").glob("*.md"))
ALL_PAGES = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "recipes").rglob("*.md"))]
SMALL = [
    *("steps=12", "model.channels=16", "model.stft_channels=8", "model.latent_dim=8", "model.codebook_size=16"),
    *("quantizer.start_step=4", "quantizer.kmeans_batches=4", "data.batch_size=2", "log_every=2"),
    *("validate_every=12", "accelerator=cpu"),
]


def text_of(page):
    return page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_publishing_runs_in_its_order(tmp_path, speech_path, toy_weights, monkeypatch, bash):
    shutil.copy(speech_path, tmp_path / "speech.wav")
    shutil.copy(toy_weights, tmp_path / "mine.safetensors")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```(sh|python)\n(.*?)```", text_of(ROOT / "docs" / "publishing.md"), re.DOTALL)
    assert blocks
    for language, block in blocks:
        if language == "python":
            exec(block, {})
            continue
        script = block.replace("decode speech.vqc speech.wav", "decode speech.vqc speech.wav --force")
        result = bash("-ec", script, env={"HF_HUB_OFFLINE": "1"})
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_linked_and_marks_only_what_needs_a_network(page):
    assert f"](docs/{page.name})" in (ROOT / "README.md").read_text(encoding="utf-8")
    languages = re.findall(r"^```(.+)$", text_of(page), re.MULTILINE)
    # Those of the differences are applied by tests/test_where.py.
    assert set(languages) <= {"sh", "python", "python no-test"} | ({"diff"} if page.stem == "where" else set())
    for kind, block in re.findall(r"```python( no-test)?\n(.*?)```", text_of(page), re.DOTALL):
        compile(block, str(page), "exec")
        assert not kind or "huggingface_hub" in block


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
def test_the_walk_through_a_vq_vae_runs(folder, speech, bash):
    script, *_ = blocks("vqvae.md", "sh")
    script = script.replace("--run runs/vqvae", f"{' '.join(SMALL)} --run runs/vqvae", 1)
    done = bash("-ec", script)
    assert done.returncode == 0, done.stderr
    assert re.search(r"epoch  .*reconstruction [\d.]+  latent [\d.]+", done.stderr)
    assert soundfile.info("back.wav").frames == 40000
    names = {"wave": torch.from_numpy(speech[None, :16000])}
    for block in blocks("vqvae.md", "python"):
        exec(block, names)
    codec = names["codec"]
    assert torch.equal(names["codes"], codec.encode(names["wave"][None])[0, 0])
    of_coding, _, _ = text_of(ROOT / "docs" / "vqvae.md").partition(USES)
    assert pictures_of(of_coding) == {path.name for path in (folder / "pictures").iterdir()}


def pictures_of(text):
    """The names of the pictures of a part of the walk through a VQ-VAE, all of which there are."""
    names = re.findall(r"!\[.*?\]\(vqvae/(.*?)\)", text)
    assert names and all((ROOT / "docs" / "vqvae" / name).exists() for name in names)
    return set(names)


@pytest.mark.slow
def test_the_pictures_of_what_codes_are_for_are_drawn_from_a_prior_and_an_enhancer(tmp_path, speech, codec):
    torch.manual_seed(0)
    prior, enhancer, out = (tmp_path / name for name in ("prior.safetensors", "enhancer.safetensors", "pictures"))
    sizes = PriorSizes(num_codebooks=2, codebook_size=1024, dim=4, channels=8, layers=1, heads=1, window=5)
    save_prior(sizes, Prior(sizes).state_dict(), prior, model=codec.model_name, fingerprint=codec.fingerprint.hex())
    enhancing = vqcodec.load()
    add_enhancer(enhancing, channels=8, kernels=[3])
    worse = {name: value + 0.1 * torch.randn(value.shape) for name, value in enhancing.encoder.state_dict().items()}
    save_enhancer(enhancing, worse, codec.encoder.state_dict(), enhancer)
    soundfile.write(tmp_path / "clip.wav", speech[:8000], 16000)
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).normal(0, 0.1, 4000), 16000)
    tool = runpy.run_path(str(ROOT / "tools" / "walkthrough.py"))
    figures = tool["of_uses"](prior, enhancer, tmp_path / "clip.wav", tmp_path / "noise.wav")
    tool["main"](figures, out)
    _, found, of_uses = text_of(ROOT / "docs" / "vqvae.md").partition(USES)
    assert found and pictures_of(of_uses) >= {"generation.png"}
    assert {path.stem for path in out.iterdir()} == {"generation", "enhancement", "bandwidth"}
    for name in ("enhancement", "bandwidth"):
        original, coded, enhanced = (axes.images[0].get_array() for axes in figures[name].axes)
        assert original.shape == coded.shape == enhanced.shape
        assert (abs(enhanced - coded) > 1).any()  # dB: another encoder was asked
    prompted, drawn = (axes.images[0].get_array() for axes in figures["generation"].axes)
    assert (abs(prompted - drawn) > 1).any()


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


def test_an_adapter_is_one_file_and_one_line(folder, noise, monkeypatch, wavtokenizer):
    module, use = blocks("extending.md", "python")[2:4]
    assert len([line for line in module.splitlines() if line.strip()]) <= 30
    (folder / "wavtokenizer_adapter.py").write_text(module)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setitem(ADAPTERS, "wavtokenizer", "")  # taken out again afterwards
    model, saved = wavtokenizer
    wave = noise(1, 5000)
    names = {"vqcodec": vqcodec, "folder": saved, "samples": wave}
    exec(use, names)
    with torch.inference_mode():
        codes = model.encode(torch.from_numpy(wave)[None]).audio_codes
        decoded = model.decode(codes).audio_values.reshape(1, -1)[:, :5000]
    assert np.array_equal(next(VqcReader(io.BytesIO(names["data"])).chunks()).codes, codes)
    assert np.allclose(names["samples_hat"], decoded, atol=1e-5)


@pytest.mark.slow
def test_the_commands_of_the_command_line_run(tmp_path, speech, speech_path, bash):
    soundfile.write(tmp_path / "speech.wav", speech, 16000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "speech.wav").read_bytes()[:50000])
    (tmp_path / "recordings").mkdir()
    shutil.copy(speech_path, tmp_path / "recordings")
    np.save(tmp_path / "codes.npy", np.zeros((6, 50), int))
    data = vqcodec.compress(speech, 16000, num_codebooks=2)
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "one.vqc").write_bytes(data)
    (tmp_path / "damaged.vqc").write_bytes(data[:100] + b"junk" + data[100:])
    script = "\n".join(blocks("command-line.md", "sh")[:1])
    assert script.count("vqcodec") >= 8
    # Each line by itself, and the first decode again later: allow replacing.
    script = "set -e -o pipefail\n" + script.replace(
        "decode speech.vqc speech.wav", "decode speech.vqc speech.wav --force"
    )
    result = bash("-c", script, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert soundfile.info(tmp_path / "again.wav").frames == len(speech)
    assert soundfile.info(tmp_path / "live.wav").frames == len(speech)
    assert soundfile.info(tmp_path / "part.wav").duration == pytest.approx(1.5)


@pytest.mark.slow
def test_the_commands_and_python_of_tokens_run(tmp_path, speech_path, monkeypatch, bash):
    (tmp_path / "recordings").mkdir()
    for name in ("one", "84-121123-0000"):
        shutil.copy(speech_path, tmp_path / "recordings" / f"{name}.flac")
    script = blocks("datasets.md", "sh")[0]
    assert script.count("vqcodec") >= 5
    result = bash("-ec", script, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert soundfile.info(tmp_path / "audio" / "one.wav").frames == soundfile.info(speech_path).frames
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(blocks("datasets.md", "python")[0], names)
    np.testing.assert_array_equal(names["codes"], names["utterance"].codes)


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # tars that lhotse leaves open
def test_lhotse_reads_the_cuts_of_its_section(tmp_path, speech, monkeypatch, in_process):
    pytest.importorskip("lhotse")
    (tmp_path / "recordings").mkdir()
    soundfile.write(tmp_path / "recordings" / "one.wav", speech[16000:48000], 16000)
    monkeypatch.chdir(tmp_path)
    section = text_of(ROOT / "docs" / "datasets.md").split("## Lhotse Shar and NeMo\n")[1].split("\n## ")[0]
    (command,) = re.findall(r"```sh\nvqcodec (\w+) (.*?) +#", section)
    main.commands[command[0]].main(command[1].split(), standalone_mode=False)
    names = {}
    exec(re.search(r"```python\n(.*?)```", section, re.DOTALL).group(1), names)
    wanted = vqcodec.tokens.open("cuts")["one"].codes
    np.testing.assert_array_equal(names["frames"], wanted.T)
    np.testing.assert_array_equal(names["excerpt"], wanted.T[25:75])
    assert (tmp_path / "cuts" / "shards" / "shard-000000" / "cuts.000000.jsonl").exists()
    gc.collect()


def test_a_language_model_is_trained_on_tokens_and_what_it_draws_is_heard(tmp_path, speech, monkeypatch, in_process):
    (tmp_path / "recordings").mkdir()
    for number, seconds in enumerate((0.6, 1.0, 0.8)):
        soundfile.write(tmp_path / "recordings" / f"{number}.wav", speech[16000:][: round(16000 * seconds)], 16000)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    _, command, *arguments = blocks("datasets.md", "sh")[2].splitlines()[0].split()
    main.commands[command].main(arguments, standalone_mode=False)
    program = blocks("datasets.md", "python")[2]
    assert len([line for line in program.splitlines() if line.strip()]) <= 45
    names = {}
    exec(program, names)
    assert names["loss"] < 5.5 < np.log(1024), "it has learnt which codes there are"
    assert names["sampled"].codes.shape[0] == 3
    assert names["wave_hat"].shape == (1, 1, 320 * names["sampled"].codes.shape[1])
    assert soundfile.info("drawn.wav").frames == names["wave_hat"].shape[2]


@pytest.mark.slow
def test_the_commands_of_comparing_run(tmp_path, speech, bash):
    (tmp_path / "clips").mkdir()
    for name in ("clips/one.wav", "speech.wav"):
        soundfile.write(tmp_path / name, speech[:24000], 16000)
    script = blocks("evaluation.md", "sh")[0]
    result = bash("-ec", script, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "against opus" in result.stdout
    assert (tmp_path / "results" / "report.html").exists()
    assert (tmp_path / "speech-compare" / "report.html").exists()


@pytest.mark.slow
def test_the_python_of_its_page_runs(speech, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    soundfile.write("a.wav", speech[:16000], 16000)
    soundfile.write("speech.wav", speech[: 150 * 320], 16000)
    names = {
        "recordings": [tmp_path / "a.wav"],
        "wave": torch.from_numpy(speech)[None, None],
        "samples": np.repeat(speech, 3),
    }
    for block in (*blocks("python.md", "python"), *blocks("streaming.md", "python")):
        exec(block, names)
    assert names["summary"].duration_seconds == 1
    assert names["wave_hat"].shape == names["wave"].shape
    assert names["rate_hz"] == 44100
    assert names["samples_hat"].shape == (1, 3 * len(speech))
    assert names["bob"].receiver.recovered_frames > 5
    assert (len(names["packets"]), {len(packet) for packet in names["packets"][2:]}) == (48, {21})
    receiver = names["receiver"]
    assert (receiver.recovered_frames, receiver.lost_frames, receiver.damaged_packets) == (2, 0, 0)
    assert {len(packet) for packet in names["sums"][1:]} == {18}
    assert [item.shape[1] for item in names["solved"][19:24]] == [6, 2, 2, 2, 6]
    assert len({len(packet) for packet in names["program"]}) > 3
    assert (names["radio"].recovered_frames, names["radio"].lost_frames) == (1, 0)
    assert sum(part.shape[1] for part in names["played"]) == 32000 - names["codec"].delay_samples


def test_the_graphs_run_with_numpy_and_onnxruntime_only(tmp_path, codec, speech):
    (program,) = blocks("onnx.md", "python")
    assert len([line for line in program.splitlines() if line.strip()]) <= 30
    wave = speech[:16100]
    np.save(tmp_path / "wave.npy", wave)
    others = "torch", "vqcodec", "safetensors", "onnx", "soundfile"
    alone = f"import sys\nsys.modules.update(dict.fromkeys({others}))\n{program}"
    arguments = ROOT / "vqcodec" / "models" / "bundled", tmp_path / "wave.npy", tmp_path / "out.npz"
    subprocess.run([sys.executable, "-c", alone, *arguments], check=True, cwd=tmp_path)
    session, out = EncodeSession(codec, kbps=3), np.load(tmp_path / "out.npz")
    codes = np.concatenate((session.push(wave[None]), session.flush()), axis=2)
    assert np.array_equal(out["codes"], codes)
    wanted = codec.decode(torch.from_numpy(codes), length_samples=len(wave))[0, 0].numpy()
    np.testing.assert_allclose(out["wave_hat"], wanted, atol=1e-3)


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", text_of(page)):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_exist(page):
    told = re.sub(r"^# vqcodec/.*", "", text_of(page), flags=re.MULTILINE)  # modules that a reader is to write
    for path in re.findall(r"(?<![\w./])(?:vqcodec|tests|tools|recipes|docs)/[\w./-]*\w", told):
        assert (ROOT / path).exists(), path


def test_every_subject_has_its_page():
    subjects = "command-line python streaming datasets training evaluation file-format benchmarks architecture"
    subjects += " other-models publishing extending vqvae where"
    assert set(subjects.split()) <= {page.stem for page in PAGES}


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_have_the_options_that_pages_show(page):
    for block in re.findall(r"```sh\n(.*?)```", text_of(page), re.DOTALL):
        assert subprocess.run(["bash", "-n"], input=block.encode(), check=False).returncode == 0, block
        for line in block.replace("\\\n", " ").splitlines():
            for command in re.findall(r"(?:^|\| |-m )vqcodec ([^|>;&#]*)", re.sub(r"'[^']*'", "quoted", line)):
                name, *rest = re.sub(r"^(--import \S+ )+", "", command).split()
                known = main.commands[name]
                while isinstance(known, click.Group):
                    known = known.commands[rest.pop(0)]
                options = {
                    option for each in known.params if not getattr(each, "hidden", False) for option in each.opts
                }
                assert {word.split("=")[0] for word in rest if word.startswith("--")} <= options, line


def test_the_tree_names_what_exists():
    (tree,) = blocks("architecture.md", "")
    named = set(re.findall(r"(\w+)\.py", tree)) | set(re.findall(r"\b(\w+)/", tree))
    for path in (ROOT / "vqcodec").rglob("*.py"):
        name = path.parent.name + "/" if path.name == "__init__.py" else path.stem
        assert re.search(rf"\b{re.escape(name)}(\b|(?<=/))", tree) or name == "__main__", (
            f"{path} is not in docs/architecture.md"
        )
    own = [path for name in ("vqcodec", "tests", "tools", "recipes", "docs") for path in (ROOT / name).rglob("*")]
    files = {path.stem for path in own if path.suffix == ".py"} | {path.name for path in ROOT.iterdir()}
    folders = {path.name for path in own if path.is_dir()}
    assert named <= files | folders
    for tool in (ROOT / "tools").iterdir():
        assert tool.stem in tree or tool.name in {"__pycache__", "environment"}


def test_the_main_path_names_files():
    text = text_of(ROOT / "docs" / "architecture.md").split("ten-minute read:")[1].split("\n\n")[0]
    path = re.findall(r"`([\w/]+)`", text)
    assert len(path) == 9
    for name in path:
        assert (ROOT / "vqcodec" / f"{name}.py").exists(), name


RIDDLES = {"Of", "As", "Those", "That", "See"}
"""Words that begin a clause of which only who knows the code sees what it is about."""
VERBS = """
Add Analyse Append Apply Attend Average Begin Build Check Choose Close Code Compare Complete Compute Convert Convolve
Count Decode Describe Do Draw Drop Encode Equalize Escape Estimate Explain Fill Find Fit Forget Give Go Hash Have Hold
Import Index Judge Keep Leave Let List Load Log Make Mark Measure Move Multiply Open Pair Parse Pass Print Put
Quantize Raise Read Reconstruct Refuse Remove Resample Return Round Run Save Say Score Search Seek Select Set Sort
Start Step Stop Sum Synthesize Take Tell Tokenize Train Turn Undo Update Upsample Wait Walk Write Yield
"""


def first_word(docstring):
    return docstring.split()[0].strip(",.:")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_of_functions_begin_with_a_verb(path):
    """And none with a word that begins a riddle; what only overrides is marked so instead."""
    tree = ast.parse(text_of(path))
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                assert first_word(text) not in RIDDLES, f"{path}:{node.lineno}: {text[:80]}"
            case ast.FunctionDef(name=name, decorator_list=decorators) if not name.startswith("_"):
                kinds = " ".join(map(ast.unparse, decorators))
                text = ast.get_docstring(node)
                if text and not re.search("property|group", kinds):
                    assert first_word(text) in VERBS.split(), f"{path}:{node.lineno}: {text[:80]}"
