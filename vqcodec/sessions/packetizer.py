"""Packetizer: codes into packets as they are encoded, with redundancy where asked for; `packets` has the bytes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import NO_CODE, are_depths
from vqcodec.frames import whole_number
from vqcodec.sessions.packets import (
    MAX_CHANNELS,
    MAX_CODEBOOKS,
    MAX_DISTANCE,
    MAX_FRAMES_PER_PACKET,
    MAX_REDUNDANCY,
    Packet,
    bits_of,
    depths_of,
    to_bytes,
)
from vqcodec.sessions.parity import ParitySender


def packetize(
    codes: NDArray[Any],
    *,
    frames_per_packet: int = 1,
    first_frame: int = 0,
    codebook_size: int = 1024,
    redundancy: int = 0,
    layers: int = 1,
    parity: Sequence[int] = (),
    dtx: bool = False,
) -> list[bytes]:
    """Make the packets of codes [C, K, n] of one stream: integers below `codebook_size`, 1 to 16 channels, any n.

    Frames may have fewer codes, 1 or more: -1 from a codebook on, as encoders of varied depth give them. With `dtx`
    they may have none, as a `PausingEncoder` has them in pauses; how long a pause at the end is, no packet says.
    The last packet has the frames that are left. `first_frame` is the number of the first of them in the stream; a
    caller who pushes and sends takes a `Packetizer`, which counts, and says what `redundancy`, `layers` and
    `parity` are.
    Raises ValueError for other shapes and codes, and for values out of range.
    """
    packetizer = Packetizer(
        frames_per_packet=frames_per_packet,
        first_frame=first_frame,
        codebook_size=codebook_size,
        redundancy=redundancy,
        layers=layers,
        parity=parity,
        dtx=dtx,
    )
    return [*packetizer.push(codes), *packetizer.flush()]


class Packetizer:
    """Codes of one stream in, as they are encoded; packets out, to be sent.

    `frames_per_packet` frames, 1 to 16, share 6 bytes and are lost together; 3 more, and the depths, where frames or
    channels of a packet have different depths. Each packet repeats the lowest `layers` codebooks, 1 to 16 (all where a
    frame has no more), of the `redundancy` frames before it, 0 to 16: at least `frames_per_packet` of them bring back a
    lost packet, and twice as many two in a row. With `dtx` frames without codes are pauses, of which a packet says that
    they begin.

    `parity` names packets before each, by distances of 1 to 12, instead of `redundancy`: it carries the sum of the
    lowest `layers` codebooks of them, in the bytes of those of one, and a lost one comes back where the others of a sum
    have come or follow from further sums. A packet whose frames or channels differ in depth carries none, and frames
    with fewer than `layers` codebooks are in none. See `vqcodec.sessions.packets` for the bytes.
    Raises ValueError for values out of range.
    """

    def __init__(
        self,
        *,
        frames_per_packet: int = 1,
        first_frame: int = 0,
        codebook_size: int = 1024,
        redundancy: int = 0,
        layers: int = 1,
        parity: Sequence[int] = (),
        dtx: bool = False,
    ) -> None:
        self._bits = bits_of(codebook_size)
        self.frames_per_packet = _in_range("frames_per_packet", frames_per_packet, 1, MAX_FRAMES_PER_PACKET)
        self.codebook_size = codebook_size
        self.redundancy = _in_range("redundancy", redundancy, 0, MAX_REDUNDANCY)
        self.layers = _in_range("layers", layers, 1, MAX_REDUNDANCY)
        self.parity = tuple(sorted({_in_range("parity", each, 1, MAX_DISTANCE) for each in parity}))
        if self.parity and self.redundancy:
            raise ValueError(f"redundancy {redundancy} and parity {self.parity} exclude each other")
        self._sent = ParitySender(self.layers, self.parity)
        self.dtx = dtx
        self._number = whole_number(first_frame, "first_frame")
        self._is_pause = False
        self._waiting: NDArray[np.int32] | None = None
        self._before = np.zeros((0, self.layers, 0), np.int32)

    def push(self, codes: NDArray[Any]) -> list[bytes]:
        """Return the packets that are full with codes [C, K, n]: integers below `codebook_size`, any n.

        Codes of a frame may be -1 from the second codebook or a higher one on, which takes less room. K may change
        from push to push, which ends a packet. Raises ValueError for other shapes and codes.
        """
        self._check(codes)
        if not self.dtx or not codes.size:
            return self._push(codes)
        are_pauses = codes[:, 0].max(axis=0) < 0
        packets = []
        for run in np.split(codes, np.flatnonzero(np.diff(are_pauses)) + 1, axis=2):
            packets += self._pause(*run.shape[::2]) if run[0, 0, 0] < 0 else self._push(run)
        return packets

    def _push(self, codes: NDArray[Any]) -> list[bytes]:
        """The packets that are full with codes of which every frame has one."""
        packets = []
        if self._waiting is not None and self._waiting.shape[:2] != codes.shape[:2]:
            packets += self.flush()
        codes = codes.astype(np.int32)
        if self._waiting is not None:
            codes = np.concatenate((self._waiting, codes), axis=2)
        full = codes.shape[2] // self.frames_per_packet * self.frames_per_packet
        packets += [
            self._packet(codes[:, :, start : start + self.frames_per_packet])
            for start in range(0, full, self.frames_per_packet)
        ]
        self._waiting = codes[:, :, full:].copy() if full < codes.shape[2] else None
        return packets

    def flush(self) -> list[bytes]:
        """Return the packet of the frames that are left, if there are any. The stream goes on all the same."""
        rest, self._waiting = self._waiting, None
        return [] if rest is None else [self._packet(rest)]

    def _check(self, codes: NDArray[Any]) -> None:
        if not isinstance(codes, np.ndarray):
            raise TypeError(f"codes are a {type(codes).__name__}, expected an array of numpy, as tensor.numpy() makes")
        if codes.ndim != 3 or not 1 <= codes.shape[0] <= MAX_CHANNELS or not 1 <= codes.shape[1] <= MAX_CODEBOOKS:
            raise ValueError(f"codes have shape {codes.shape}, expected [1..{MAX_CHANNELS}, 1..{MAX_CODEBOOKS}, n]")
        if codes.dtype.kind not in "iu" or (
            codes.size and not NO_CODE <= codes.min() <= codes.max() < self.codebook_size
        ):
            raise ValueError(f"codes are not integers in 0..{self.codebook_size - 1}, or {NO_CODE} above a depth")
        are_none = codes[:, 0] < 0
        if are_none.any() and not (self.dtx and (are_none.all(axis=0) == are_none.any(axis=0)).all()):
            raise ValueError("a frame has no code, expected one or more")
        if not are_depths(codes):
            raise ValueError(f"a frame has a code above one that is {NO_CODE}, which is not a depth")

    def _pause(self, channels: int, frames: int) -> list[bytes]:
        """The packets of frames without codes: one where a pause begins with them, after that of the frames before."""
        packets = self.flush()
        if not self._is_pause:
            none = np.zeros((channels, 0, 1), np.int32)
            packets.append(to_bytes(Packet(self._number, none, none), self._bits))
        self._is_pause = True
        self._before = self._before[:, :, :0]
        self._number += frames
        return packets

    def _packet(self, codes: NDArray[np.int32]) -> bytes:
        """The bytes of the next frames; they then are among those before."""
        codes = codes[:, : depths_of(codes).max()]
        if len(self._before) != len(codes):
            self._before = np.zeros((len(codes), self.layers, 0), np.int32)
        before, its = self._before, depths_of(self._before)
        if its.size:
            # Where the frames have one depth, it costs more to say how much of each is repeated than to repeat less.
            before = before[:, : its.max() if codes.min() < 0 else its.min()]
        data = to_bytes(Packet(self._number, codes, before, *self._sent.next(self._number, codes)), self._bits)
        lowest = np.full((len(codes), self.layers, codes.shape[2]), NO_CODE, np.int32)
        lowest[:, : codes.shape[1]] = codes[:, : self.layers]
        joined = np.concatenate((self._before, lowest), axis=2)
        self._before = joined[:, :, max(0, joined.shape[2] - self.redundancy) :].copy()
        self._number += codes.shape[2]
        self._is_pause = False
        return data


def _in_range(name: str, value: int, least: int, most: int) -> int:
    value = whole_number(value, name)
    if not least <= value <= most:
        raise ValueError(f"{name} {value} is not in {least}..{most}")
    return value
