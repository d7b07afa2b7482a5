"""Beam search through a stack of codebooks: a vector that is second best now may leave less over in the end.

The M-L search of multi-stage vector quantization (LeBlanc et al. 1993). Any decoder reads its codes.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vqcodec.nn.quantizers.codebook import Codebook

_BLOCK_ROWS = 256
"""Searched at once: a row takes `width` times the size of a codebook in memory."""

_FEW_ROWS = 32
"""Beams of all rows together, up to which each step takes longer than what it computes."""


def beam_search(vectors: Tensor, codebooks: Sequence[Codebook], width: int, *, depth: Tensor | None = None) -> Tensor:
    """Return the codes [N, K] (int64) whose sum over the K codebooks comes near to `vectors` [N, dim].

    All are `is_euclidean`. After each, the `width` best partial sums go on. A row does not depend on the others.
    `depth` []: the first so many codes are those that a search through as many codebooks finds; those after have no
    meaning. For graphs, which always go through all.
    """
    if torch.compiler.is_compiling():
        return _search(vectors, codebooks, width, depth)
    blocks = torch.split(vectors, _BLOCK_ROWS)
    return torch.cat([_search(rows, codebooks, width, depth) for rows in blocks])


def _search(vectors: Tensor, codebooks: Sequence[Codebook], width: int, depth: Tensor | None) -> Tensor:
    """`beam_search` of all rows at once.

    The m beams of a row are m rows of `residual` [N * m, dim]; `gain` [N, m] is what their scores add up to, half of
    what the squared error fell by. `best`: after each codebook, the row of each vector's best beam.
    """
    rows = torch.arange(vectors.shape[0], device=vectors.device)[:, None]
    residual, gain, beams = vectors, torch.zeros_like(vectors[:, :1]), 1
    parents, codes, best = [], [], []
    for codebook, width_after in zip(codebooks, [*[width] * (len(codebooks) - 1), 1], strict=True):
        gain, index = _best(codebook.scores(residual), gain, min(width_after, beams * codebook.size))
        parent, code = _beam_and_code(index, beams, codebook.size)
        parents.append((rows * beams + parent).flatten())
        codes.append(code.flatten())
        beams = index.shape[1]
        best.append(rows.flatten() * beams)
        if len(codes) < len(codebooks):
            residual = F.embedding(parents[-1], residual) - codebook.lookup(codes[-1])
    path, at = [codes[-1]], best[-1]
    for last in range(len(codes) - 1, 0, -1):
        at = parents[last][at]
        if depth is not None:
            at = torch.where(depth == last, best[last - 1], at)
        path.append(codes[last - 1][at])
    return torch.stack(path[::-1], dim=1)


def _beam_and_code(index: Tensor, beams: int, size: int) -> tuple[Tensor, Tensor]:
    """Which beam, and which code of it, an `index` in beams * size is."""
    if torch.compiler.is_compiling():  # exported: tables, made when a runtime loads, for division in ten steps
        every = torch.arange(beams * size, device=index.device)
        return (every // size)[index], (every % size)[index]
    return index // size, index % size


def _best(scores: Tensor, gain: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The highest of scores [N * m, size] + gain [N, m]: values and indices in m * size, [N, width], descending.

    Each row of scores is cut into columns. The best lie in the columns with the highest peaks, so that only those
    have to be looked through, which is faster than looking for the best of all, but for the few rows of a live frame.
    Either way goes through beams, columns and steps in this order, so that both choose the same of equals.
    """
    if torch.compiler.is_compiling():  # exported: runtimes are quick at finding a few, and take time for each step
        best = (scores + gain.view(-1, 1)).view(gain.shape[0], -1).topk(width)
        return best.values, best.indices
    (rows, beams), size = gain.shape, scores.shape[1]
    columns = 1 << (size.bit_length() // 2)
    steps = size // columns
    in_columns = scores.view(rows, beams, steps, columns).transpose(2, 3)
    if rows * beams <= _FEW_ROWS:
        candidates = (in_columns + gain[:, :, None, None]).flatten(1)
        best_candidates = _highest(candidates, width)
        column = best_candidates // steps
    else:
        peaks = (in_columns.amax(3) + gain[:, :, None]).flatten(1)
        highest = _highest(peaks, min(width, beams * columns)).sort(1).values
        beam = highest // columns
        places = (beam * size + highest % columns)[:, :, None] + torch.arange(0, size, columns, device=scores.device)
        gains = gain.gather(1, beam)[:, :, None].expand(-1, -1, steps).flatten(1)
        candidates = scores.view(rows, beams * size).gather(1, places.flatten(1)) + gains
        best_candidates = _highest(candidates, width)
        column = highest.gather(1, best_candidates // steps)
    index = column // columns * size + best_candidates % steps * columns + column % columns
    return candidates.gather(1, best_candidates), index


def _highest(values: Tensor, count: int) -> Tensor:
    """Indices [N, count] of the highest of each row of `values` [N, n], descending, the first of those that are equal.

    On the CPU by numpy's argmax, so many times, which takes half the time of torch's topk.
    """
    if not values.is_cpu:
        return values.topk(count).indices
    left = values.numpy().copy()
    rows, indices = np.arange(len(left)), np.empty((len(left), count), np.int64)
    for rank in range(count):
        indices[:, rank] = left.argmax(1)
        left[rows, indices[:, rank]] = -np.inf
    return torch.from_numpy(indices)
