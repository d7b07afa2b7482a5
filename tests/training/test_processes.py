"""Two processes, by torchrun on the CPU: every kind of codebook learns, and learns what one process would."""

import json
import os
import runpy
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vqcodec.models.architecture import CODEBOOKS
from vqcodec.models.codec import Codec
from vqcodec.models.weights import save_weights

PROGRAM = Path(__file__).with_name("two_processes.py")

STAGE = {"channels": 4, "windows": [256, 64]}

ARRANGED = {kind: {"codebook_kind": kind} for kind in CODEBOOKS} | {
    "groups": {"codebook_kind": "gradient", "groups": 2, "total_codebooks": 4},
    "strides": {"codebook_kind": "gumbel", "strides": [2, 1], "total_codebooks": 3},
}
"""Trained in all stages: nothing quantized, then codebooks that start and lose codes, then discriminators."""

AS_ONE = ("ema", "gradient", "factorized", "lookup_free", "simvq", "soft")
"""Kinds that draw nothing: two processes have the gradients of one with the joined batch."""


@pytest.fixture(scope="module")
def configs(toy_run, toy_config, tmp_path_factory):
    """Configs by name: one of all stages for each of `ARRANGED`, and a single step for each of `AS_ONE`."""
    folder = tmp_path_factory.mktemp("weights")
    made = {}
    for number, (name, model) in enumerate(ARRANGED.items()):
        made[f"all-{name}"] = toy_run(
            model={**model, "name": name},
            quantizer={"start_step": 2, "kmeans_batches": 2, "decay": 0.5, "revive_below": 0.8},
            discriminator=STAGE | {"start_step": 3, "warmup_steps": 1},
            optimizer={"kind": ("adamw", "muon")[number % 2]},
            loss={"entropy": 0.1, "idempotence": 0.1},
            steps=6,
            devices=2,
        )
    for kind in AS_ONE:
        torch.manual_seed(0)
        config = replace(toy_config, codebook_kind=kind)
        save_weights(config, Codec(config).state_dict(), folder / f"{kind}.safetensors")
        made[f"one-{kind}"] = toy_run(
            model=asdict(config),
            init=str(folder / f"{kind}.safetensors"),
            quantizer={"start_step": 0, "dropout": 0, "unquantized": 0, "revive_below": 0},
            discriminator=STAGE | {"start_step": 0, "warmup_steps": 0},
            optimizer={"clip_norm": 1e9},
            loss={"entropy": 0.1, "sparsity": 0.1, "perceptual": 0.1, "sampled_scales": False},
            steps=1,
            devices=2,
        )
    return made


@pytest.fixture(scope="module")
def trained(configs, made_once):
    """The folder in which two processes have trained all of `configs`."""

    def train(folder):
        for name, config in configs.items():
            (folder / f"{name}.json").write_text(config.model_dump_json())
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", PROGRAM, folder]
        variables = {**os.environ, "OMP_NUM_THREADS": "1"}
        result = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
        assert result.returncode == 0, f"{result.stdout[-500:]}\n{result.stderr[-5000:]}"

    return made_once("two-processes", train)


@pytest.mark.slow
@pytest.mark.parametrize("name", ARRANGED)
def test_all_kinds_train_in_two_processes_that_stay_equal(trained, name):
    """That they are equal after each step is asserted in the processes."""
    lines = [json.loads(line) for line in (trained / f"all-{name}" / "log.jsonl").read_text().splitlines()]
    log = [line for line in lines if line["kind"] == "train"]
    assert ["commitment" in line for line in log] == [False] * 2 + [True] * 4
    assert ["feature_matching" in line for line in log] == [False] * 4 + [True] * 2
    has_table = name not in ("finite_scalar", "lookup_free", "simvq")
    assert (sum(sum(line["revived"]) for line in log[2:]) > 0) == has_table, "some codes were dead"
    gradients = load_file(trained / f"all-{name}.safetensors")
    assert all(x.isfinite().all() for x in gradients.values())


@pytest.mark.slow
@pytest.mark.parametrize("kind", AS_ONE)
def test_two_processes_have_the_gradients_of_one_with_the_joined_batch(trained, configs, tmp_path, kind):
    config = configs[f"one-{kind}"]
    data = config.data.model_copy(update={"batch_size": 2 * config.data.batch_size})
    train = runpy.run_path(str(PROGRAM))["train"]
    wanted = train(config.model_copy(update={"devices": 1, "data": data}), tmp_path)
    found = load_file(trained / f"one-{kind}.safetensors")
    assert found.keys() == wanted.keys()
    assert any(".codebooks.0." in name for name in found)
    # Of layers as a whole: the gain of a normalized weight is one number, whose gradient is a sum that nearly cancels.
    layers = {name.split(".parametrizations.")[0] for name in wanted}
    for layer in layers:
        names = [name for name in wanted if name.split(".parametrizations.")[0] == layer]
        value, own = (torch.cat([x[name].float().flatten() for name in names]) for x in (wanted, found))
        # Sums in another order, in float32.
        error = (own - value).norm() / value.norm().clamp(min=1e-6)
        assert error < 1e-3, f"{layer}: {error:.1e}"
