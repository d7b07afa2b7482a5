"""A weights file is opened, hashed and read once, whoever asks for it, and damage to it is our own error."""

import builtins
import hashlib
import json
import os
import re
from pathlib import Path

import pytest
import soundfile
from click.testing import CliRunner

from vqcodec.cli import main
from vqcodec.errors import ConfigError, ModelError
from vqcodec.models import zoo
from vqcodec.models.weightsfile import FORMAT, WeightsFile

BYTES = '{"dtype": "U8", "shape": [4], "data_offsets": [%d, %d]}'
PACKAGE = Path(zoo.__file__).parents[1]


@pytest.fixture
def counted(monkeypatch):
    """Counts of what was done to the file of the bundled weights: opened, and hashed."""
    path = PACKAGE / "models" / "bundled" / "speech-16k.safetensors"
    size, counts = path.stat().st_size, {"opened": 0, "hashed": 0}
    real_open, real_sha256, real_digest = builtins.open, hashlib.sha256, hashlib.file_digest

    def counting_open(file, *args, **kwargs):
        counts["opened"] += isinstance(file, str | os.PathLike) and os.fspath(file) == str(path)
        return real_open(file, *args, **kwargs)

    def counting_sha256(data=b"", **kwargs):
        counts["hashed"] += len(data) == size
        return real_sha256(data, **kwargs)

    def counting_digest(file, name):
        counts["hashed"] += file.name == str(path) or file.name == path
        return real_digest(file, name)

    monkeypatch.setattr(builtins, "open", counting_open)
    monkeypatch.setattr(hashlib, "sha256", counting_sha256)
    monkeypatch.setattr(hashlib, "file_digest", counting_digest)
    return counts


@pytest.mark.parametrize(
    "use",
    [
        zoo.load,
        zoo.load_own,
        lambda: zoo.load_onnx().entropy,
        lambda: zoo.load_engine(engine="torch").entropy,
        lambda: zoo.card_of("speech-16k"),
        lambda: zoo.load(PACKAGE / "models" / "bundled" / "speech-16k.safetensors"),
    ],
    ids=["load", "load_own", "load_onnx", "load_engine", "card_of", "path"],
)
def test_an_engine_costs_one_opening_and_one_hash(counted, use):
    use()
    assert counted == {"opened": 1, "hashed": 1}


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_a_command_costs_one_opening_and_one_hash(counted, engine, speech, tmp_path):
    soundfile.write(tmp_path / "a.wav", speech[:4000], 16000)
    command = ["encode", str(tmp_path / "a.wav"), str(tmp_path / "a.vqc"), "--engine", engine]
    assert CliRunner().invoke(main, command).exit_code == 0
    assert counted == {"opened": 1, "hashed": 1}
    command = ["decode", str(tmp_path / "a.vqc"), str(tmp_path / "b.wav"), "--engine", engine]
    assert CliRunner().invoke(main, command).exit_code == 0
    assert counted == {"opened": 2, "hashed": 2}


def test_a_plan_of_tokens_costs_one_opening_and_one_hash(counted, speech, tmp_path):
    soundfile.write(tmp_path / "a.wav", speech[:4000], 16000)
    command = ["tokenize", str(tmp_path / "a.wav"), str(tmp_path / "tokens"), "--kbps", "20", "--plan-only"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0
    assert "20 kbps is more than this model has" in done.output
    assert counted == {"opened": 1, "hashed": 1}


def test_nothing_opens_weights_by_another_way():
    """safetensors' own opening, in Rust, could not be counted."""
    for path in {*PACKAGE.rglob("*.py")} - {PACKAGE / "training" / "checkpoint.py"}:
        assert not re.search(r"\bsafe_open\b|\bload_file\b", path.read_text(encoding="utf-8")), path


def test_tensors_lie_where_their_places_say(toy_weights):
    from safetensors.numpy import load

    file = WeightsFile(toy_weights)
    tensors = load(file.data)
    assert tensors.keys() == file.places.keys()
    for name, place in file.places.items():
        assert file.data[place.offset : place.offset + place.length] == tensors[name].tobytes()
        assert place.shape == tensors[name].shape
    assert file.sha256 == hashlib.sha256(toy_weights.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xff",
        b'{"__metadata__": 3}',
        b'{"__metadata__": {}}',
        json.dumps({"__metadata__": {FORMAT: 3}}).encode(),
        json.dumps({"__metadata__": {FORMAT: "[" * 100000}}).encode(),
        json.dumps({"__metadata__": {FORMAT: "[]"}}).encode(),
        json.dumps({"__metadata__": {FORMAT: "{}"}, "a": 3}).encode(),
        json.dumps({"__metadata__": {FORMAT: "{}"}, "a": {"dtype": "F32"}}).encode(),
        json.dumps(
            {"__metadata__": {FORMAT: "{}"}, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
        ).encode(),
        json.dumps(
            {"__metadata__": {FORMAT: "{}"}, "a": {"dtype": "F32", "shape": [1], "data_offsets": [-9, 0]}}
        ).encode(),
        json.dumps(
            {"__metadata__": {FORMAT: "{}"}, "a": {"dtype": "F32", "shape": "x", "data_offsets": [0, 0]}}
        ).encode(),
    ],
)
def test_impossible_headers_are_one_error(tmp_path, header):
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ModelError) as error:
        WeightsFile(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("entries", "data"),
    [
        ('{"dtype": "F32", "shape": [Infinity], "data_offsets": [0, 4]}', 4),
        ('{"dtype": "F32", "shape": [1], "data_offsets": [0, 1e400]}', 4),
        ('{"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}', 4),
        ('{"dtype": "F32", "shape": [true], "data_offsets": [0, 4]}', 4),
        ('{"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}', 4),
        ('{"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}', 4),
        ('{"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}', 4),
        ('{"dtype": 3, "shape": [1], "data_offsets": [0, 4]}', 4),
        ('{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}', 5),
        ('{"dtype": "F32", "shape": [1], "data_offsets": [1, 5]}', 5),
        (f'{BYTES % (0, 4)}, "b": {BYTES % (2, 6)}', 6),
    ],
)
def test_impossible_places_are_one_error(tmp_path, entries, data):
    header = f'{{"__metadata__": {{"{FORMAT}": "{{}}"}}, "a": {entries}}}'.encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(data))
    with pytest.raises(ModelError, match="not a weights file"):
        WeightsFile(path)


def test_the_header_is_utf_8_and_its_metadata_are_texts(tmp_path):
    path = tmp_path / "a.safetensors"
    whole = json.dumps({"__metadata__": {FORMAT: "{}"}})
    for header in (
        whole.encode("utf-16"),
        whole.encode("utf-8-sig"),
        json.dumps({"__metadata__": {FORMAT: 3}}).encode(),
    ):
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        with pytest.raises(ModelError, match="not a weights file"):
            WeightsFile(path)


def test_what_is_handed_on_is_what_was_hashed(toy_weights):
    file = WeightsFile(toy_weights)
    assert hashlib.sha256(file.data).digest() == file.fingerprint
    with pytest.raises(ModelError, match="SHA-256 is .*, expected 0000"):
        WeightsFile(toy_weights, expected_sha256="0" * 64)


def test_a_header_longer_than_the_file_is_not_read(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes((1 << 62).to_bytes(8, "little") + b"{}")
    with pytest.raises(ModelError, match="not a weights file"):
        WeightsFile(path)


def test_an_impossible_config_names_the_file(tmp_path):
    path = tmp_path / "a.safetensors"
    header = json.dumps({"__metadata__": {FORMAT: json.dumps({"channels": -1})}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ConfigError, match=r"a\.safetensors: channels '-1' is not"):
        WeightsFile(path)


def test_entropy_tensors_that_do_not_fit_their_bytes_are_refused(tmp_path):
    place = {"dtype": "I8", "shape": [3, 3], "data_offsets": [0, 8]}
    header = json.dumps({"__metadata__": {FORMAT: "{}"}, "entropy.embedding": place}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(ModelError, match="'entropy.embedding' has 8 bytes"):
        WeightsFile(path).entropy  # noqa: B018
    place |= {"dtype": "F8_E4M3"}
    header = json.dumps({"__metadata__": {FORMAT: "{}"}, "entropy.embedding": place}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(ModelError, match="of type 'F8_E4M3'"):
        WeightsFile(path).entropy  # noqa: B018
