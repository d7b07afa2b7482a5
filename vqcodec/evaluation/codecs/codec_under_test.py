"""A codec under test: what every codec of an evaluation does, be it ours, a library's or a program's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import Wave


@dataclass(frozen=True)
class Coded:
    """What a codec made of one clip.

    wave_hat: float32 [T'] at the rate of the clip; not moved in time, not scaled
    data:     the coded file, container included
    payload_bytes: coded audio in it, without headers; None where the codec does not tell
    codes:    integers [K, F] of a neural codec, below codebook_size; None where frames have fewer than others
    kbps_over_time: of the codes in each tenth of a second, where the codec tells
    """

    wave_hat: Wave
    data: bytes
    encode_seconds: float
    decode_seconds: float
    payload_bytes: int | None = None
    codes: NDArray[np.uint16] | None = None
    codebook_size: int | None = None
    kbps_over_time: NDArray[np.float32] | None = None


class CodecUnderTest(Protocol):
    """A codec in an evaluation.

    name:    what tables and curves call it
    version: what its results depend on beside the rate, such as the hash of weights or the version of a library;
             results of another version are not reused
    trained_on: names of metrics that a loss of its training is a model of, which flatter it
    """

    name: str
    version: str
    trained_on: Sequence[str] = ()

    def rates_kbps(self, asked: list[float]) -> list[float | None]:
        """Tell what it is run at for the rates `asked`: its nearest ones, each once; [None] where it has no rates."""

    def run(self, wave: Wave, rate_hz: int, kbps: float | None) -> Coded:
        """Code and decode `wave` float32 [T] in [-1, 1]. Raises VqcodecError for what it cannot code."""


@runtime_checkable
class PacketCodec(Protocol):
    """A codec under test whose coded audio can also be sent in packets, of which a network loses some."""

    @property
    def has_packets(self) -> bool:
        """Tell whether it can in this case: a model may code whole clips only."""

    def run_over(self, wave: Wave, rate_hz: int, kbps: float | None, lost_slots: NDArray[np.bool_]) -> Coded:
        """Do as `run`, without the packets that begin in a lost slot of 20 ms, bool [S]; `data` is all that was sent.

        Gaps are concealed as the codec does it.
        """
