from importlib import resources

import pytest

import vqcodec
from vqcodec.errors import ConfigError, ModelError
from vqcodec.models import zoo


@pytest.mark.parametrize("card", zoo.MODELS.values(), ids=list(zoo.MODELS))
def test_every_card_tells_the_truth(card):
    codec = zoo.load(card.name)
    facts = ("sample_rate_hz", "hop_length", "total_codebooks", "codebook_size")
    assert all(getattr(codec, fact) == getattr(card, fact) for fact in facts)
    assert codec.config.name == card.name
    assert codec.fingerprint.hex() == card.sha256
    assert zoo.find(codec.fingerprint[:4]) is card
    folder = resources.files("vqcodec.models.bundled")
    assert (folder / f"{card.name}.md").read_text(encoding="utf-8").startswith(f"# {card.name}")
    assert len((folder / f"{card.name}.safetensors").read_bytes()) < 24e6


def test_a_path_loads_too(toy_weights):
    assert zoo.load(str(toy_weights)).config.name == zoo.load(toy_weights).config.name == "toy"


def test_files_of_earlier_weights_name_the_revision_that_bundled_them(toy_weights, speech, monkeypatch):
    model = zoo.load(toy_weights)
    data = vqcodec.compress(speech[:4000], 16000, model=model)
    with pytest.raises(ModelError, match="not bundled .*give its weights file"):
        vqcodec.decompress(data)
    monkeypatch.setitem(zoo.FORMER_WEIGHTS, model.fingerprint.hex(), "abc1234")
    with pytest.raises(ModelError, match="earlier weights of speech-16k .*install revision abc1234"):
        vqcodec.decompress(data)
    assert vqcodec.decompress(data, model=model)[1] == 16000


def test_no_bundled_weights_count_as_earlier_ones():
    assert not {card.sha256 for card in zoo.MODELS.values()} & zoo.FORMER_WEIGHTS.keys()


def test_unknown_models_and_devices_name_the_remedy():
    with pytest.raises(ModelError, match="speech-16k"):
        zoo.load("speech-99k")
    with pytest.raises(ConfigError, match="cpu"):
        zoo.load(device="abacus")
    for no_file in ("x" * 5000, "a\0b"):
        with pytest.raises(ModelError, match="no such model"):
            zoo.load(no_file)
    assert zoo.find(b"none") is None
