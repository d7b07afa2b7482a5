"""Types of arrays, by what they hold, and what samples may be; shapes stand where they are used."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Wave: TypeAlias = NDArray[np.float32]
"""Samples, full scale at -1 and 1."""
Codes: TypeAlias = NDArray[np.int64]
"""Codes as models take and give them."""
StoredCodes: TypeAlias = NDArray[np.uint16]
"""Codes as files, packets and shards of tokens hold them."""
Scales: TypeAlias = NDArray[np.float32]
"""Levels that a model takes out of its input, of which codes say nothing."""
State: TypeAlias = Any
"""What an engine remembers of streams between calls; each engine has a form of its own, and None starts one."""

NO_CODE = -1
"""Stands among codes where a frame has none: its depth, how many codebooks it uses, ends below."""


def are_depths(codes: NDArray[Any]) -> bool:
    """Tell whether in codes [.., K, F] all is `NO_CODE` above a code that is."""
    if codes.dtype.kind != "i" or not codes.size or codes.min() >= 0:
        return True
    return not ((codes[..., :-1, :] < 0) & (codes[..., 1:, :] >= 0)).any()


MOST_PEAK = 100.0
"""40 dB beyond full scale: no recording is so loud, but integers that are taken for floats are."""


def find_peak_fault(peak: float) -> str | None:
    """Tell what is wrong with the highest magnitude of samples; None: nothing, or it is NaN or infinite."""
    if not MOST_PEAK < peak < float("inf"):
        return None
    shown = f"{peak:.0f}" if peak < 1e9 else f"{peak:.3g}"
    return f"a peak of {shown}, where full scale is 1"


def flushed(wave: Wave) -> Wave:
    """Return `wave` with denormal samples as zeros: silence 760 dB down, with which some processors compute slowly."""
    denormal = np.abs(wave) < _SMALLEST
    return np.where(denormal, np.float32(0), wave) if denormal.any() else wave


_SMALLEST = float(np.finfo(np.float32).tiny)
