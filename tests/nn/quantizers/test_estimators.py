import torch

from vqcodec.nn.quantizers.estimators import ESTIMATORS, rotated, straight_through


def pairs(count=200, dim=6):
    torch.manual_seed(0)
    return torch.randn(count, dim, requires_grad=True), torch.randn(count, dim)


def test_the_value_is_what_was_chosen():
    vectors, chosen = pairs()
    for estimator in ESTIMATORS.values():
        assert torch.allclose(estimator(vectors, chosen), chosen, atol=1e-6)


def test_straight_through_passes_the_gradient_as_it_is():
    vectors, chosen = pairs()
    (gradient,) = torch.autograd.grad((straight_through(vectors, chosen) * 2).sum(), vectors)
    assert torch.equal(gradient, torch.full_like(vectors, 2))


def test_rotation_keeps_the_angle_between_gradient_and_vector():
    """Fifty et al. 2024: what makes an angle with q makes the same with e, scaled by |q| / |e|."""
    vectors, chosen = pairs()
    upstream = torch.randn_like(chosen)
    (gradient,) = torch.autograd.grad((rotated(vectors, chosen) * upstream).sum(), vectors)
    angle = torch.nn.functional.cosine_similarity
    assert torch.allclose(angle(gradient, vectors.detach()), angle(upstream, chosen), atol=1e-4)
    scale = chosen.norm(dim=1) / vectors.detach().norm(dim=1)
    assert torch.allclose(gradient.norm(dim=1), upstream.norm(dim=1) * scale, rtol=1e-4)


def test_rotation_stays_finite_for_zero_and_opposite_vectors():
    chosen = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0], [0, 0, 0]])
    vectors = torch.tensor([[0.0, 0, 0], [1.0, 0, 0], [1.0, 1, 1]], requires_grad=True)
    result = rotated(vectors, chosen)
    result.sum().backward()
    assert torch.equal(vectors.grad[:2], torch.ones(2, 3)), "straight through"
    assert vectors.grad.abs().max() <= 1
    assert torch.allclose(result, chosen, atol=1e-5)
