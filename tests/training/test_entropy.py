import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from vqcodec.audio.discover import Clip, find_audio
from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.cli import main
from vqcodec.errors import AudioError, TrainingError
from vqcodec.files.convert import compress, decompress
from vqcodec.models.weights import load_weights, save_weights
from vqcodec.training.entropy import EntropyFit, collect_codes, fit_entropy, measured_bits

FIT = EntropyFit(layers=2, epochs=20, hidden=24, batch_size=64)


def structured_codes(seed, clips=6, frames=300):
    """Codes [3, F] of 16: the first wanders, the second follows the first's neighbours, the third is noise."""
    random = np.random.default_rng(seed)
    for _ in range(clips):
        first = np.cumsum(random.integers(-1, 2, frames)) % 16
        second = (np.roll(first, -1) + random.integers(0, 2, frames)) % 16
        yield np.stack([first, second, random.integers(0, 16, frames)]).astype(np.uint16)


@pytest.mark.slow
def test_a_fit_finds_what_past_and_lower_codes_tell(toy_codec):
    tensors = fit_entropy(toy_codec, list(structured_codes(0)), FIT, report=lambda line: None)
    assert tensors["embedding"].shape == (2, 16, 8)
    bits = measured_bits(tensors, list(structured_codes(1)))
    assert bits[0] < 2.3, "log2(3) = 1.58 of 4 bits is the best"
    assert bits[1] < 1.8, "1 of 4 bits is the best"
    again = fit_entropy(toy_codec, list(structured_codes(0)), FIT, report=lambda line: None)
    assert all(np.array_equal(again[name], value) for name, value in tensors.items())


def test_no_audio_is_one_clear_error(toy_codec):
    with pytest.raises(TrainingError, match="no audio"):
        fit_entropy(toy_codec, [np.zeros((3, 0), np.uint16)], FIT)


def test_codes_of_shifted_clips_differ(toy_codec, speech_path):
    plain, shifted = collect_codes(toy_codec, [Clip(speech_path)], shifts=[0, 0.5])
    assert plain.shape[0] == 3
    assert plain.dtype == np.uint16
    assert 0 < (plain[:, : shifted.shape[1]] != shifted[:, : plain.shape[1]]).mean() < 1


def test_codes_are_of_the_part_that_a_manifest_names(tmp_path, toy_codec, speech_path):
    (tmp_path / "list.csv").write_text(f"path,start,duration\n{speech_path},1.5,0.4\n")
    (codes,) = collect_codes(toy_codec, find_audio([tmp_path / "list.csv"]))
    wave, rate_hz = soundfile.read(speech_path, dtype="float32")
    soundfile.write(
        tmp_path / "part.wav", wave[round(1.5 * rate_hz) :][: round(0.4 * rate_hz)], rate_hz, subtype="FLOAT"
    )
    (wanted,) = collect_codes(toy_codec, [Clip(tmp_path / "part.wav")])
    np.testing.assert_array_equal(codes, wanted)
    soundfile.write(tmp_path / "two.wav", np.stack([0 * wave, wave], axis=1), rate_hz, subtype="FLOAT")
    (tmp_path / "list.csv").write_text("path,start,end,channel\ntwo.wav,1.5,1.9,1\n")
    (codes,) = collect_codes(toy_codec, find_audio([tmp_path / "list.csv"]))
    np.testing.assert_array_equal(codes, wanted)
    (tmp_path / "list.csv").write_text("path,channel\ntwo.wav,2\n")
    with pytest.raises(AudioError, match=r"two\.wav: has no channel 2; give 0 to 1"):
        list(collect_codes(toy_codec, find_audio([tmp_path / "list.csv"])))


@pytest.mark.slow
def test_fit_entropy_writes_weights_whose_files_are_smaller(tmp_path, toy_weights, speech_path, speech):
    target = tmp_path / "fitted.safetensors"
    arguments = ["fit-entropy", str(speech_path.parent), "--model", str(toy_weights), "--out", str(target)]
    arguments += ["--valid", str(speech_path), "--epochs", "10", "--hidden", "16", "--codebooks", "5"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "bits per code" in result.stdout
    assert len(result.stdout.splitlines()) == 1 + 3
    fitted, plain = load_weights(target), load_weights(toy_weights)
    assert isinstance(fitted.entropy, EntropyModel)
    assert fitted.fingerprint != plain.fingerprint
    wave = torch.from_numpy(speech)[None, None, :8000]
    assert torch.equal(fitted.encode(wave), plain.encode(wave))
    coded, fixed = compress(speech, 16000, model=fitted), compress(speech, 16000, model=plain)
    assert len(coded) < len(fixed)
    assert np.array_equal(decompress(coded, model=fitted)[0], decompress(fixed, model=plain)[0])
    assert CliRunner().invoke(main, arguments).exit_code == 1, "it does not overwrite"


def test_weights_with_a_broken_entropy_model_are_refused(tmp_path, toy_config, toy_codec):
    from vqcodec.errors import ModelError

    path = tmp_path / "broken.safetensors"
    save_weights(toy_config, toy_codec.state_dict(), path, entropy={"embedding": np.zeros((1, 16, 8), np.int8)})
    with pytest.raises(ModelError, match="broken.safetensors: the entropy model lacks decay"):
        load_weights(path)
    small = fit_entropy(
        toy_codec, list(structured_codes(0, clips=1)), EntropyFit(layers=1, epochs=1), report=json.dumps
    )
    save_weights(replace(toy_config, codebook_size=16), toy_codec.state_dict(), path, entropy=small)
    assert load_weights(path).entropy.num_layers == 1
