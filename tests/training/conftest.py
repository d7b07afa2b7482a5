"""A recipe so small that a run takes seconds."""

from dataclasses import asdict

import pytest

from vqcodec.training.config import RunConfig, validate


@pytest.fixture(scope="session")
def toy_run(toy_config, speech_path):
    """Function of changed keys -> RunConfig of the toy model on the two test clips."""

    def make(**changes):
        values = {
            "model": asdict(toy_config),
            "quantizer": {"start_step": 4, "kmeans_batches": 8},
            "data": {
                "train": [str(speech_path.parent)],
                "valid": [str(speech_path)],
                "valid_clips": 1,
                "segment_seconds": 0.3,
                "batch_size": 2,
            },
            "steps": 12,
            "log_every": 1,
            "validate_every": 12,
            "checkpoint_every": 4,
            "validate_codebooks": [1, 3],
            "accelerator": "cpu",
        }
        for key, value in changes.items():
            values[key] = values[key] | value if isinstance(value, dict) and key in values else value
        return validate(RunConfig, values, where="test")

    return make
