"""Packages that are not installed: every command says in one line what brings them, or does without."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import vqcodec
from vqcodec.cli import main
from vqcodec.errors import EXTRAS, ConfigError, ModelError, unavailable
from vqcodec.models import zoo
from vqcodec.models.onnx_codec import OnnxCodec

ROOT = Path(__file__).parents[2]
NO_TORCH = """\
import sys
sys.modules.update(torch=None, pydantic=None, yaml=None)
if __name__ == "__main__":
    from vqcodec.cli import main
    main(sys.argv[1:])
"""
"""A program in whose processes, workers too, torch and what else the engine on onnxruntime needs not are missing."""


@pytest.fixture
def without_torch(tmp_path, speech_path):
    """Function that runs a command without torch and returns what it printed on stderr."""
    shutil.copy(speech_path, tmp_path / "a.flac")
    (tmp_path / "no_torch.py").write_text(NO_TORCH)

    def call(*arguments, code=0):
        command = [sys.executable, "no_torch.py", *map(str, arguments)]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == code, result.stderr
        assert "Traceback" not in result.stderr
        return result.stderr

    return call


@pytest.mark.slow
def test_commands_take_the_engine_that_is_there(without_torch, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(tmp_path / "a.flac", tmp_path / "in")
    np.save(tmp_path / "codes.npy", np.zeros((6, 50), int))
    without_torch("encode", "a.flac", "a.vqc")
    without_torch("decode", "a.vqc", "a.wav")
    without_torch("import", "npy", "codes.npy", "b.vqc", "--model", "speech-16k")
    without_torch("tokenize", "in", "tokens", "--format", "npy", "--workers", 1)
    without_torch("detokenize", "tokens", "audio")
    assert (tmp_path / "audio" / "a.wav").stat().st_size == (tmp_path / "a.wav").stat().st_size
    assert "the torch engine needs torch" in without_torch("encode", "a.flac", "c.vqc", "--engine", "torch", code=1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", str(ROOT / "recipes" / "vqvae.yaml")],
        ["export", "--onnx", "out"],
        ["fit-entropy", "a.flac", "--out", "out.safetensors"],
        ["evaluate", "a.flac", "--out", "out"],
        ["compare", "a.flac"],
        ["prior", "train", "tokens", "--out", "out"],
        ["generate", "out.wav", "--prior", "prior"],
        ["tokens", "judge", "a.flac"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_commands_that_need_torch_say_so_in_one_line(without_torch, arguments, tmp_path):
    before = sorted(tmp_path.iterdir())
    told = without_torch(*arguments, code=1)
    assert re.fullmatch(
        r"Error: .*needs .*(torch|pydantic).*; pip install -c lock\.txt .*in the clone of vqcodec.*\n", told
    )
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        ("lightning_fabric", ["train", str(ROOT / "recipes" / "vqvae.yaml")], "train"),
        ("rich", ["train", str(ROOT / "recipes" / "vqvae.yaml")], "train"),
        ("matplotlib", ["train", str(ROOT / "recipes" / "vqvae.yaml")], "train"),
        ("ray", ["tokenize", "a.flac", "tokens", "--runner", "ray"], "ray"),
        ("onnxscript", ["export", "--onnx", "out"], "export"),
        ("onnx", ["export", "--onnx", "out"], "export"),
        ("matplotlib", ["evaluate", "a.flac", "--out", "out"], "eval"),
        ("jinja2", ["compare", "a.flac"], "eval"),
        ("transformers", ["encode", "a.flac", "a.vqc", "--model", "hf:other"], "hf"),
        ("pyarrow", ["tokenize", "a.flac", "tokens"], "tokens"),
    ],
)
def test_a_missing_extra_is_named_in_one_line(tmp_path, monkeypatch, speech_path, missing, arguments, extra):
    monkeypatch.chdir(tmp_path)
    shutil.copy(speech_path, "a.flac")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"model_type": "dac"}')
    (tmp_path / "other" / "model.safetensors").write_bytes(b"")
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith(("vqcodec.training", "vqcodec.cli.research.t"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.output.count("\n") == 1
    assert f"'.[{extra}]'" in result.output


def test_each_package_is_in_the_extra_that_is_named():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {
        "yaml": "pyyaml",
        "visqol": "visqol-python",
        "lightning_fabric": "lightning-fabric",
        "swift_f0": "swift-f0",
    }
    for package, extra in EXTRAS.items():
        needs = project["optional-dependencies"][extra] if extra else project["dependencies"]
        assert any(re.match(rf"{names.get(package, package)}\b", need) for need in needs), (package, extra)


def test_a_fault_of_our_own_is_no_missing_package():
    assert unavailable(ModuleNotFoundError("no", name="vqcodec.cli.nothing")) is None
    assert unavailable(ImportError("cannot import name")) is None
    assert "'.[train]'" in str(unavailable(ModuleNotFoundError("no", name="rich.console")))


def test_load_takes_an_engine(monkeypatch):
    assert isinstance(vqcodec.load(engine="onnx"), OnnxCodec)
    assert isinstance(vqcodec.load(engine="torch"), vqcodec.Codec)
    assert isinstance(vqcodec.load(), vqcodec.Codec)
    monkeypatch.setattr("vqcodec.models.zoo.find_spec", lambda name: None if name == "torch" else True)
    assert isinstance(vqcodec.load(), OnnxCodec)
    with pytest.raises(ConfigError, match="engine 'abacus' is none of torch, onnx"):
        vqcodec.load(engine="abacus")


@pytest.mark.slow
def test_a_folder_of_export_is_a_model(tmp_path, toy_weights, exported, without_torch):
    shutil.copytree(exported, tmp_path / "mine")
    assert zoo.card_of(tmp_path / "mine").name == "toy"
    assert isinstance(vqcodec.load(tmp_path / "mine"), vqcodec.Codec)
    without_torch("encode", "a.flac", "mine/a.vqc", "--model", "mine")
    without_torch("decode", "mine/a.vqc", "a.wav", "--model", "mine")
    told = CliRunner().invoke(main, ["info", str(tmp_path / "mine" / "a.vqc")]).output
    assert re.search(r"^model +toy$", told, re.MULTILINE), "its weights lie beside it"
    told = CliRunner().invoke(main, ["decode", str(tmp_path / "mine" / "a.vqc"), str(tmp_path / "b.wav")]).output
    assert (
        f"written by toy (fingerprint {zoo.card_of(toy_weights).sha256[:8]}), which lies beside it; give --model "
        in told
    )
    assert str(tmp_path / "mine" / "toy.safetensors") in told
    shutil.copy(toy_weights, tmp_path / "mine" / "second.safetensors")
    (tmp_path / "empty").mkdir()
    for name in ("mine", "empty"):
        with pytest.raises(ModelError, match=f"{name}.* weights"):
            vqcodec.load(tmp_path / name)


def test_what_only_torch_does_names_it_where_it_is_not_installed(monkeypatch):
    for installed, remedy in ((True, "use the torch engine"), (None, "that needs torch; pip install")):
        monkeypatch.setattr("vqcodec.models.zoo.find_spec", lambda name: installed if name == "torch" else True)  # noqa: B023
        with pytest.raises(ConfigError, match=f"on cpu, not on cuda; {remedy}"):
            vqcodec.load(engine="onnx", device="cuda")


def test_every_option_for_a_model_says_what_it_takes():
    for name, command in main.commands.items():
        for option in getattr(command, "params", ()):
            if "--model" in option.opts:
                assert "hf:USER/NAME" in option.help, name
