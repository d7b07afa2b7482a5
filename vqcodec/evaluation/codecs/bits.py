"""The rate of a neural codec over time, from what each of its codes takes; its container is in no place."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.frames import bits_per_code, ceil_div
from vqcodec.models.engine import Engine

RATES_PER_SECOND = 10


def kbps_over_time(codes: NDArray[Any], engine: Engine) -> NDArray[np.float32]:
    """Return the rate in each tenth of a second of `codes` [K, F], -1 where a frame has none, without depths."""
    bits = (codes >= 0) * np.float32(bits_per_code(engine.codebook_size))
    if engine.entropy is not None and codes.size:
        layers = min(len(codes), engine.entropy.num_layers)
        bits[:layers] = engine.entropy.code_bits(codes[:layers])
    ends = np.concatenate(([0.0], bits.sum(axis=0).cumsum()))
    count = ceil_div(round(codes.shape[1] * RATES_PER_SECOND), round(engine.frame_rate))
    edges = np.arange(count + 1) / RATES_PER_SECOND * engine.frame_rate
    rates = np.diff(np.interp(edges, np.arange(len(ends)), ends)) * RATES_PER_SECOND / 1000
    return rates.astype(np.float32)
