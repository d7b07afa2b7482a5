import itertools

import pytest
import torch

from vqcodec.nn.quantizers.residual import ResidualQuantizer
from vqcodec.nn.quantizers.search import beam_search
from vqcodec.nn.quantizers.vector import EmaCodebook


def stack(size, depth=4, dim=6):
    torch.manual_seed(0)
    quantizer = ResidualQuantizer([EmaCodebook(size, dim) for _ in range(depth)])
    quantizer.start_from(torch.randn(8 * size + 500, dim))
    return quantizer


def error(quantizer, vectors, codes):
    return (vectors - quantizer.decode(codes.T[None])[0]).square().sum(1)


@pytest.mark.parametrize("size", [2, 4, 8, 64, 1024])
def test_one_beam_takes_the_nearest_in_turn(size):
    quantizer = stack(size)
    vectors = torch.randn(50, 6)
    in_turn, residual = [], vectors
    for codebook in quantizer.codebooks:
        in_turn.append(codebook.encode(residual))
        residual = residual - codebook.lookup(in_turn[-1])
    assert torch.equal(beam_search(vectors, quantizer.codebooks, 1), torch.stack(in_turn, dim=1))


def test_as_many_beams_as_there_are_sums_find_the_best_one():
    quantizer = stack(8, depth=3)
    vectors = torch.randn(40, 6)
    combinations = torch.tensor(list(itertools.product(range(8), repeat=3)))
    sums = quantizer.decode(combinations.T[None])[0]
    best = combinations[torch.cdist(vectors, sums).argmin(1)]
    assert torch.equal(beam_search(vectors, quantizer.codebooks, 64), best)


@pytest.mark.parametrize("size", [4, 16, 64])
def test_more_beams_leave_less_over(size):
    quantizer = stack(size)
    vectors = torch.randn(300, 6)
    errors = [
        float(error(quantizer, vectors, beam_search(vectors, quantizer.codebooks, w)).mean()) for w in (1, 2, 4, 8)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 0.95 * errors[0]


def test_a_row_does_not_depend_on_the_others():
    quantizer = stack(64)
    vectors = torch.randn(60, 6)
    codes = beam_search(vectors, quantizer.codebooks, 4)
    for rows in (1, 2, 3, 7):
        assert torch.equal(torch.cat([beam_search(v, quantizer.codebooks, 4) for v in vectors.split(rows)]), codes)
    assert beam_search(vectors[:0], quantizer.codebooks, 4).shape == (0, 4)
    many = beam_search(vectors.repeat(10, 1), quantizer.codebooks, 4)
    assert torch.equal(many, codes.repeat(10, 1))


@pytest.mark.parametrize("width", [1, 4, 16])
def test_of_codes_that_are_as_good_a_row_takes_the_same_whatever_comes_with_it(width):
    quantizer = ResidualQuantizer([EmaCodebook(64, 4) for _ in range(3)])
    for codebook in quantizer.codebooks:
        codebook.weight.data = torch.randint(-2, 3, (64, 4), generator=torch.Generator().manual_seed(0)).float()
    vectors = torch.randint(-4, 5, (80, 4), generator=torch.Generator().manual_seed(1)).float()
    together = beam_search(vectors, quantizer.codebooks, width)
    for rows in (1, 2, 9):
        pieces = [beam_search(piece, quantizer.codebooks, width) for piece in vectors.split(rows)]
        assert torch.equal(torch.cat(pieces), together)


def test_encoding_searches():
    quantizer = stack(64)
    latent = torch.randn(3, 20, 6)
    expected = beam_search(latent.flatten(0, 1), quantizer.codebooks, 4).view(3, 20, 4).mT
    assert torch.equal(quantizer.encode(latent, 4), expected)
    assert not torch.equal(expected, beam_search(latent.flatten(0, 1), quantizer.codebooks, 1).view(3, 20, 4).mT)
