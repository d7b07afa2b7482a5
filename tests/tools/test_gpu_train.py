"""The carried run at toy size on the CPU: pack, train, go on, come back with half-precision weights."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import soundfile

from vqcodec.models.weights import load_weights

TOOLS = Path(__file__).parents[2] / "tools"
TOY = [
    "model.channels=16",
    "model.stft_channels=8",
    "model.latent_dim=8",
    "model.codebook_size=16",
    "quantizer.start_step=2",
    "quantizer.kmeans_batches=2",
    "data.batch_size=2",
    "data.workers=0",
    "discriminator.start_step=3",
    "discriminator.warmup_steps=1",
    "discriminator.channels=4",
    "accelerator=cpu",
    "log_every=1",
    "validate_every=8",
]


@pytest.mark.slow
def test_a_carried_run_trains_goes_on_and_brings_its_results_back(tmp_path, speech_path, python):
    for split in ("train", "valid"):
        command = [python, TOOLS / "pack_clips.py", speech_path.parent, tmp_path / "carried" / split]
        subprocess.run(command, check=True, capture_output=True)
    packed = soundfile.info(tmp_path / "carried" / "train" / "ljspeech.opus")
    assert (packed.format, packed.subtype, packed.samplerate) == ("OGG", "OPUS", 16000)
    assert packed.duration == pytest.approx(5.139, abs=0.1)

    # A copy of the tree, as on the other machine: the package is not installed there, and runs/ starts empty.
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("vqcodec", "recipes", "tools"):
        (tree / name).symlink_to(TOOLS.parent / name)
    (tree / "runs").mkdir()
    environment = {**os.environ, "PYTHON": str(python)}

    def run(steps):
        command = ["bash", tree / "tools" / "gpu_train", tmp_path / "carried", tmp_path / "out", "5"]
        return subprocess.run(
            [*command, f"steps={steps}", *TOY], check=True, capture_output=True, env=environment, cwd=tree
        )

    run(4)
    assert "resume" not in run(8).stderr.decode()
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "train"]
    assert [line["step"] for line in steps] == list(range(1, 9))
    assert steps[-1]["adversarial"] > 0
    assert load_weights(tmp_path / "out" / "model.safetensors").config.channels == 16
    assert (tmp_path / "out" / "model.safetensors").stat().st_size < 16e6
