from importlib import resources

import pytest

from vqcodec import zoo
from vqcodec.errors import ConfigError, ModelError


@pytest.mark.parametrize("card", zoo.MODELS.values(), ids=list(zoo.MODELS))
def test_every_card_tells_the_truth(card):
    codec = zoo.load(card.name)
    facts = ("sample_rate_hz", "hop_length", "total_codebooks", "codebook_size")
    assert all(getattr(codec, fact) == getattr(card, fact) for fact in facts)
    assert codec.config.name == card.name
    assert codec.fingerprint.hex() == card.sha256
    assert zoo.find(codec.fingerprint[:4]) is card
    folder = resources.files("vqcodec.models")
    assert (folder / f"{card.name}.md").read_text(encoding="utf-8").startswith(f"# {card.name}")
    assert len((folder / f"{card.name}.safetensors").read_bytes()) < 16e6


def test_a_path_loads_too(toy_weights):
    assert zoo.load(str(toy_weights)).config.name == zoo.load(toy_weights).config.name == "toy"


def test_unknown_models_and_devices_name_the_remedy():
    with pytest.raises(ModelError, match="speech-16k"):
        zoo.load("speech-99k")
    with pytest.raises(ConfigError, match="cpu"):
        zoo.load(device="abacus")
    assert zoo.find(b"none") is None
