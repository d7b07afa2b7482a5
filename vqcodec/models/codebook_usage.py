"""How much of each codebook is used: codes counted, and the entropy of what was counted."""

import numpy as np
from numpy.typing import NDArray


class CodebookUsage:
    """Counts of codes; `counts` [K, codebook_size]: how often each code of each codebook occurred."""

    def __init__(self, num_codebooks: int, codebook_size: int) -> None:
        self.counts: NDArray[np.int64] = np.zeros((num_codebooks, codebook_size), np.int64)

    def add(self, codes: NDArray[np.uint16]) -> None:
        """Count `codes` [K, F], any integers in [0, codebook_size)."""
        first = np.arange(len(self.counts))[:, None] * self.counts.shape[1]
        every = (codes.astype(np.int64) + first).ravel()
        self.counts += np.bincount(every, minlength=self.counts.size).reshape(self.counts.shape)

    @property
    def entropy_bits(self) -> NDArray[np.float64]:
        """Entropy in bits of each codebook's distribution, of a code by itself [K]."""
        shares = self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)
        logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
        bits: NDArray[np.float64] = -(shares * logs).sum(axis=1)
        return bits + 0.0  # no -0

    @property
    def perplexity(self) -> NDArray[np.float64]:
        """2 ** entropy [K]: as many codes, used equally, would have the same entropy."""
        return np.exp2(self.entropy_bits)

    @property
    def used_share(self) -> NDArray[np.float64]:
        """Share of each codebook's codes that occur at all [K]."""
        share: NDArray[np.float64] = (self.counts > 0).mean(axis=1)
        return share
