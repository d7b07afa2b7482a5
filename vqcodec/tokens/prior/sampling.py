"""Codes that are drawn from a prior, frame by frame, on from those of a prompt or from nothing."""

import math
from collections.abc import Iterator
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vqcodec.errors import ConfigError
from vqcodec.tokens.patterns import Delayed
from vqcodec.tokens.prior.network import Prior, Read

_BLOCK_STEPS = 512
"""Steps of a prompt that are read at once."""
DEFAULT_TEMPERATURE = 0.9


class SamplerOptions(TypedDict, total=False):
    """Keywords of `Sampler`."""

    temperature: float
    top_k: int | None
    seed: int


class Sampler:
    """Draws codes from `network`; the same seed gives the same ones, on one machine.

    temperature: by which log-likelihoods are divided; below 1 what is likely becomes likelier
    top_k:       of so many likeliest codes one is drawn; None: of all

    Raises ConfigError for values that cannot be.
    """

    def __init__(
        self, network: Prior, *, temperature: float = DEFAULT_TEMPERATURE, top_k: int | None = None, seed: int = 0
    ) -> None:
        if not 0 < temperature < math.inf:
            raise ConfigError(f"temperature {temperature} is not a positive number; 0.9 is usual")
        if top_k is not None and top_k < 1:
            raise ConfigError(f"top_k {top_k} is not 1 or more")
        if not 0 <= seed < 1 << 63:
            raise ConfigError(f"seed {seed} is not in 0..2 ** 63 - 1")
        self.network, self.temperature, self.top_k = network, temperature, top_k
        self._generator = torch.Generator().manual_seed(seed)

    def frames(self, prompt: NDArray[np.integer] | None = None) -> Iterator[NDArray[np.int64]]:
        """Yield frames of codes [K] without an end, those after `prompt` [K, F].

        Raises ValueError for a prompt of other codebooks or codes.
        """
        sizes = self.network.sizes
        codebooks = sizes.num_codebooks
        pattern = Delayed(codebooks, sizes.codebook_size)
        given = np.zeros((codebooks, 0), np.int64) if prompt is None else np.asarray(prompt)
        known = pattern.flatten(given)  # [K, F + K - 1]: of the last K - 1 steps a part is still to be drawn
        count = given.shape[1]
        logits, seen = self._read(np.concatenate((np.full((codebooks, 1), pattern.pad), known[:, :count]), axis=1))
        columns = [known[:, step] for step in range(max(0, count - codebooks + 1), count)]
        step = count
        while True:
            drawn = self._drawn(logits)
            frame = step - np.arange(codebooks)  # of each codebook
            column = np.where(frame < 0, pattern.pad, drawn)
            if step < known.shape[1]:
                column = np.where((frame >= 0) & (frame < count), known[:, step], column)
            columns.append(column)
            if len(columns) >= codebooks:
                del columns[:-codebooks]
                if step - codebooks + 1 >= count:
                    yield np.array([columns[codebook][codebook] for codebook in range(codebooks)])
            logits, seen = self._read(column[:, None], seen)
            step += 1

    @torch.inference_mode()
    def _read(self, tokens: NDArray[np.int64], seen: Read | None = None) -> tuple[Tensor, Read]:
        """Read tokens [K, T]; returns the logits [K, codebook_size] of the step after them."""
        assert tokens.shape[1] > 0
        for start in range(0, tokens.shape[1], _BLOCK_STEPS):
            block = torch.from_numpy(tokens[None, :, start : start + _BLOCK_STEPS])
            logits, seen = self.network(block, seen, last_only=True)
        assert seen is not None
        return logits[0, -1], seen

    def _drawn(self, logits: Tensor) -> NDArray[np.int64]:
        """A code of each row of logits [K, codebook_size]."""
        scaled = logits.float() / self.temperature
        if self.top_k is not None and self.top_k < scaled.shape[1]:
            least = scaled.topk(self.top_k, dim=1).values[:, -1:]
            scaled = scaled.masked_fill(scaled < least, -math.inf)
        drawn = torch.multinomial(torch.softmax(scaled, dim=1), 1, generator=self._generator)
        codes: NDArray[np.int64] = drawn[:, 0].numpy()
        return codes
