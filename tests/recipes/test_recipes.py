"""Every recipe loads, and trains a few steps with its model at toy size."""

from pathlib import Path

import pytest

from vqcodec.config import load_run_config
from vqcodec.training.trainer import Trainer

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_loads_and_trains(recipe, tmp_path, speech_path):
    small = {
        "steps": 4,
        "model.channels": 16,
        "model.stft_channels": 8,
        "model.latent_dim": 8,
        "model.codebook_size": 16,
        "quantizer.start_step": 2,
        "quantizer.kmeans_batches": 2,
        "data.train": f"[{speech_path}]",
        "data.valid": f"[{speech_path}]",
        "data.batch_size": 2,
        "data.workers": 0,
        "validate_every": 100,
        "validate_codebooks": "[1]",
        "init": "null",
        "accelerator": "cpu",
    }
    config = load_run_config(recipe, [f"{key}={value}" for key, value in small.items()])
    if config.discriminator.start_step is not None:
        change = {"start_step": 2, "warmup_steps": 1, "channels": 4}
        stage = config.discriminator.model_copy(update=change)
        config = config.model_copy(update={"discriminator": stage})
    assert Trainer(config, tmp_path).fit().finished
