"""Whole runs of a toy recipe: they learn, stop and resume, and refuse what cannot work."""

import json
import os
import resource
import signal
import subprocess
import time
from dataclasses import asdict, replace

import numpy as np
import pytest
import soundfile
import torch
import yaml
from safetensors.torch import load_file, save_file

from vqcodec.errors import OutputError, TrainingError
from vqcodec.models.codec import Codec
from vqcodec.models.weights import load_weights
from vqcodec.training.config import LOSS_WEIGHTS
from vqcodec.training.data.segments import Batch
from vqcodec.training.trainer import Trainer


def records(run, kind="train"):
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] == kind]


def test_a_run_learns_logs_and_exports(tmp_path, toy_run):
    config = toy_run(steps=60, log_every=1, validate_every=60, checkpoint_every=20, optimizer={"warmup_steps": 5})
    result = Trainer(config, tmp_path).fit()
    assert (result.step, result.finished) == (60, True)
    log = records(tmp_path)
    assert [line["step"] for line in log] == list(range(1, 61))
    mel = [line["mel"] for line in log]
    assert np.mean(mel[-10:]) < 0.9 * np.mean(mel[:5])
    assert log[0]["mean_loss"] == log[0]["loss"]
    assert log[-1]["mean_loss"] == pytest.approx(0.98 * log[-2]["mean_loss"] + 0.02 * log[-1]["loss"])
    assert all(len(log[-1][name]) == 3 for name in ("perplexity", "residual_energy", "revived"))
    assert log[-1]["residual_energy"] == sorted(log[-1]["residual_energy"], reverse=True)
    assert "perplexity" not in log[0], "the codebooks start at step 4"
    epochs = records(tmp_path, "epoch")
    assert [line["epoch"] for line in epochs] == list(range(1, 61))  # two clips, batches of two
    reconstruction = [line["reconstruction"] for line in epochs]
    assert np.mean(reconstruction[-10:]) < 0.95 * np.mean(reconstruction[:10])
    assert epochs[-1]["latent"] > 0
    (validation,) = records(tmp_path, "validation")
    assert validation["codebooks"] == [1, 3]
    assert validation["kbps"] == [0.2, 0.6]
    assert np.isfinite(validation["estoi"]).all()
    assert load_weights(result.weights).config == config.model
    assert json.loads((tmp_path / "config.json").read_text())["steps"] == 60
    assert any((tmp_path / "tensorboard").iterdir())
    assert not list(tmp_path.rglob("*.pkl")) + list(tmp_path.rglob("*.pt"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_resumed_run_ends_with_the_same_weights(tmp_path, toy_run, kind):
    whole = Trainer(toy_run(optimizer={"kind": kind}), tmp_path / "whole").fit()
    first = Trainer(toy_run(optimizer={"kind": kind}), tmp_path / "cut")
    original = first._train_step

    def stop_at_6(batch):
        if first.step == 6:
            first._stop.requested = True
        return original(batch)

    first._train_step = stop_at_6
    assert not first.fit().finished
    second = Trainer(toy_run(optimizer={"kind": kind}), tmp_path / "cut")
    second.resume()
    assert second.step == 7
    assert second.fit().finished
    assert (tmp_path / "cut" / "model.safetensors").read_bytes() == whole.weights.read_bytes()
    assert [line["loss"] for line in records(tmp_path / "cut")] == [
        line["loss"] for line in records(tmp_path / "whole")
    ]


@pytest.mark.slow
def test_the_adversarial_stage_switches_on_and_resumes(tmp_path, toy_run):
    stage = {"start_step": 6, "warmup_steps": 2, "channels": 4, "windows": [256, 64]}
    whole = Trainer(toy_run(discriminator=stage), tmp_path / "whole").fit()
    log = records(tmp_path / "whole")
    assert ["discriminator" in line for line in log] == [False] * 6 + [True] * 6
    assert ["adversarial" in line for line in log] == [False] * 8 + [True] * 4
    assert all(line["feature_matching"] > 0 for line in log[8:])
    Trainer(toy_run(discriminator=stage, max_minutes=1e-9), tmp_path / "cut").fit()
    for _ in range(11):
        part = Trainer(toy_run(discriminator=stage, max_minutes=1e-9), tmp_path / "cut")
        part.resume()
        part.fit()
    assert (tmp_path / "cut" / "model.safetensors").read_bytes() == whole.weights.read_bytes()


@pytest.mark.slow
def test_half_precision_trains_with_every_stage(tmp_path, toy_run):
    """What GPUs use: spectra, codebooks and losses must stay in float32 inside bf16 autocast."""
    stage = {"start_step": 6, "warmup_steps": 2, "channels": 4, "windows": [256, 64]}
    Trainer(toy_run(discriminator=stage, precision="bf16-mixed"), tmp_path / "half").fit()
    Trainer(toy_run(discriminator=stage), tmp_path / "full").fit()
    half, full = records(tmp_path / "half"), records(tmp_path / "full")
    assert np.allclose([line["mel"] for line in half], [line["mel"] for line in full], rtol=0.05)


def test_gradient_codebooks_train_too(tmp_path, toy_run, toy_config):
    model = asdict(replace(toy_config, codebook_kind="gradient"))
    result = Trainer(toy_run(model=model), tmp_path).fit()
    assert records(tmp_path)[-1]["codebook"] > 0
    assert load_weights(result.weights).config.codebook_kind == "gradient"


def test_frozen_parts_stay_and_a_new_source_learns(tmp_path, toy_run, toy_weights):
    """From weights without a source: the codes of the new model are those of the old."""
    config = toy_run(
        init=str(toy_weights),
        freeze=["encoder", "quantizer"],
        model={"source_hz": 600},
        loss={"loudness": 1.0, "grid": 1.0, "phase_hz": 1000.0},
        steps=3,
    )
    former = load_weights(toy_weights).state_dict()
    weights = load_weights(Trainer(config, tmp_path).fit().weights).state_dict()
    changed = {name for name, value in former.items() if not torch.equal(value, weights[name])}
    assert changed
    assert {name.split(".")[0] for name in changed} == {"decoder"}
    assert weights.keys() - former.keys() == {f"decoder.head.to_controls.{name}" for name in ("weight", "bias")}


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_decoded_sound_is_found_again(tmp_path, toy_run, toy_weights, part):
    """Each of both learns it, also where the other stays as it is."""
    config = toy_run(
        init=str(toy_weights),
        loss=dict.fromkeys(LOSS_WEIGHTS, 0.0) | {"idempotence": 1.0},
        quantizer={"decay": 0.9999, "revive_below": 0.0},
        data={"gain_db": [0.0, 0.0]},
        optimizer={"weight_decay": 0.0, "warmup_steps": 1, "learning_rate": 2e-3},
        steps=40,
        validate_every=99,
    )
    trainer = Trainer(config, tmp_path)
    trainer.codec.get_submodule(part).requires_grad_(False)
    trainer.fit()
    losses = [line["idempotence"] for line in records(tmp_path)]
    assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:8])


def test_freezing_what_was_never_trained_is_refused(tmp_path, toy_run):
    with pytest.raises(TrainingError, match="freeze encoder: nothing is trained yet; give init"):
        Trainer(toy_run(freeze=["encoder"]), tmp_path)


def test_init_starts_from_trained_weights(tmp_path, toy_run, toy_weights):
    trainer = Trainer(toy_run(init=str(toy_weights), steps=1, validate_every=9), tmp_path)
    assert trainer.quantizing
    assert torch.equal(trainer.codec.encoder.norm.weight, load_weights(toy_weights).encoder.norm.weight)
    with pytest.raises(TrainingError, match="architecture differs"):
        Trainer(toy_run(init=str(toy_weights), model={"channels": 8}), tmp_path)
    with pytest.raises(TrainingError, match="architecture differs"):
        Trainer(toy_run(init="speech-16k"), tmp_path)


def test_a_nan_stops_with_step_and_files(tmp_path, toy_run, monkeypatch):
    trainer = Trainer(toy_run(), tmp_path)
    original = Codec.forward

    def poisoned(self, *arguments):
        out = original(self, *arguments)
        if trainer.step == 3:
            out.wave_hat = out.wave_hat * float("nan")
        return out

    monkeypatch.setattr(Codec, "forward", poisoned)
    with pytest.raises(TrainingError, match=r"step 3: the loss is nan.*\.flac"):
        trainer.fit()


def test_an_exploding_loss_stops(tmp_path, toy_run, monkeypatch):
    trainer = Trainer(toy_run(), tmp_path)
    original = trainer._losses

    def exploded(wave, output):
        return {name: loss * (1000 if trainer.step == 3 else 1) for name, loss in original(wave, output).items()}

    monkeypatch.setattr(trainer, "_losses", exploded)
    with pytest.raises(TrainingError, match=r"step 3: the loss is .* after a mean of"):
        trainer.fit()


@pytest.mark.parametrize("change", [{"model": {"channels": 8}}, {"discriminator": {"start_step": 6, "channels": 3}}])
def test_a_checkpoint_of_another_architecture_is_refused(tmp_path, toy_run, change):
    Trainer(toy_run(discriminator={"start_step": 6, "channels": 4}), tmp_path).save()
    other = Trainer(toy_run(**change), tmp_path)
    with pytest.raises(TrainingError, match="another architecture"):
        other.resume()


def write_recipe(path, config):
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return path


TRAIN = "import os, vqcodec.cli; print(os.getpid(), flush=True); vqcodec.cli.main()"
"""First prints which process is to be killed: what `python` names may be another, which waits for it."""


def train_command(python, recipe, run, *more):
    return [str(python), "-c", TRAIN, "train", str(recipe), "--run", str(run), *more]


def wait_for_step(run, step, process):
    while process.poll() is None:
        if (run / "log.jsonl").exists() and any(
            line["step"] >= step for line in map(json.loads, _whole_lines(run / "log.jsonl"))
        ):
            return
        time.sleep(0.01)
    raise AssertionError(f"the run ended before step {step}")


def _whole_lines(path):
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("}\n")]


@pytest.mark.slow
def test_kill_9_at_three_moments_then_resume_is_the_uninterrupted_run(tmp_path, toy_run, python):
    config = toy_run(steps=80, validate_every=40, checkpoint_every=7)
    recipe = write_recipe(tmp_path / "toy.yaml", config)
    Trainer(config, tmp_path / "whole").fit()
    resume = []
    for step in np.sort(np.random.default_rng().integers(8, 75, 3)):
        command = train_command(python, recipe, tmp_path / "killed", *resume)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            pid = int(process.stdout.readline())
            wait_for_step(tmp_path / "killed", step, process)
            os.kill(pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        resume = ["--resume"]
    subprocess.run(train_command(python, recipe, tmp_path / "killed", "--resume"), check=True, capture_output=True)
    for kind in ("train", "validation"):
        whole, killed = records(tmp_path / "whole", kind), records(tmp_path / "killed", kind)
        assert [line["step"] for line in whole] == [line["step"] for line in killed]
        name = "loss" if kind == "train" else "si_sdr"
        assert np.allclose([line[name] for line in whole], [line[name] for line in killed], rtol=1e-5)


@pytest.mark.slow
def test_ctrl_c_saves_and_exits_cleanly(tmp_path, toy_run, python):
    recipe = write_recipe(tmp_path / "toy.yaml", toy_run(steps=100_000, validate_every=100_000))
    with subprocess.Popen(train_command(python, recipe, tmp_path / "run"), stderr=subprocess.PIPE) as process:
        wait_for_step(tmp_path / "run", 5, process)
        process.send_signal(signal.SIGINT)
        error = process.stderr.read().decode()
    assert process.returncode == 0
    assert "--resume goes on" in error
    assert "Traceback" not in error
    assert load_weights(tmp_path / "run" / "model.safetensors").config.name == "toy"
    again = subprocess.run(train_command(python, recipe, tmp_path / "run"), capture_output=True, check=False)
    assert again.returncode == 1
    assert b"give --resume" in again.stderr


@pytest.mark.slow
def test_two_processes_train_together(tmp_path, toy_run, python):
    """Through torchrun on the CPU, with codebooks that rest until they start; see test_processes.py for all kinds."""
    recipe = write_recipe(tmp_path / "toy.yaml", toy_run(devices=2, model={"codebook_kind": "gradient"}))
    command = [python, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m", "vqcodec"]
    command += ["train", str(recipe), "--run-dir", str(tmp_path / "run")]
    result = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert result.returncode == 0, result.stderr.decode()
    assert b"2 process(es)" in result.stderr
    assert len(records(tmp_path / "run")) == 12


def test_data_that_cannot_be_found_is_one_clear_error(tmp_path, toy_run):
    from vqcodec.errors import AudioError

    with pytest.raises(AudioError, match="no audio found"):
        Trainer(toy_run(data={"train": [str(tmp_path)]}), tmp_path / "run").fit()
    soundfile.write(tmp_path / "a.wav", np.zeros(10), 8000)
    with pytest.raises(TrainingError, match="no clip is"):
        Trainer(toy_run(data={"train": [str(tmp_path / "a.wav")]}), tmp_path / "run").fit()


def test_a_run_that_would_never_quantize_is_refused(tmp_path, toy_run):
    with pytest.raises(TrainingError, match=r"quantization begins at quantizer.start_step 4; train longer"):
        Trainer(toy_run(steps=4), tmp_path)


def test_a_loss_below_zero_may_fall_and_may_not_explode(tmp_path, toy_run):
    trainer = Trainer(toy_run(), tmp_path)
    trainer._running_loss = -60.0
    trainer._check(-65.0, Batch(torch.zeros(1, 1, 1), ["a"]))
    with pytest.raises(TrainingError, match="lower optimizer.learning_rate"):
        trainer._check(2000.0, Batch(torch.zeros(1, 1, 1), ["a"]))


def test_another_optimizer_cannot_go_on(tmp_path, toy_run):
    Trainer(toy_run(), tmp_path).fit()
    with pytest.raises(TrainingError, match="its optimizer is adamw, not muon"):
        Trainer(toy_run(optimizer={"kind": "muon"}), tmp_path).resume()


def test_a_checkpoint_that_lacks_something_is_one_line(tmp_path, toy_run):
    config = toy_run(steps=5)
    Trainer(config, tmp_path).fit()
    folder = tmp_path / "checkpoints" / "step-00000005"
    numbers, tensors = json.loads((folder / "state.json").read_text()), load_file(folder / "state.safetensors")
    trainer = Trainer(config, tmp_path)
    for change in ({"quantizing": 1}, {"running_loss": "x"}, {"running_loss": [1]}):
        (folder / "state.json").write_text(json.dumps({**numbers, **change}))
        with pytest.raises(TrainingError, match="damaged checkpoint .state.json: quantizing"):
            trainer.resume()
    (folder / "state.json").write_text(json.dumps(numbers))
    for start in ("average.", "codec."):
        some = {name: tensor for name, tensor in tensors.items() if not name.startswith(f"{start}encoder.norm")}
        save_file(some, folder / "state.safetensors")
        with pytest.raises(TrainingError, match="of another architecture"):
            trainer.resume()
    save_file({**tensors, "optimizer.999.exp_avg": torch.ones(1)}, folder / "state.safetensors")
    with pytest.raises(TrainingError, match="damaged checkpoint .the optimizer has no parameter of '999"):
        trainer.resume()


def test_a_full_disk_ends_a_run_in_one_line(tmp_path, toy_run, capfd):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    trainer = Trainer(toy_run(), tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, limits[1]))
    try:
        with pytest.raises(OutputError, match="no space left on the disk"):
            trainer.fit()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "Traceback" not in capfd.readouterr().err
    assert not list(tmp_path.rglob(".*"))
