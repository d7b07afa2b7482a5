"""Many channels become one: one of them, or their mean, or an error where that would be next to nothing."""

from collections.abc import Iterable, Iterator
from typing import Literal, get_args

import numpy as np

from vqcodec.arrays import Wave
from vqcodec.errors import AudioError

Mono = Literal["mean", "left", "right"]
"""What becomes of several channels where one is wanted."""
MONO: tuple[Mono, ...] = get_args(Mono)

_LEAST_SHARE = 1e-3
"""Share of the channels' power that their mean has: recordings of two microphones keep a third and more."""


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
                "choose one (encode --mono left, a manifest's column channel), or repair the file"
            )


def to_mono(blocks: Iterable[Wave], how: Mono, name: str) -> Iterator[Wave]:
    """Make one channel of blocks [C, n] of a file: their mean, or the first or second; one channel stays what it is.

    Raises AudioError at the end for channels that cancel each other in their mean.
    """
    downmix = Downmix(name)
    for block in blocks:
        channel = min(len(block) - 1, 1 if how == "right" else 0)
        yield downmix.push(block) if how == "mean" else block[channel : channel + 1]
    if how == "mean":
        downmix.check()
