"""What other tools would write, made without vqcodec's parsers, and small models that could have made it."""

import io

import numpy as np
import pytest
import torch

from vqcodec.models.architecture import ModelConfig
from vqcodec.models.codec import Codec
from vqcodec.models.weights import save_weights


def _dac_object(codes, **metadata):
    """The dict that DACFile.save hands to numpy."""
    codes = np.asarray(codes, np.uint16)
    facts = {
        "input_db": np.array([-23.456], np.float32),
        "original_length": codes.shape[2] * 512,
        "sample_rate": 44100,
        "chunk_length": codes.shape[2],
        "channels": codes.shape[0],
        "padding": True,
        "dac_version": "1.0.0",
    }
    return {"codes": codes, "metadata": facts | metadata}


def _saved(value):
    """The bytes that np.save makes of it."""
    file = io.BytesIO()
    np.save(file, value)
    return file.getvalue()


@pytest.fixture(scope="session")
def dac_object():
    return _dac_object


@pytest.fixture(scope="session")
def saved():
    return _saved


def weights_of(tmp_path_factory, name, **facts):
    config = ModelConfig(
        name=name,
        stft_channels=8,
        channels=16,
        encoder_stft_blocks=1,
        encoder_blocks=1,
        decoder_blocks=1,
        decoder_stft_blocks=1,
        latent_dim=4,
        **facts,
    )
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp(name) / f"{name}.safetensors"
    save_weights(config, Codec(config).state_dict(), path)
    return path


@pytest.fixture(scope="session")
def like_encodec(tmp_path_factory):
    """Weights of a tiny model with the rate, frames and codebooks of encodec_24khz."""
    facts = {"sample_rate_hz": 24000, "hop_length": 320, "total_codebooks": 32}
    return weights_of(tmp_path_factory, "like-encodec", **facts)


@pytest.fixture(scope="session")
def like_dac(tmp_path_factory):
    """Weights of a tiny model with the rate, frames and codebooks of DAC at 44.1 kHz."""
    facts = {"sample_rate_hz": 44100, "hop_length": 512, "window_length": 512, "stft_hop": 128, "total_codebooks": 9}
    return weights_of(tmp_path_factory, "like-dac", **facts)
