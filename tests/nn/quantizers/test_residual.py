import itertools

import pytest
import torch

from vqcodec.nn.quantizers.quantizer import Draw
from vqcodec.nn.quantizers.residual import ResidualQuantizer
from vqcodec.nn.quantizers.vector import EmaCodebook, GradientCodebook


@pytest.fixture
def stack():
    torch.manual_seed(0)
    quantizer = ResidualQuantizer([EmaCodebook(16, 4) for _ in range(4)])
    quantizer.start_from(torch.randn(2000, 4))
    return quantizer


def all_depths(latent, depth=4):
    return Draw(torch.full((len(latent),), depth), torch.zeros(len(latent), dtype=torch.bool))


def test_every_codebook_lowers_the_error(stack):
    latent = torch.randn(8, 50, 4)
    codes = stack.encode(latent, 4)
    errors = [float((latent - stack.decode(codes[:, :k])).square().mean()) for k in range(1, 5)]
    assert all(later < 0.8 * earlier for earlier, later in itertools.pairwise(errors))


def test_fewer_codebooks_are_searched_for_themselves(stack):
    latent = torch.randn(2, 50, 4)
    own, first = stack.encode(latent, 2), stack.encode(latent, 4)[:, :2]
    left, left_of_first = ((latent - stack.decode(codes)).square().sum(2) for codes in (own, first))
    assert (left <= left_of_first + 1e-5).all()
    assert left.mean() < 0.99 * left_of_first.mean()
    assert torch.equal(stack.encode(latent, 2, beams=1), stack.encode(latent, 4, beams=1)[:, :2])


def test_training_quantizes_as_encoding_by_one_beam_does(stack):
    stack.eval()
    latent = torch.randn(3, 10, 4)
    out = stack(latent, all_depths(latent))
    assert torch.equal(out.codes, stack.encode(latent, 4, beams=1))
    assert torch.allclose(out.latent, stack.decode(out.codes), atol=1e-6)


def test_depth_and_pass_through_are_per_item(stack):
    stack.eval()
    latent = torch.randn(3, 10, 4)
    out = stack(latent, Draw(torch.tensor([1, 4, 4]), torch.tensor([False, False, True])))
    assert torch.allclose(out.latent[0], stack.decode(out.codes[:1, :1])[0], atol=1e-6)
    assert torch.allclose(out.latent[1], stack.decode(out.codes[1:2])[0], atol=1e-6)
    assert torch.equal(out.latent[2], latent[2])


def test_the_gradient_passes_straight_through_and_the_commitment_pulls(stack):
    stack.eval()
    latent = torch.randn(2, 5, 4, requires_grad=True)
    out = stack(latent, all_depths(latent))
    (gradient,) = torch.autograd.grad((out.latent * 3).sum(), latent, retain_graph=True)
    assert torch.equal(gradient, torch.full_like(latent, 3.0))
    (pull,) = torch.autograd.grad(out.commitment_loss, latent)
    assert (pull * (latent - out.latent)).sum() > 0


def test_codebooks_learn_only_in_training_mode(stack):
    latent = torch.randn(4, 50, 4) + 2
    before = [codebook.weight.clone() for codebook in stack.codebooks]
    stack.eval()
    stack(latent, all_depths(latent))
    assert all(torch.equal(a, b.weight) for a, b in zip(before, stack.codebooks, strict=True))
    stack.train()
    stack(latent, all_depths(latent))
    assert not any(torch.equal(a, b.weight) for a, b in zip(before, stack.codebooks, strict=True))


def test_a_gradient_stack_reports_a_codebook_loss_that_trains_its_vectors():
    torch.manual_seed(0)
    quantizer = ResidualQuantizer([GradientCodebook(16, 4) for _ in range(2)])
    latent = torch.randn(2, 30, 4)
    out = quantizer(latent, all_depths(latent, 2))
    out.codebook_loss.backward()
    assert all(codebook.weight.grad.abs().sum() > 0 for codebook in quantizer.codebooks)
