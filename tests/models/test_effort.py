import io
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import soundfile
import torch

import vqcodec
from vqcodec.bitstream import VqcReader
from vqcodec.errors import ConfigError
from vqcodec.models import zoo
from vqcodec.models.architecture import CODEBOOKS, NOT_SEARCHED
from vqcodec.models.codec import Codec
from vqcodec.models.effort import BEAMS, EFFORTS
from vqcodec.models.weights import save_weights
from vqcodec.nn.quantizers.search import beam_search

ENGINES = {"torch": vqcodec.load, "onnx": vqcodec.load_onnx}


@pytest.fixture(scope="module")
def engines():
    """By name and effort."""
    return {(name, effort): load(effort=effort) for name, load in ENGINES.items() for effort in EFFORTS}


@pytest.fixture(params=["ljspeech", "kerstin"])
def wave(request, speech_path):
    """[T], a whole number of frames of real speech."""
    samples = soundfile.read(speech_path.with_name(f"{request.param}.flac"), dtype="float32", frames=64000)[0]
    return samples[: len(samples) // 320 * 320]


def codes_by(engine, wave):
    return vqcodec.EncodeSession(engine).push(wave[None])


def left_over(codec, wave, codes):
    """Energy of the latent minus its quantized self, mean over frames, in double precision."""
    with torch.inference_mode():
        latent = codec.encoder(torch.from_numpy(wave)[None])[0]
        return float(
            (latent.double() - codec.quantizer.decode(torch.from_numpy(codes)).double()).square().sum(2).mean()
        )


def test_more_beams_leave_less_over_on_real_speech(engines, codec, wave):
    for name in ENGINES:
        left = [left_over(codec, wave, codes_by(engines[name, effort], wave)) for effort in EFFORTS]
        assert left == sorted(left, reverse=True)
        assert left[2] < 0.97 * left[1] < 0.97 * 0.97 * left[0]


def test_fast_takes_the_nearest_vector_in_turn(engines, codec, wave):
    """By distances themselves, in double precision, not by the scores that the quantizer maximizes."""
    with torch.inference_mode():
        rest = codec.encoder(torch.from_numpy(wave)[None])[0][0].double()
    nearest = []
    for codebook in codec.quantizer.codebooks:
        vectors = codebook.weight.detach().double()
        nearest.append(torch.cdist(rest, vectors, compute_mode="donot_use_mm_for_euclid_dist").argmin(1))
        rest = rest - vectors[nearest[-1]]
    for name in ENGINES:
        codes = codes_by(engines[name, "fast"], wave)[0]
        # Single precision decides otherwise where two are as near, and then for all that follow.
        assert np.mean(codes == torch.stack(nearest).numpy()) >= 0.999


def test_normal_is_the_default_and_four_beams(engines, codec, wave):
    assert codec.effort == vqcodec.load_onnx().effort == "normal"
    with torch.inference_mode():
        latent = codec.encoder(torch.from_numpy(wave)[None])[0][0]
    for effort in ("normal", "best"):
        found = codes_by(engines["torch", effort], wave)[0]
        assert np.array_equal(found, beam_search(latent, codec.quantizer.codebooks, BEAMS[effort]).T.numpy())
    assert np.array_equal(codes_by(codec, wave), codes_by(engines["torch", "normal"], wave))


@pytest.mark.parametrize("effort", EFFORTS)
def test_both_engines_and_any_pieces_have_the_same_codes(engines, speech, effort, agreement):
    wave = speech[None, :32000]
    by_torch = codes_by(engines["torch", effort], wave[0])
    for name in ENGINES:
        session = vqcodec.EncodeSession(engines[name, effort])
        pieces = [session.push(piece) for piece in np.split(wave, range(500, 32000, 500), axis=1)]
        codes = np.concatenate(pieces, axis=2)
        assert agreement(wave, codes, by_torch) >= 0.999
        assert np.array_equal(codes, codes_by(engines[name, effort], wave[0]))


@pytest.mark.parametrize("count", [1, 3, 11])
@pytest.mark.parametrize("effort", EFFORTS)
def test_fewer_codebooks_are_searched_for_themselves(engines, codec, wave, effort, count, agreement):
    """They leave as little over as the first of more, or less; the nearest in turn are the first of more."""
    by_torch, by_onnx = (engines[name, effort] for name in ENGINES)
    codes, other = (vqcodec.EncodeSession(by, num_codebooks=count).push(wave[None]) for by in (by_torch, by_onnx))
    assert agreement(wave[None], other, codes) >= 0.999
    first = codes_by(by_torch, wave)[:, :count]
    if effort == "fast":
        assert np.array_equal(codes, first)
    else:
        assert left_over(codec, wave, codes) < left_over(codec, wave, first)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("effort", EFFORTS)
def test_files_have_the_codes_of_their_effort(engines, speech, engine, effort):
    data = vqcodec.compress(speech[:32000], 16000, engine=engine, effort=effort)
    codes = np.concatenate([c.codes for c in VqcReader(io.BytesIO(data)).chunks(entropy=zoo.load().entropy)], axis=2)
    assert np.array_equal(codes, codes_by(engines[engine, effort], speech[:32000]))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("effort", ["", "utmost", "Fast", 4, ["fast"]])
def test_an_effort_that_there_is_not_is_one_line(speech, engine, effort):
    message = r"^effort .* is none of fast, normal, best$"
    with pytest.raises(ConfigError, match=message):
        ENGINES[engine](effort=effort)
    with pytest.raises(ConfigError, match=message):
        vqcodec.compress(speech[:320], 16000, engine=engine, effort=effort)


def test_a_loaded_model_has_the_effort_that_it_was_loaded_with(engines, speech):
    fast = engines["torch", "fast"]
    assert vqcodec.compress(speech[:3200], 16000, model=fast, effort="fast") == vqcodec.compress(
        speech[:3200], 16000, model=fast
    )
    with pytest.raises(ConfigError, match="^effort 'best': this model is loaded, with 'fast'; load it with the other"):
        vqcodec.compress(speech[:3200], 16000, model=fast, effort="best")


@pytest.mark.parametrize("kind", CODEBOOKS)
def test_what_is_searched_is_what_is_euclidean(kind):
    module, _, name = CODEBOOKS[kind].partition(":")
    assert getattr(import_module(module), name).is_euclidean == (kind not in NOT_SEARCHED)


@pytest.mark.parametrize(
    "change",
    [{"codebook_kind": "finite_scalar"}, {"strides": (2, 1), "hop_length": 160, "stft_hop": 40}],
    ids=["finite scalar", "multi-scale"],
)
def test_a_model_that_is_not_searched_has_one_effort(toy_config, tmp_path, change, noise):
    config = replace(toy_config, name="plain", **change)
    save_weights(config, Codec(config).state_dict(), tmp_path / "plain.safetensors")
    for load in (*ENGINES.values(), zoo.load_engine):
        with pytest.raises(ConfigError, match="^effort 'fast' is not for plain, whose codes are not searched for"):
            load(tmp_path / "plain.safetensors", effort="fast")
    assert zoo.load(tmp_path / "plain.safetensors", effort="normal").effort == "normal"
    assert not zoo.card_of(tmp_path / "plain.safetensors").is_searched
    assert zoo.card_of("speech-16k").is_searched
