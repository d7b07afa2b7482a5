"""The search for the codes of every depth at once, against the one for a single depth, on both engines."""

import numpy as np
import pytest
import torch

import vqcodec
from vqcodec.errors import ModelError
from vqcodec.sessions.search import SEARCHED_FRAMES, LatentSession, new_depth_coder, search_depths


@pytest.mark.parametrize("name", ["torch", "onnx"])
def test_each_depth_has_the_codes_of_a_search_for_so_many(codec, speech, name):
    """But for vectors as near as rounding: at most one frame in a hundred."""
    engine = codec if name == "torch" else vqcodec.load_onnx()
    wave = speech[None, : 320 * 150]
    coder = new_depth_coder(engine, engine.code_vectors(), num_codebooks=5, batch=1)
    found = [coder.push(wave), coder.flush()]
    assert [each.frames for each in found] == [2 * SEARCHED_FRAMES, 150 - 2 * SEARCHED_FRAMES]
    paths, errors = (np.concatenate(each, axis=-1)[0] for each in zip(*found, strict=True))
    latent = codec.encoder(torch.from_numpy(wave))[0][0].detach().numpy()
    for depth in (1, 3, 5):
        wanted = codec.encode(torch.from_numpy(wave)[None], num_codebooks=depth)[0].numpy()
        assert (paths[depth - 1, :depth] == wanted).all(axis=0).mean() >= 0.99
        assert (paths[depth - 1, depth:] == -1).all()
        summed = sum(codec.code_vectors()[layer][row] for layer, row in enumerate(paths[depth - 1, :depth]))
        assert np.allclose(np.square(latent - summed).sum(axis=1), errors[depth - 1], rtol=1e-3)


def test_a_frame_alone_is_searched_as_among_others(codec):
    latents = np.random.default_rng(0).standard_normal((SEARCHED_FRAMES, 64)).astype(np.float32) * 3
    paths, errors = search_depths(latents, codec.code_vectors()[:4], 4)
    for frame in (0, 17):
        alone, its = search_depths(latents[frame : frame + 1], codec.code_vectors()[:4], 4)
        assert np.array_equal(alone[..., 0], paths[..., frame])
        assert np.allclose(its[:, 0], errors[:, frame])


def test_codes_that_are_not_searched_for_are_the_first_of_all(toy_codec, noise, monkeypatch):
    monkeypatch.setattr(type(toy_codec), "is_searched", False)
    coder = new_depth_coder(toy_codec, toy_codec.code_vectors(), num_codebooks=3, batch=2)
    found = coder.push(noise(2, 1600))
    wanted = vqcodec.EncodeSession(toy_codec, num_codebooks=3, batch=2).push(noise(2, 1600))
    assert np.array_equal(found.paths[:, -1], wanted)
    for depth in (1, 2, 3):
        assert np.array_equal(found.paths[:, depth - 1, :depth], wanted[:, :depth])
        assert (found.paths[:, depth - 1, depth:] == -1).all()
    assert (found.errors[:, :-1] > 0).any()
    assert (found.errors[:, -1] == 0).all()


def test_graphs_that_give_no_latents_are_told_to_be_made_again(monkeypatch):
    engine = vqcodec.load_onnx()
    session = LatentSession(engine)
    monkeypatch.setattr("vqcodec.models.onnx_codec._Graph.has_output", lambda *_: False)
    with pytest.raises(ModelError, match=r"encoder-fast.onnx: gives no latent; run vqcodec export again"):
        session.push(np.zeros((1, 320), np.float32))
