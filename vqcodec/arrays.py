"""Types of arrays, by what they hold. Shapes stand where they are used: [C, T] and the like."""

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

MOST_PEAK = 100.0
"""40 dB beyond full scale: no recording is so loud, but integers that are taken for floats are."""
