"""Which packets a network loses: each by itself, or in bursts (Gilbert 1960), drawn by seed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vqcodec.errors import ConfigError
from vqcodec.frames import ceil_div

SLOTS_PER_SECOND = 50
"""A network loses what is sent in a slot of 20 ms: the packets of codecs of other frame rates meet the same losses."""

BURST_PACKETS = 3.0
_MOST_PERCENT = 75.0
"""With more, bursts of three packets in the mean would have to begin more often than packets come."""


@dataclass(frozen=True)
class PacketLoss:
    """How a network loses packets.

    share:         of them that are lost, in the long run
    burst_packets: that are lost in a row, in the mean; None: each is lost by itself
    """

    share: float
    burst_packets: float | None = None

    def draw(self, packets: int, random: np.random.Generator) -> NDArray[np.bool_]:
        """Draw which of `packets` are lost: bool [packets]. More of them begin with the same ones."""
        ends = 1 / self.burst_packets if self.burst_packets else 1 - self.share
        begins = self.share * ends / (1 - self.share)
        lost = np.zeros(packets, bool)
        is_lost = None
        for packet, chance in enumerate(random.random(packets)):
            is_lost = chance < self.share if is_lost is None else chance >= ends if is_lost else chance < begins
            lost[packet] = is_lost
        return lost


def parse_loss(text: str) -> PacketLoss:
    """Parse random:PERCENT or burst:PERCENT, 3 packets in a row in the mean. Raises ConfigError for anything else."""
    kind, _, share = text.partition(":")
    try:
        percent = float(share)
    except ValueError:
        percent = 0.0
    if kind not in ("random", "burst") or not 0 < percent <= _MOST_PERCENT:
        raise ConfigError(
            f"loss {text!r:.40} cannot be; give random:PERCENT or burst:PERCENT, over 0 up to {_MOST_PERCENT:g}"
        )
    return PacketLoss(percent / 100, BURST_PACKETS if kind == "burst" else None)


def slots_of(samples: int, rate_hz: int) -> int:
    """Count the slots in which `samples` are sent, and one more, as other rates round up."""
    return ceil_div(samples * SLOTS_PER_SECOND, rate_hz) + 1
