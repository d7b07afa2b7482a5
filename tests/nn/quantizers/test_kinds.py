"""What every kind of codebook must do, and what each promises beside it."""

import math

import pytest
import torch
import torch.nn.functional as F

from vqcodec.errors import ConfigError
from vqcodec.models.architecture import CODEBOOKS
from vqcodec.models.codec import make_quantizer
from vqcodec.nn.quantizers.codebook import Learning, soft_assignments
from vqcodec.nn.quantizers.factorized import FactorizedCodebook
from vqcodec.nn.quantizers.finite_scalar import FiniteScalar
from vqcodec.nn.quantizers.gumbel import GumbelCodebook
from vqcodec.nn.quantizers.lookup_free import LookupFree
from vqcodec.nn.quantizers.simvq import SimVqCodebook
from vqcodec.nn.quantizers.soft import SoftCodebook
from vqcodec.nn.quantizers.vector import EmaCodebook, GradientCodebook

SIZE = 64


@pytest.fixture(params=CODEBOOKS)
def kind(request, toy_config):
    from dataclasses import replace

    config = replace(toy_config, codebook_kind=request.param)
    return type(make_quantizer(config).codebooks[0])


@pytest.fixture
def codebook(kind, latents):
    torch.manual_seed(0)
    codebook = kind(SIZE, 12, Learning())
    codebook.start_from(latents)
    return codebook


def test_a_code_is_that_of_the_best_score(codebook, latents):
    codes = codebook.encode(latents)
    assert codes.dtype == torch.int64
    assert 0 <= codes.min() <= codes.max() < SIZE
    scores = codebook.scores(latents)
    chosen = scores.gather(1, codes[:, None])[:, 0]
    assert torch.allclose(chosen, scores.max(1).values, atol=1e-4)


def test_lookup_reads_the_table_of_all_vectors(codebook):
    codes = torch.randint(SIZE, (3, 5))
    assert codebook.lookup(codes).shape == (3, 5, 12)
    assert torch.allclose(codebook.lookup(codes), codebook.vectors()[codes], atol=1e-6)


def test_the_start_fits_what_is_quantized(codebook, latents):
    error = (latents - codebook.lookup(codebook.encode(latents))).square().sum(1).mean()
    assert error < 0.75 * latents.var(0).sum(), "six bits take a quarter of the energy"
    used = len(codebook.encode(latents).unique())
    assert used > 0.3 * SIZE


def test_a_vector_has_one_code_whatever_comes_with_it(codebook, latents):
    with torch.no_grad():
        together = codebook.encode(latents)
        for count in (1, 2, 3, 7):
            assert torch.equal(codebook.encode(latents[:count]), together[:count])


def test_training_returns_what_encoding_gives_where_the_choice_is_hard(codebook, latents):
    codebook.eval()
    assigned = codebook(latents, 1e-4)  # the soft kind is hard at this temperature
    assert (assigned.codes == codebook.encode(latents)).float().mean() > 0.999
    off = (assigned.vectors - codebook.lookup(assigned.codes)).abs().amax(1)
    assert (off < 1e-3).float().mean() > 0.999, "all but those that two codes are as near to"


def test_the_encoder_gets_a_gradient(codebook, latents):
    codebook.train()
    vectors = latents.clone().requires_grad_()
    assigned = codebook(vectors, 0.5)
    (gradient,) = torch.autograd.grad((assigned.vectors * torch.randn(12)).sum(), vectors)
    assert torch.isfinite(gradient).all()
    assert (gradient.abs().sum(1) > 0).float().mean() > 0.9


def test_it_survives_vectors_that_are_all_alike(kind):
    torch.manual_seed(0)
    codebook = kind(SIZE, 12, Learning())
    alike = torch.ones(100, 12)
    codebook.start_from(alike)
    codebook.train()
    assigned = codebook(alike.requires_grad_(), 0.5)
    (assigned.vectors.sum() + assigned.codebook_loss).backward()
    assert torch.isfinite(assigned.vectors).all()
    assert torch.isfinite(alike.grad).all()


def test_gradient_steps_on_its_own_losses_lower_its_error(codebook, latents):
    """As an encoder's latents drift, a codebook must follow; the projected ones by the loss of what they give."""
    codebook.train()
    moved = latents * 1.3 + 0.5
    parameters = list(codebook.parameters())
    optimizer = torch.optim.Adam(parameters, lr=1e-2) if parameters else None

    def error():
        with torch.no_grad():
            return float((moved - codebook.lookup(codebook.encode(moved))).square().mean())

    before = error()
    for _ in range(100):
        assigned = codebook(moved, 0.1)
        loss = assigned.codebook_loss + F.mse_loss(assigned.vectors, moved)
        if assigned.commitment is not None:
            loss = loss + assigned.commitment.mean()
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert error() < 0.9 * before


def test_entropies_have_gradients_where_an_assignment_is_certain():
    codebook = GradientCodebook(4, 12)
    codebook.weight.data.copy_(torch.eye(12)[:4] * 1e4)
    vectors = (torch.eye(12)[:4] * 1e4).requires_grad_()
    torch.stack(codebook.entropies(vectors)).sum().backward()
    assert torch.isfinite(vectors.grad).all()
    assert torch.isfinite(codebook.weight.grad).all()


def test_entropies_tell_sparse_from_even_assignments(latents):
    codebook = EmaCodebook(4, 12)
    codebook.weight.copy_(torch.eye(12)[:4] * 10)
    even = torch.eye(12)[:4].repeat(25, 1) * 10
    assignment, usage = codebook.entropies(even)
    assert assignment < 0.05
    assert usage == pytest.approx(1, abs=0.01)
    assignment, usage = codebook.entropies(even[:1].repeat(100, 1))
    assert usage < 0.05
    assert codebook.entropies(torch.ones(100, 12))[0] == pytest.approx(1, abs=0.01), "as far from all"


# Starts


@pytest.mark.parametrize("start", ["uniform", "normal", "laplace"])
def test_random_starts_have_the_mean_and_deviation_of_the_latents(latents, start):
    torch.manual_seed(0)
    codebook = GradientCodebook(4096, 12, Learning(start=start))
    codebook.start_from(latents)
    weight = codebook.weight.detach()
    assert torch.allclose(weight.mean(0), latents.mean(0), atol=0.15)
    assert torch.allclose(weight.std(0), latents.std(0), rtol=0.08)
    standard = (weight - latents.mean(0)) / latents.std(0)
    kurtosis = float(standard.pow(4).mean())  # 1.8 of a uniform, 3 of a normal, 6 of a Laplace distribution
    assert kurtosis == pytest.approx({"uniform": 1.8, "normal": 3, "laplace": 6}[start], rel=0.2)


def test_k_means_beats_random_starts(latents):
    errors = {}
    for start in ("kmeans", "uniform", "normal", "laplace"):
        torch.manual_seed(0)
        codebook = EmaCodebook(SIZE, 12, Learning(start=start))
        codebook.start_from(latents)
        errors[start] = float((latents - codebook.lookup(codebook.encode(latents))).square().mean())
    assert min(errors, key=errors.get) == "kmeans"


# Each kind's own


def test_cosine_codes_do_not_depend_on_length(latents):
    torch.manual_seed(0)
    codebook = FactorizedCodebook(SIZE, 12)
    codebook.down.bias.data.zero_()
    assert torch.equal(codebook.encode(latents), codebook.encode(3 * latents))


def test_finite_scalar_codes_count_the_grid():
    codebook = FiniteScalar(1024, 12)
    assert codebook.levels.tolist() == [4 if number > 1 else 8 for number in range(4)]
    points = codebook.points(torch.arange(1024))
    assert len(points.unique(dim=0)) == 1024
    assert points.min() == -1
    assert points.max() < 1
    steps = points / points[points > 0].min()
    assert torch.equal(steps, steps.round())


def test_finite_scalar_codes_of_points_are_their_own():
    """Encoding what decoding gives is the identity, by inverting the bound."""
    codebook = FiniteScalar(SIZE, 2)
    codes = torch.arange(SIZE)
    half = (codebook.levels - 1) * 1.001 / 2
    z = torch.atanh((codebook.points(codes) * codebook.levels / 2 + 0.5) / half) - torch.atanh(0.5 / half)
    assert torch.equal(codebook._codes(codebook.bounded(z).round()), codes)


def test_lookup_free_codes_are_the_signs(latents):
    torch.manual_seed(0)
    codebook = LookupFree(SIZE, 12)
    codebook.start_from(latents)
    bits = (codebook.down(latents) > 0).long()
    assert torch.equal(codebook.encode(latents), (bits * 2 ** torch.arange(6)).sum(1))
    assert torch.equal(codebook.points(torch.arange(SIZE)).square(), torch.ones(SIZE, 6))


def test_simvq_moves_every_vector_with_any_code(latents):
    torch.manual_seed(0)
    codebook = SimVqCodebook(SIZE, 12)
    codebook.start_from(latents)
    before = codebook.weight.detach().clone()
    loss, revived = codebook.learn(latents[:1], codebook.encode(latents[:1]))
    loss.backward()
    codebook.turn.data -= 0.1 * codebook.turn.grad
    assert revived == 0
    moved = (codebook.weight.detach() - before).norm(dim=1)
    assert (moved > 0).all()
    assert not codebook.fixed.requires_grad


def test_soft_assignment_goes_from_the_mean_of_all_to_the_nearest(latents):
    torch.manual_seed(0)
    codebook = SoftCodebook(SIZE, 12)
    codebook.start_from(latents)
    codebook.eval()
    with torch.no_grad():
        hard = codebook.lookup(codebook.encode(latents))
        distances = [float((codebook(latents, t).vectors - hard).norm(dim=1).mean()) for t in (100, 1, 0.1, 0.001)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.05
    assert torch.allclose(codebook(latents, 1e6).vectors, codebook.weight.mean(0).expand(2000, 12), atol=1e-3)


def test_gumbel_draws_each_code_as_often_as_its_distance_says():
    torch.manual_seed(0)
    codebook = GumbelCodebook(4, 12)
    codebook.train()
    codebook.weight.data = torch.eye(12)[:4] * torch.tensor([0.2, 0.9, 1.3, 2.0])[:, None]
    codebook.log_sharpness.data.fill_(0.5)
    codes = codebook(torch.zeros(20000, 12)).codes
    shares = torch.bincount(codes, minlength=4) / 20000
    expected = torch.softmax(-math.exp(0.5) * codebook.weight.detach().square().sum(1) / 2, dim=0)
    assert torch.allclose(shares, expected, atol=0.015)  # 4 standard deviations


def test_soft_assignments_do_not_depend_on_the_scale_of_scores():
    scores = torch.randn(50, 8)
    assert torch.allclose(soft_assignments(scores, 0.3), soft_assignments(1000 * scores, 0.3), atol=1e-5)


def test_sizes_that_are_small_work(kind):
    codebook = kind(4, 3, Learning())
    codebook.start_from(torch.randn(100, 3))
    assert codebook.vectors().shape == (4, 3)
    assert math.isfinite(float(codebook.vectors().detach().sum()))


def test_a_revived_gumbel_code_is_drawn_again(latents):
    torch.manual_seed(0)
    codebook = GumbelCodebook(SIZE, 12, Learning(decay=0.5))
    codebook.start_from(latents)
    codebook.weight.data[: SIZE // 2] += 1e3  # nobody draws these
    codebook.train()
    assert len(codebook.encode(latents).unique()) <= SIZE // 2
    revived = sum(int(codebook(latents).revived) for _ in range(10))
    assert revived >= SIZE // 2
    assert len(codebook.encode(latents).unique()) > 0.8 * SIZE


def test_two_finite_scalar_codes_are_the_signs():
    codebook = FiniteScalar(2, 4)
    codebook.start_from(torch.randn(1000, 4))
    shares = torch.bincount(codebook.encode(torch.randn(1000, 4)), minlength=2) / 1000
    assert 0.4 < shares[0] < 0.6
    assert codebook.points(torch.arange(2)).flatten().tolist() == [-1, 0]


def test_more_bits_than_dimensions_still_differ(latents):
    codebook = LookupFree(64, 3)
    codebook.start_from(latents[:, :3].contiguous())
    assert len(codebook.encode(latents[:, :3].contiguous()).unique()) > 10


def test_cosines_need_two_dimensions():
    with pytest.raises(ConfigError, match="2 or more latent dimensions"):
        FactorizedCodebook(16, 1)
