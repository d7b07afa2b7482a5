import json

import pytest
import yaml
from click.testing import CliRunner

import vqcodec
from vqcodec import zoo
from vqcodec.cli import main
from vqcodec.errors import ModelError, OutputError
from vqcodec.publishing import export_hub
from vqcodec.weightsfile import file_digest


def front_matter(path):
    """The hub's facts above a model card, and the card."""
    _, facts, card = path.read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(facts), card


def test_the_folder_has_the_weights_as_they_are_and_what_names_them(toy_weights, toy_codec, tmp_path):
    paths = export_hub(toy_weights, tmp_path / "new" / "toy")
    assert sorted(path.name for path in (tmp_path / "new" / "toy").iterdir()) == sorted(path.name for path in paths)
    weights, config, card = paths
    assert weights.read_bytes() == toy_weights.read_bytes()
    facts = json.loads(config.read_text(encoding="utf-8"))
    assert (facts["model_type"], facts["library_name"], facts["name"]) == ("vqcodec", "vqcodec", "toy")
    assert facts["sha256"] == toy_codec.fingerprint.hex()
    assert facts["weights"] == "toy.safetensors"
    assert facts["architecture"] == json.loads(toy_codec.config.to_json())
    told, text = front_matter(card)
    assert told["library_name"] == "vqcodec"
    assert "license" not in told
    assert toy_codec.fingerprint.hex() in text
    assert "0.2 to 0.6 kbps" in text


def test_a_bundled_model_goes_with_its_own_card_and_licence(tmp_path):
    weights, _, card = export_hub("speech-16k", tmp_path)
    assert file_digest(weights).hex() == zoo.MODELS["speech-16k"].sha256
    told, text = front_matter(card)
    assert told["license"] == "apache-2.0"
    assert text.count("# speech-16k\n") == 1
    assert "## Data" in text
    assert 'vqcodec.load("hf:' in text


def test_nothing_is_replaced_or_mixed_unasked(toy_weights, tmp_path):
    paths = export_hub(toy_weights, tmp_path)
    before = [path.read_bytes() for path in paths]
    with pytest.raises(OutputError, match="exists already"):
        export_hub(toy_weights, tmp_path)
    paths[1].write_text("old")
    export_hub(toy_weights, tmp_path, force=True)
    assert [path.read_bytes() for path in paths] == before
    with pytest.raises(OutputError, match="has other weights, toy.safetensors"):
        export_hub("speech-16k", tmp_path, force=True)
    with pytest.raises(ModelError, match="no such model"):
        export_hub("nothing", tmp_path / "other")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot make the folder"):
        export_hub(toy_weights, tmp_path / "file" / "folder")


def test_the_command_tells_what_it_wrote(toy_weights, tmp_path):
    run = CliRunner().invoke
    result = run(main, ["export", "--model", str(toy_weights), "--hub", str(tmp_path / "toy")])
    assert result.exit_code == 0, result.output
    names = ["toy.safetensors", "config.json", "README.md"]
    assert result.output.split() == [str(tmp_path / "toy" / name) for name in names]
    assert run(main, ["export", "--model", str(toy_weights)]).exit_code == 2
    assert vqcodec.load(tmp_path / "toy" / "toy.safetensors").config.name == "toy"
