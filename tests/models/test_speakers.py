"""A decoder that is told who speaks: its layers, its files, and the ways in which commands and Python use them."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

import vqcodec
from vqcodec.cli import main
from vqcodec.errors import ConfigError, ModelError
from vqcodec.models.architecture import ModelConfig
from vqcodec.models.codec import Codec
from vqcodec.models.export import export_onnx
from vqcodec.models.weights import load_weights, save_weights
from vqcodec.nn.speakers import SpeakerNorm

NAMES = ("anna", "bert", "carla b.")


@pytest.fixture(scope="module")
def weights(toy_config, tmp_path_factory):
    """An untrained model with three speakers, who change much."""
    torch.manual_seed(2)
    path = tmp_path_factory.mktemp("speakers") / "toy.safetensors"
    config = replace(toy_config, speakers=NAMES, source_hz=1000)
    state = {
        name: torch.randn_like(value) if ".to_norm." in name else value
        for name, value in Codec(config).state_dict().items()
    }
    save_weights(config, state, path)
    return path


@pytest.fixture(scope="module")
def codes():
    return torch.randint(16, (2, 3, 20), generator=torch.Generator().manual_seed(0))


def run(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


def test_speakers_are_nothing_at_first(toy_config, codes):
    torch.manual_seed(0)
    plain = Codec(toy_config).eval()
    told = Codec(replace(toy_config, speakers=NAMES)).eval()
    missing, unknown = told.load_state_dict(plain.state_dict(), strict=False)
    assert missing and not unknown
    torch.testing.assert_close(told.decode(codes, speaker="bert"), plain.decode(codes), rtol=0, atol=1e-6)


def test_each_speaker_is_heard_and_speaking_as_one_is_being_told_it(weights, codes):
    codec = load_weights(weights)
    heard = {name: codec.decode(codes, speaker=name) for name in NAMES}
    assert not torch.allclose(heard["anna"], heard["bert"], atol=1e-3)
    indices = torch.tensor([1, 0])
    mixed = codec._synthesize(codec.quantizer.decode(torch.cat((codes, codes[:, :, -1:]), 2)), indices)
    torch.testing.assert_close(mixed[0], heard["bert"][0, :, : mixed.shape[2]], rtol=0, atol=1e-5)
    torch.testing.assert_close(mixed[1], heard["anna"][1, :, : mixed.shape[2]], rtol=0, atol=1e-5)
    settled = vqcodec.load(weights, speaker="bert")
    assert not any(isinstance(layer, SpeakerNorm) for layer in settled.modules())
    torch.testing.assert_close(settled.decode(codes), heard["bert"], rtol=0, atol=1e-5)
    assert settled.fingerprint == codec.fingerprint


def test_a_stream_in_pieces_speaks_as_the_whole(weights, codes):
    codec = vqcodec.load(weights, speaker="carla b.")
    session = vqcodec.DecodeSession(codec, batch=2)
    pieces = [session.push(piece) for piece in np.split(codes.numpy(), [1, 7], axis=2)]
    wave = np.concatenate([*pieces, session.flush()], axis=1)
    np.testing.assert_allclose(wave, codec.decode(codes)[:, 0].numpy(), rtol=0, atol=1e-5)


def test_a_decoder_that_was_told_nobody_says_what_to_do(weights, codes, tmp_path):
    codec = load_weights(weights)
    for decode in (codec.decode, lambda codes: codec.decode_block(codes.numpy())):
        with pytest.raises(ConfigError, match=r"toy is told who shall speak; give --speaker NAME"):
            decode(codes)
    data = vqcodec.compress(np.zeros(4000, np.float32), 8000, model=weights)
    (tmp_path / "in.vqc").write_bytes(data)
    for live in ((), ("--live",)):
        result = run("decode", tmp_path / "in.vqc", tmp_path / "out.wav", "--model", weights, *live)
        assert (result.exit_code, result.output.count("\n")) == (1, 1)
        assert "give --speaker NAME" in result.output
    assert not (tmp_path / "out.wav").exists()
    result = run("decode", tmp_path / "in.vqc", tmp_path / "out.wav", "--model", weights, "--speaker", "anna")
    assert result.exit_code == 0, result.output
    with pytest.raises(ConfigError, match="a graph cannot be told who speaks"):
        export_onnx(weights, tmp_path / "graphs")
    assert not (tmp_path / "graphs").exists()
    with pytest.raises(ConfigError, match="the onnx engine does not run toy"):
        vqcodec.load(weights, engine="onnx")


def test_convert_keeps_length_rate_and_channels_and_is_encode_and_decode(weights, speech, tmp_path):
    stereo = np.stack((speech[:22050], speech[22050:44100]), axis=1)
    soundfile.write(tmp_path / "in.wav", stereo, 22050, subtype="FLOAT")
    named = ("--model", weights, "--speaker", "anna")
    result = run("convert", tmp_path / "in.wav", tmp_path / "out.flac", *named)
    assert result.exit_code == 0, result.output
    converted, rate_hz = soundfile.read(tmp_path / "out.flac", dtype="float32")
    assert (converted.shape, rate_hz) == (stereo.shape, 22050)
    assert run("encode", tmp_path / "in.wav", tmp_path / "in.vqc", "--model", weights).exit_code == 0
    assert run("decode", tmp_path / "in.vqc", tmp_path / "again.flac", *named).exit_code == 0
    np.testing.assert_array_equal(soundfile.read(tmp_path / "again.flac", dtype="float32")[0], converted)
    vqcodec.convert_file(tmp_path / "in.wav", tmp_path / "other.wav", model=weights, speaker="bert", num_codebooks=1)
    assert np.abs(soundfile.read(tmp_path / "other.wav")[0] - converted).max() > 1e-3


def test_an_exported_voice_is_a_model_like_any_other(weights, speech, tmp_path):
    soundfile.write(tmp_path / "in.wav", speech[:8000], 8000, subtype="FLOAT")
    folder = tmp_path / "voice"
    result = run("export", "--model", weights, "--speaker", "carla b.", "--hub", folder)
    assert result.exit_code == 0, result.output
    assert (folder / "toy-carla_b..safetensors").is_file()
    for arguments in (("encode", "in.wav", "in.vqc"), ("decode", "in.vqc", "out.wav")):
        command, *names = arguments
        result = run(command, *(tmp_path / name for name in names), "--model", folder)
        assert result.exit_code == 0, result.output
    vqcodec.convert_file(tmp_path / "in.wav", tmp_path / "converted.wav", model=weights, speaker="carla b.")
    sounds = [soundfile.read(tmp_path / name, dtype="float32")[0] for name in ("out.wav", "converted.wav")]
    np.testing.assert_allclose(*sounds, rtol=0, atol=5e-3)  # norms in half precision
    assert "did you mean anna" in run("export", "--model", weights, "--speaker", "anne", "--hub", folder).output


def test_the_command_lists_speakers(weights):
    result = run("convert", "--list-speakers", "--model", weights)
    assert result.output.splitlines() == list(NAMES)


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["--speaker", "anne"], "did you mean anna?", 1),
        (["--speaker", "x" * 500], "give one of anna, bert, carla b.", 1),
        (["--speaker", ""], "give one of anna, bert, carla b.", 1),
        ([], "give --speaker NAME", 2),
        (["--speaker", "anna", "--kbps", "nan"], "nan", 1),
    ],
)
def test_bad_requests_end_in_a_line_and_leave_no_file(weights, speech_path, tmp_path, arguments, said, code):
    result = run("convert", speech_path, tmp_path / "out.wav", "--model", weights, *arguments)
    assert result.exit_code == code
    assert said in result.output.splitlines()[-1]
    assert len(result.output.splitlines()[-1]) < 400
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_speakers_is_refused_in_a_line(toy_weights, speech_path, tmp_path):
    named = ("--model", toy_weights)
    for arguments in (("--list-speakers",), (speech_path, tmp_path / "out.wav", "--speaker", "anna")):
        result = run("convert", *arguments, *named)
        assert (result.exit_code, result.output.count("\n")) == (1, 1)
        assert "toy is not told who speaks" in result.output
    with pytest.raises(ModelError, match="not told who speaks"):
        vqcodec.load(toy_weights, speaker="anna")
    with pytest.raises(ConfigError, match="this model is loaded"):
        vqcodec.convert_file(speech_path, tmp_path / "out.wav", model=load_weights(toy_weights), speaker="anna")


@pytest.mark.parametrize(
    "speakers",
    ["anna", ["anna", "anna"], ["a\nb"], ["\ud800"], [""], [1], {"anna": 1}, ["x" * 65], ["a"] * 65537, [" a"]],
)
def test_names_that_are_none_are_refused_in_a_line(speakers):
    with pytest.raises(ConfigError, match="speakers") as caught:
        ModelConfig.from_dict({"speakers": speakers}, where="test")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
