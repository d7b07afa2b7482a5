"""Many channels become one: their mean, or an error where it would be next to nothing."""

import numpy as np

from vqcodec.arrays import Wave
from vqcodec.errors import AudioError

_LEAST_SHARE = 1e-3
"""Of the channels' power that their mean has: recordings of two microphones keep a third and more."""


class Downmix:
    """Average the channels of a file, block by block; `name` is what errors call it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._power = self._mean_power = 0.0

    def push(self, wave: Wave) -> Wave:
        """Average the channels of a block [C, n] -> [1, n]."""
        if wave.shape[0] == 1:
            return wave
        mean: Wave = wave.mean(axis=0, keepdims=True)
        self._power += float(np.square(wave).mean(axis=0).sum())
        self._mean_power += float(np.square(mean).sum())
        return mean

    def check(self) -> None:
        """Raise AudioError if the channels of all blocks together cancel in their mean."""
        if self._mean_power < _LEAST_SHARE * self._power:
            raise AudioError(
                f"{self._name}: its channels cancel each other, their mean is next to silence; one may be inverted: "
                "choose one (a manifest's column channel), or repair the file"
            )
