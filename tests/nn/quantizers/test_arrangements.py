"""Groups and strides: what is coded where, and that fewer codebooks are a prefix."""

from dataclasses import replace

import pytest
import torch

from vqcodec.models.codec import Codec, make_quantizer
from vqcodec.nn.quantizers.grouped import GroupedQuantizer
from vqcodec.nn.quantizers.quantizer import Draw
from vqcodec.nn.quantizers.residual import ResidualQuantizer
from vqcodec.nn.quantizers.vector import EmaCodebook

ARRANGEMENTS = {
    "residual": {},
    "grouped": {"groups": 2, "total_codebooks": 4},
    "one codebook": {"total_codebooks": 1},
    "multi-scale": {"strides": (4, 2, 1), "total_codebooks": 7},
    "multi-scale twice": {"strides": (2, 2, 1, 1), "total_codebooks": 6},
}


@pytest.fixture(params=ARRANGEMENTS.values(), ids=ARRANGEMENTS)
def quantizer(request, toy_config):
    torch.manual_seed(0)
    quantizer = make_quantizer(replace(toy_config, **request.param))
    quantizer.start_from(torch.randn(4000, 8))
    return quantizer.eval()


@pytest.fixture
def latent(quantizer):
    return torch.randn(3, 10 * quantizer.steps, 8)


def draw(quantizer, depths):
    return Draw(torch.tensor(depths), torch.zeros(len(depths), dtype=torch.bool))


@pytest.mark.parametrize("beams", [1, 4])
def test_shapes_and_prefixes(quantizer, latent, beams):
    total = quantizer.total_codebooks
    codes = quantizer.encode(latent, total, beams=beams)
    assert codes.shape == (3, total, 10)
    for depth in range(1, total + 1):
        fewer = quantizer.encode(latent, depth, beams=beams)
        assert fewer.shape == (3, depth, 10)
        assert quantizer.decode(fewer).shape == latent.shape
        left, left_of_first = ((latent - quantizer.decode(each)).square().sum() for each in (fewer, codes[:, :depth]))
        assert left <= left_of_first + 1e-4, "what is searched for itself is as near at least"
        if beams == 1:
            assert torch.equal(fewer, codes[:, :depth])


@pytest.mark.parametrize("beams", [1, 4])
def test_graphs_code_with_as_many_codebooks_as_they_are_told(quantizer, latent, beams):
    total = quantizer.total_codebooks
    for depth in range(1, total + 1):
        codes = quantizer.encode_for(latent, torch.tensor(depth), beams=beams)
        assert torch.equal(codes[:, :depth], quantizer.encode(latent, depth, beams=beams))
        assert torch.equal(codes[:, depth:], torch.full((3, total - depth, 10), -1))


def test_every_code_lowers_the_error(quantizer, latent):
    codes = quantizer.encode(latent, quantizer.total_codebooks)
    errors = [
        float((latent - quantizer.decode(codes[:, :depth])).square().mean())
        for depth in range(1, quantizer.total_codebooks + 1)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.8 * float(latent.square().mean())


def test_training_quantizes_as_encoding_by_one_beam_does(quantizer, latent):
    total = quantizer.total_codebooks
    depths = [1, total, (total + 1) // 2]
    out = quantizer(latent, draw(quantizer, depths))
    searched = quantizer.encode(latent, total)
    codes = quantizer.encode(latent, total, beams=1)
    assert torch.equal(out.codes, codes)
    errors = [float((latent - quantizer.decode(each)).square().sum()) for each in (codes, searched)]
    assert errors[1] <= errors[0]
    for item, depth in enumerate(depths):
        expected = quantizer.decode(codes[item : item + 1, :depth])[0]
        assert torch.allclose(out.latent[item], expected, atol=1e-5)
    assert len(out.residual_energy) == len(out.revived) == total


def test_depths_may_vary_from_frame_to_frame(quantizer, latent):
    total, frames = quantizer.total_codebooks, 10
    depths = torch.randint(1, total + 1, (3, frames))
    varied = quantizer(latent, Draw(depths, torch.zeros(3, dtype=torch.bool))).latent.unflatten(1, (frames, -1))
    for depth in range(1, total + 1):
        constant = quantizer(latent, draw(quantizer, [depth] * 3)).latent.unflatten(1, (frames, -1))
        assert torch.equal(varied[depths == depth], constant[depths == depth])


def test_decoding_leaves_out_what_is_above_the_depth_of_a_frame(quantizer, latent):
    total, frames = quantizer.total_codebooks, 10
    codes = quantizer.encode(latent, total)
    depths = torch.randint(0, total + 1, (3, frames))
    cut = torch.where(torch.arange(total)[:, None] < depths[:, None], codes, -1)
    varied = quantizer.decode(cut).unflatten(1, (frames, -1))
    for depth in range(1, total + 1):
        constant = quantizer.decode(codes[:, :depth]).unflatten(1, (frames, -1))
        assert torch.allclose(varied[depths == depth], constant[depths == depth], atol=1e-6)
    assert not varied[depths == 0].any()


def test_decoding_is_a_sum_of_rows_of_the_table(quantizer, latent):
    codes = quantizer.encode(latent, quantizer.total_codebooks)
    size = quantizer.table().shape[0] // quantizer.total_codebooks
    rows = codes + torch.arange(quantizer.total_codebooks)[:, None] * size
    summed = quantizer.table()[rows].sum(1).reshape(latent.shape)
    assert torch.allclose(summed, quantizer.decode(codes), atol=1e-5)


def test_one_gradient_passes_straight_through(quantizer, latent):
    latent = latent.requires_grad_()
    out = quantizer(latent, draw(quantizer, [quantizer.total_codebooks] * 3))
    (gradient,) = torch.autograd.grad((3 * out.latent).sum(), latent)
    assert torch.allclose(gradient, torch.full_like(latent, 3.0), atol=1e-5)


def test_a_blend_reads_part_of_the_latent(quantizer, latent):
    how = draw(quantizer, [quantizer.total_codebooks] * 3)
    hard = quantizer(latent, how).latent
    how.blend = 0.25
    assert torch.allclose(quantizer(latent, how).latent, 0.25 * hard + 0.75 * latent, atol=1e-6)


def test_entropies_are_measured_when_asked_for(quantizer, latent):
    how = draw(quantizer, [1] * 3)
    assert quantizer(latent, how).usage_entropy == 0
    how.entropies = True
    out = quantizer(latent, how)
    assert 0 < out.assignment_entropy < out.usage_entropy <= 1


def test_a_coarse_code_holds_for_its_stride():
    torch.manual_seed(0)
    quantizer = ResidualQuantizer([EmaCodebook(16, 4) for _ in range(2)], (4, 1))
    latent = torch.randn(1, 8, 4)
    coarse = quantizer.decode(quantizer.encode(latent, 1))
    assert torch.equal(coarse[0, 0].expand(4, 4), coarse[0, :4])
    means = latent.unflatten(1, (2, 4)).mean(2)
    assert torch.equal(quantizer.encode(latent, 1)[0, 0], quantizer.codebooks[0].encode(means[0]))


def test_groups_quantize_their_own_part():
    torch.manual_seed(0)
    quantizer = GroupedQuantizer([ResidualQuantizer([EmaCodebook(16, 4)]) for _ in range(2)])
    latent = torch.randn(1, 20, 8)
    changed = latent.clone()
    changed[:, :, 4:] += 5
    before, after = quantizer.encode(latent, 2), quantizer.encode(changed, 2)
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.equal(before[:, 1], after[:, 1])
    assert (quantizer.decode(before[:, :1])[:, :, 4:] == 0).all()


@pytest.mark.parametrize("changes", ARRANGEMENTS.values(), ids=ARRANGEMENTS)
def test_a_codec_codes_whole_frames(toy_config, changes):
    torch.manual_seed(0)
    changes = changes | ({"hop_length": 640} if "strides" in changes else {})
    codec = Codec(replace(toy_config, **changes)).eval()
    for samples in (1, 640, 641, 3000):
        wave = torch.randn(1, 1, samples)
        codes = codec.encode(wave)
        assert codes.shape == (1, codec.total_codebooks, -(-samples // codec.hop_length))
        assert codec.decode(codes, length_samples=samples).shape == wave.shape
