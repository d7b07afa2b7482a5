import json

import pytest

from vqcodec.errors import ConfigError
from vqcodec.models.architecture import ModelConfig
from vqcodec.training.config import RunConfig, validate


def test_a_config_survives_json():
    config = ModelConfig(total_codebooks=5)
    assert ModelConfig.from_dict(json.loads(config.to_json()), where="test") == config
    assert validate(RunConfig, {"model": json.loads(config.to_json())}, where="test").model == config


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"hop": 3}, "unknown keys of the architecture: 'hop'"),
        ({"channels": 0}, "channels '0' is not an integer in 1"),
        ({"channels": 10**30}, "channels"),
        ({"channels": True}, "channels"),
        ({"channels": "8"}, "channels"),
        ({"encoder_blocks": 10**7}, "encoder_blocks"),
        ({"name": "a\nb"}, "name"),
        ({"name": 3}, "name"),
        ({"codebook_kind": "none"}, "ema, gradient, factorized"),
        ({"codebook_size": 1000}, "power of two: a code is stored in whole bits, so give 512 or 1024"),
        ({"hop_length": 321}, "multiple of stft_hop"),
        ({"window_length": 80}, "2 or more times"),
        ({"window_length": 65536, "stft_hop": 1, "hop_length": 1}, "at most 64 times"),
        ({"window_length": 65536, "stft_hop": 2048, "hop_length": 2048, "source_hz": 99}, "above 4096, with"),
        ({"codebook_kind": ["ema"]}, "codebook_kind"),
        ({"codebook_kind": {"ema": 1}}, "codebook_kind"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else None,
)
def test_impossible_values_are_refused_in_a_line(values, named):
    with pytest.raises(ConfigError, match=named) as caught:
        ModelConfig.from_dict(values, where="test")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
