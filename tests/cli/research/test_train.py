"""`vqcodec train`: which config a run has, what is told of changes to it, and the list of keys."""

import json
import re
from dataclasses import asdict

import pytest
from click.testing import CliRunner

from vqcodec.cli import main
from vqcodec.training.config import RunConfig
from vqcodec.training.keys import recipe_keys


@pytest.fixture
def run():
    """Function: a command line, and what came of it."""
    return lambda *arguments: CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture
def recipe(tmp_path, toy_config, speech_path):
    """A recipe of 6 steps, saved at each."""
    clips = [str(speech_path)]
    values = {
        "model": asdict(toy_config),
        "quantizer": {"start_step": 2, "kmeans_batches": 2},
        "data": {"train": clips, "valid": clips, "batch_size": 2, "segment_seconds": 0.3},
        **{"steps": 6, "checkpoint_every": 1, "validate_every": 1000, "accelerator": "cpu"},
    }
    path = tmp_path / "toy.yaml"
    path.write_text(json.dumps(values))
    return path


@pytest.mark.slow
def test_a_run_goes_on_with_what_it_was_begun_with(run, recipe, tmp_path):
    folder = tmp_path / "run"
    assert run("train", recipe, "seed=5", "loss.mel=2", "--run", folder).exit_code == 0
    longer = run("train", "--run", folder, "--resume", "steps=8")
    assert longer.exit_code == 0, longer.output
    assert f"{folder}: steps is now 8, before 6" in longer.stderr
    assert "seed" not in longer.stderr
    config = json.loads((folder / "config.json").read_text())
    assert (config["seed"], config["loss"]["mel"], config["steps"]) == (5, 2, 8)
    with_recipe = run("train", recipe, "--run", folder, "--resume", "steps=9")
    assert with_recipe.exit_code == 0, with_recipe.output
    told = [line for line in with_recipe.stderr.splitlines() if " stays " in line]
    assert [re.search(r": (\S+) stays", line)[1] for line in told] == ["loss.mel", "seed"]
    assert f"seed stays 5, which {recipe} has as 0; seed=... changes it" in told[1]
    assert json.loads((folder / "config.json").read_text())["seed"] == 5


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        ((), 2, "give a RECIPE to begin with, or --run and --resume"),
        (("steps=3",), 2, "give a RECIPE to begin with"),
        (("--run", "none"), 2, "give a RECIPE to begin with"),
        (("--run", "none", "--resume"), 1, "none: no run to go on with"),
        (("toy.yaml", "steps=3"), 1, "toy.yaml: cannot read the recipe"),
    ],
)
def test_what_cannot_begin_is_one_line(run, monkeypatch, tmp_path, arguments, exit_code, told):
    monkeypatch.chdir(tmp_path)
    done = run("train", *arguments)
    assert done.exit_code == exit_code
    assert told in done.stderr.splitlines()[-1]


def test_keys_are_listed(run):
    printed = run("train", "--keys").stdout
    for key in recipe_keys(RunConfig()):
        assert f"\n{key.name}={key.default}\n    {key.meaning[:30]}" in f"\n{printed}"
