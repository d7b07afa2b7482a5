import pytest
import torch

from vqcodec.nn.quantizers.codebook import Learning
from vqcodec.nn.quantizers.vector import EmaCodebook, GradientCodebook

KINDS = [EmaCodebook, GradientCodebook]


def clusters(per_cluster=50, spread=0.05):
    """Points around 8 corners of a cube, and the corners."""
    torch.manual_seed(0)
    corners = torch.tensor([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
    points = corners.repeat(per_cluster, 1)
    return points + spread * torch.randn_like(points), corners


@pytest.mark.parametrize("kind", KINDS)
def test_nearest_is_the_brute_force_minimum(kind):
    torch.manual_seed(0)
    codebook = kind(32, 5)
    vectors = torch.randn(100, 5)
    distances = (vectors[:, None] - codebook.weight[None]).square().sum(-1)
    assert torch.equal(codebook.encode(vectors), distances.argmin(1))


@pytest.mark.parametrize("kind", KINDS)
def test_k_means_ends_where_every_vector_is_the_mean_of_its_points(kind):
    """The fixed point of Lloyd's algorithm; a random start need not find the best one."""
    points, _ = clusters()
    codebook = kind(8, 3)
    codebook.start_from(points, iterations=30)
    codes = codebook.encode(points)
    for code in range(8):
        assert torch.allclose(codebook.weight[code], points[codes == code].mean(0), atol=1e-3)
    error = (points - codebook.lookup(codes)).square().sum(1).mean()
    assert error < 0.5 * points.square().sum(1).mean()


def test_ema_vectors_become_the_mean_of_what_they_quantize():
    points, corners = clusters()
    codebook = EmaCodebook(8, 3, Learning(decay=0.9))
    codebook.weight.copy_(corners * 0.5)
    codebook.sums.copy_(codebook.weight)
    for _ in range(200):
        codebook.learn(points, codebook.encode(points))
    assert torch.allclose(codebook.weight, corners, atol=0.05)


def test_gradient_vectors_move_to_what_they_quantize():
    points, corners = clusters()
    codebook = GradientCodebook(8, 3, Learning(revive_below=0.0))
    codebook.weight.data.copy_(corners * 0.5)
    optimizer = torch.optim.SGD(codebook.parameters(), lr=2.0)
    for _ in range(100):
        loss, _ = codebook.learn(points, codebook.encode(points))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.allclose(codebook.weight, corners, atol=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dead_code_is_revived_from_the_batch(kind):
    points, corners = clusters()
    codebook = kind(8, 3, Learning(decay=0.5, revive_below=0.05))
    start = corners.clone()
    start[7] = 100.0  # no point is near
    codebook.weight.data.copy_(start)
    if kind is EmaCodebook:
        codebook.sums.copy_(start)
    revived = 0
    for _ in range(10):
        revived += int(codebook.learn(points, codebook.encode(points))[1])
    assert revived >= 1
    assert codebook.weight.abs().max() < 2
