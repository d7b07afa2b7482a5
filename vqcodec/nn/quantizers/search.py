"""Beam search through a stack of codebooks: a vector that is second best now may leave less over in the end.

The M-L search of multi-stage vector quantization (LeBlanc et al. 1993). Any decoder reads its codes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from vqcodec.nn.quantizers.codebook import Codebook

_BLOCK_ROWS = 256
"""Searched at once: a row takes `width` times the size of a codebook in memory."""


def beam_search(vectors: Tensor, codebooks: Sequence[Codebook], width: int) -> Tensor:
    """Codes [N, K] (int64) whose sum over the K codebooks comes near to `vectors` [N, dim].

    All are `is_euclidean`. After each, the `width` best partial sums go on. A row does not depend on the others.
    """
    if torch.compiler.is_compiling():
        return _search(vectors, codebooks, width)
    return torch.cat([_search(rows, codebooks, width) for rows in torch.split(vectors, _BLOCK_ROWS)])


def _search(vectors: Tensor, codebooks: Sequence[Codebook], width: int) -> Tensor:
    """`beam_search` of all rows at once."""
    residual = vectors[:, None]
    gain = torch.zeros_like(residual[:, :, 0])  # what the scores add up to: half of what the squared error fell by
    parents, codes = [], []
    for codebook in codebooks:
        scores = codebook.scores(residual.flatten(0, 1)).view(*residual.shape[:2], codebook.size)
        gain, place = _best(scores, gain, width)
        parents.append(place // codebook.size)
        codes.append(place % codebook.size)
        residual = residual.gather(1, parents[-1][:, :, None].expand(-1, -1, codebook.dim))
        residual = residual - codebook.lookup(codes[-1])
    path, last = [], torch.zeros_like(codes[-1][:, :1])
    for parent, code in zip(reversed(parents), reversed(codes), strict=True):
        path.append(code.gather(1, last))
        last = parent.gather(1, last)
    return torch.cat(path[::-1], dim=1)


def _best(scores: Tensor, gain: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The highest of scores [N, m, size] + gain [N, m]: values and places in m * size, [N, width], descending.

    Each row of scores is cut into columns. The best lie in the columns with the highest peaks, so that only those
    have to be looked through, which is faster than one topk over all.
    """
    rows, beams, size = scores.shape
    columns = 1 << (size.bit_length() // 2)
    steps = torch.arange(0, size, columns, device=scores.device)
    peaks = scores.view(rows, beams, len(steps), columns).amax(2) + gain[:, :, None]
    highest = peaks.flatten(1).topk(min(width, beams * columns)).indices
    beam = highest // columns
    places = ((beam * size + highest % columns)[:, :, None] + steps).flatten(1)
    gains = gain.gather(1, beam)[:, :, None].expand(-1, -1, len(steps)).flatten(1)
    best = (scores.flatten(1).gather(1, places) + gains).topk(min(width, places.shape[1]))
    return best.values, places.gather(1, best.indices)
