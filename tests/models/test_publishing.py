import json

import pytest
import yaml
from click.testing import CliRunner

import vqcodec
from vqcodec.cli import main
from vqcodec.errors import ModelError, OutputError, VqcodecError
from vqcodec.models import zoo
from vqcodec.models.publishing import export_hub
from vqcodec.models.weightsfile import file_digest


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


# Back from a hub


@pytest.fixture
def cached(toy_weights, tmp_path, monkeypatch):
    """A cache of huggingface_hub that holds the toy model as "ada/toy", without a network; its snapshot's folder."""
    repository = tmp_path / "cache" / "models--ada--toy"
    snapshot = repository / "snapshots" / "0123abcd"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123abcd")
    (repository / "blobs").mkdir()
    snapshot.mkdir(parents=True)
    for path in export_hub(toy_weights, tmp_path / "exported"):
        path.rename(repository / "blobs" / path.name)
        (snapshot / path.name).symlink_to(f"../../blobs/{path.name}")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return snapshot


def test_a_published_model_loads_by_its_name(cached, toy_codec, speech):
    codec = vqcodec.load("hf:ada/toy")
    assert codec.fingerprint == toy_codec.fingerprint
    data = vqcodec.compress(speech[:4000], 16000, model="hf:ada/toy")
    assert data == vqcodec.compress(speech[:4000], 16000, model=toy_codec)
    assert vqcodec.decompress(data, model="hf:ada/toy")[0].shape == (1, 4000)


def test_a_published_model_loads_from_a_folder(toy_weights, toy_codec, tmp_path):
    export_hub(toy_weights, tmp_path / "toy")
    assert vqcodec.load(f"hf:{tmp_path / 'toy'}").fingerprint == toy_codec.fingerprint
    (tmp_path / "toy" / "config.json").unlink()
    assert vqcodec.load(f"hf:{tmp_path / 'toy'}").fingerprint == toy_codec.fingerprint


def test_the_commands_take_a_published_model(cached, speech_path, tmp_path):
    run = CliRunner().invoke
    for command, source, target in (("encode", speech_path, "a.vqc"), ("decode", tmp_path / "a.vqc", "a.wav")):
        result = run(main, [command, str(source), str(tmp_path / target), "--model", "hf:ada/toy"])
        assert result.exit_code == 0, result.output


def test_weights_that_the_config_does_not_name_are_refused(cached):
    weights = cached / "toy.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ModelError, match="SHA-256 is .* expected") as caught:
        vqcodec.load("hf:ada/toy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "no readable JSON"),
        ("[" * 100_000, "no readable JSON"),
        ('{"model_type": "vqcodec"}', "names no weights"),
        ('{"model_type": "vqcodec", "weights": "../toy.safetensors", "sha256": "00"}', "names no weights"),
        ('{"model_type": "vqcodec", "weights": "..", "sha256": "00"}', "not there"),
        ('{"model_type": "vqcodec", "weights": "%s", "sha256": "00"}' % ("a" * 5000), "not there"),
        ('{"model_type": "vqcodec", "weights": "other.safetensors", "sha256": "00"}', "not there"),
        ('{"model_type": "vqcodec", "weights": "toy.safetensors", "sha256": "00"}', "SHA-256"),
        ('{"model_type": "vqcodec", "weights": "toy.safetensors", "sha256": 0}', "names no weights"),
    ],
)
def test_a_damaged_config_is_told_in_one_line(cached, config, message):
    (cached / "config.json").write_text(config)
    with pytest.raises(ModelError, match=message) as caught:
        vqcodec.load("hf:ada/toy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["hf:ada/missing", "hf:nobody", "hf:", "hf:../../etc", "hf:a/b/c", "hf:a\nb/c"])
def test_a_model_that_is_not_there_is_one_clear_line(cached, name, tmp_path):
    with pytest.raises(VqcodecError) as caught:
        vqcodec.load(name)
    assert "\n" not in str(caught.value)
    result = CliRunner().invoke(main, ["encode", "a.wav", str(tmp_path / "a.vqc"), "--model", name])
    assert result.exit_code == 1
    assert result.output.count("\n") == 1


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(VqcodecError):
        vqcodec.load(f"hf:{tmp_path}")
