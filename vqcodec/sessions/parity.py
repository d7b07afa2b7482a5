"""Parity of packets: sums of the codes that are sent, and codes that did not come from sums; `packets` has the bytes.

A sum is a bitwise exclusive or, so what a lost packet held follows from one sum of which it is the only unknown, and
what several held from as many sums that differ: Gaussian elimination over GF(2), each packet an unknown.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.sessions.packets import MAX_DISTANCE, MAX_REDUNDANCY, Packet

_SUMS = 4 * MAX_DISTANCE
"""Packets that are kept once there is parity: more are worth nothing measurable."""


class ParitySender:
    """Remembers what was sent, for the parity of what will be: of the lowest `layers` codebooks at `distances`."""

    def __init__(self, layers: int, distances: Sequence[int]) -> None:
        self.layers = layers
        self.distances = distances
        self._sent: dict[int, NDArray[Any]] = {}

    def next(self, start: int, codes: NDArray[Any]) -> tuple[NDArray[Any], tuple[int, ...]]:
        """Return the parity [C, L, n] that goes with codes [C, K, n] from frame `start` on, and its distances.

        None of them where `codes` are of varied depth; only those of packets of this shape, L codebooks deep.
        """
        if not self.distances:
            return codes[:, :0], ()
        channels, num_codebooks, frames = codes.shape
        layers = min(self.layers, num_codebooks)
        found = {
            distance: its[:, :layers]
            for distance in self.distances
            if (its := self._sent.get(start - distance * frames)) is not None
            and (its.shape[0], its.shape[2]) == (channels, frames)
            and its.shape[1] >= layers
            and its[:, :layers].min() >= 0
        }
        self._sent[start] = codes[:, : self.layers].copy()
        if len(self._sent) > MAX_DISTANCE:
            del self._sent[min(self._sent)]
        if not found or codes.min() < 0:
            return codes[:, :0], ()
        return reduce(np.bitwise_xor, found.values()), tuple(found)


class ParityReceiver:
    """Remembers packets that came, and works out what their parity says of those that did not."""

    def __init__(self, codebook_size: int) -> None:
        self._codebook_size = codebook_size
        self._came: dict[int, NDArray[Any]] = {}
        self._sums: dict[int, Packet] = {}

    def add(self, start: int, packet: Packet) -> None:
        """Take a packet that came, whose first frame is `start`: it is known, and so is its parity."""
        self._came[start] = packet.codes[:, :MAX_REDUNDANCY].copy()
        if packet.distances:
            # One shape at a time bounds the work that packets of many shapes could ask for.
            if any(its.parity.shape != packet.parity.shape for its in self._sums.values()):
                self._sums.clear()
            self._sums[start] = packet
        most = _SUMS if self._sums else MAX_DISTANCE
        while len(self._came) > most:
            first = min(self._came)
            del self._came[first]
            self._sums.pop(first, None)

    def codes_of(self, frame: int) -> NDArray[Any] | None:
        """Find the lowest codes [C, L, 1] of a frame whose packet has not come; None where they do not follow."""
        summed = {other: its.parity.shape[2] for start, its in self._sums.items() for other in _others(start, its)}
        starts = [start for start, frames in summed.items() if start <= frame < start + frames]
        if not starts or max(starts) in self._came:
            return None
        start = max(starts)
        codes = _eliminated((self._unknown(at, its) for at, its in self._sums.items()), start)
        if codes is None or codes.max() >= self._codebook_size:
            return None
        return codes[:, :, frame - start : frame - start + 1]

    def _unknown(self, start: int, packet: Packet) -> tuple[frozenset[int], NDArray[Any]]:
        """The packets of a sum that have not come, and what is left of it without those that have."""
        unknown, rest = set(), packet.parity
        for other in _others(start, packet):
            its = self._came.get(other, rest[:, :0])[:, : rest.shape[1]]
            if its.shape == rest.shape and its.min() >= 0:
                rest = rest ^ its
            else:
                unknown.add(other)
        return frozenset(unknown), rest


def _others(start: int, packet: Packet) -> list[int]:
    """The first frames of the packets whose parity one that begins at `start` carries."""
    return [start - distance * packet.parity.shape[2] for distance in packet.distances]


def _eliminated(sums: Iterable[tuple[frozenset[int], NDArray[Any]]], wanted: int) -> NDArray[Any] | None:
    """Solve for one unknown of `sums`, each the unknowns in it and their sum: its value, or None where none follows."""
    by_first: dict[int, tuple[frozenset[int], NDArray[Any]]] = {}
    for unknowns, its in sums:
        unknown, rest = unknowns, its
        while others := unknown - {wanted}:
            first = min(others)
            if first not in by_first:
                by_first[first] = unknown, rest
                break
            unknown, rest = unknown ^ by_first[first][0], rest ^ by_first[first][1]
        else:
            if unknown:
                return rest
    return None
