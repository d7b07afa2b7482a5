"""A quantizer, a codec under test and a metric of one's own, by --import and by an entry point, from every command."""

import json
import os
import subprocess
import sys
from dataclasses import asdict

import pytest

from vqcodec.errors import ConfigError
from vqcodec.system import plugins
from vqcodec.system.plugins import PluginTable

MODULE = """
from vqcodec.evaluation.codecs.library import PcmCodec
from vqcodec.evaluation.codecs.registry import CODECS
from vqcodec.metrics import METRICS, Metric
from vqcodec.models.architecture import CODEBOOKS


class OwnCodec(PcmCodec):
    name = "own-codec"


def first_difference(wave, wave_hat, rate_hz):
    return float(abs(wave[0] - wave_hat[0]))


CODEBOOKS["own-kind"] = "vqcodec.nn.quantizers.vector:GradientCodebook"
CODECS["own-codec"] = OwnCodec
METRICS["own-metric"] = Metric(
    "own-metric", "Own", "", 0.0, None, False, "any", "here", first_difference
)
"""


@pytest.fixture
def folder(tmp_path, toy_config, speech_path):
    """A working folder with the module, a clip and a recipe of a few steps."""
    (tmp_path / "own_parts.py").write_text(MODULE)
    values = {
        "model": asdict(toy_config) | {"codebook_kind": "ema"},
        "quantizer": {"start_step": 1, "kmeans_batches": 2},
        "data": {"train": [str(speech_path)], "valid": [str(speech_path)], "batch_size": 2, "segment_seconds": 0.3},
        **{"steps": 2, "validate_every": 1000, "accelerator": "cpu"},
    }
    (tmp_path / "toy.yaml").write_text(json.dumps(values))
    return tmp_path


@pytest.fixture
def run(folder, python):
    """Function: a command line in the folder, and what came of it."""

    def start(*arguments, python=python, path=()):
        path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), *path]))
        return subprocess.run(
            [python, "-m", "vqcodec", *map(str, arguments)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    return start


@pytest.mark.slow
def test_a_module_is_imported_in_the_processes_of_a_command_too(run, folder, speech_path):
    arguments = ("--codecs", "own-codec", "--metrics", "own-metric", "--workers", 2, "--out", "results")
    done = run("--import", "own_parts", "evaluate", speech_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert "own-codec" in done.stdout
    assert "Own" in done.stdout
    without = run("evaluate", speech_path, "--codecs", "own-codec", "--out", "other")
    assert without.returncode == 1
    assert "'own-codec' is no codec" in without.stderr


@pytest.mark.slow
def test_a_kind_of_codebook_trains_and_codes(run, folder, speech_path):
    loaded = ("--import", "own_parts")
    trained = run(*loaded, "train", "toy.yaml", "model.codebook_kind=own-kind", "--run", "run")
    assert trained.returncode == 0, trained.stderr
    model = ("--model", "run/model.safetensors")
    assert run(*loaded, "encode", speech_path, "a.vqc", *model).returncode == 0
    unknown = run("encode", speech_path, "b.vqc", *model)
    assert unknown.returncode == 1
    assert "codebook_kind 'own-kind' is none of ema" in unknown.stderr
    assert unknown.stderr.endswith("; one of your own wants vqcodec --import MODULE\n")
    assert not (folder / "b.vqc").exists()


@pytest.mark.slow
def test_a_package_names_its_modules(run, folder, speech_path):
    facts = folder / "installed" / "own_parts-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: own-parts\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[vqcodec.plugins]\nparts = own_parts\n")
    (folder / "own_parts.py").rename(facts.parent / "own_parts.py")
    arguments = ("evaluate", speech_path, "--codecs", "own-codec", "--metrics", "si_sdr", "--workers", 1, "--out")
    installed = {"path": [str(facts.parent)], "python": sys.executable}
    found = run(*arguments, "results", **installed)
    assert found.returncode == 0, found.stderr
    (facts.parent / "own_parts.py").write_text("import none_such")
    broken = run(*arguments, "other", **installed)
    assert broken.returncode == 1
    assert broken.stderr.startswith("Error: own-parts, plug-in parts: cannot be loaded (ModuleNotFoundError: No module")


@pytest.mark.parametrize("text", ["import none_such", "1 / 0", "raise SystemError('two\\nlines')"])
def test_a_module_that_cannot_be_loaded_is_one_line(run, folder, text):
    (folder / "own_parts.py").write_text(text)
    done = run("--import", "own_parts", "models")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: --import own_parts: cannot be loaded (")
    assert done.stderr.count("\n") == 1


def test_a_table_asks_plugins_only_for_what_it_lacks(monkeypatch):
    table, loads = PluginTable({"a": 1}), []

    def load():
        loads.append(1)
        table["b"] = 2
        return True

    monkeypatch.setattr(plugins, "load_plugins", load)
    assert "a" in table
    assert table["a"] == 1
    assert not loads
    assert "b" in table
    assert table["b"] == 2
    assert loads == [1]
    with pytest.raises(KeyError):
        table["c"]


def test_a_module_that_cannot_be_loaded_is_told_each_time():
    for _ in range(2):
        with pytest.raises(ConfigError, match="none_such: cannot be loaded"):
            plugins.import_modules(["none_such"])
