"""Depacketizer: packets as they arrive into codes to play; `packets` has the bytes."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import StoredCodes
from vqcodec.bitstream.payload import Comfort
from vqcodec.bitstream.spec import COMFORT_FRAMES
from vqcodec.errors import BitstreamError
from vqcodec.frames import whole_number
from vqcodec.sessions.packets import MAX_CODEBOOKS, NUMBERS, Packet, bits_of, depths_of, from_bytes
from vqcodec.sessions.parity import ParityReceiver

MAX_GAP_FRAMES = 250
"""Frames that one packet may lie ahead of the stream (5 s at 50 frames/s), or behind it, and still belong to it."""


class Depacketizer:
    """Packets as they arrive in, what `DecodeSession.push` takes out, in order: codes [C, K, n], None for a lost frame.

    Frames of varied depth come with as many codebooks as they have, those of a packet apart where that changes. Only
    where channels of a frame have different depths, K is the most of them, and codes, int32, are -1 where one has none.

    Frames of pauses, which are not sent, come with codes that sound like the last 4 that were.

    A lost packet is waited for until more than `reorder_packets` behind it have come: nothing waits without a loss.
    Then what these repeat of its frames, or parity says of them, is given in their place, with fewer codebooks, and
    None where there is neither. Parity of distance d is waited for where `reorder_packets` is d - 1 or more.
    Repeated and late packets are passed over. One push gives at most 250 lost frames.
    Packets more than 250 frames away are passed over until two follow each other: then the sender has started anew,
    or the network was away for longer, and the stream goes on there. Memory: at most `reorder_packets` packets,
    and 16 codebooks of 12 more, of 48 where there is parity.

    The first packet that comes begins the stream, or `first_frame` does where it is known. Packets that are damaged,
    of another number of `channels` or of more than `total_codebooks` codebooks count as lost, and raise BitstreamError
    unless `on_damage` takes it; either way the next push goes on.

    `damaged_packets`, `recovered_frames` (with fewer codebooks, from other packets) and `lost_frames` are counted.
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        total_codebooks: int = MAX_CODEBOOKS,
        codebook_size: int = 1024,
        reorder_packets: int = 2,
        first_frame: int | None = None,
        on_damage: Callable[[BitstreamError], None] | None = None,
    ) -> None:
        self._bits = bits_of(codebook_size)
        self.channels = whole_number(channels, "channels")
        self.total_codebooks = whole_number(total_codebooks, "total_codebooks")
        self.codebook_size = codebook_size
        self.reorder_packets = whole_number(reorder_packets, "reorder_packets")
        self.on_damage = on_damage
        self._next = None if first_frame is None else whole_number(first_frame, "first_frame")
        self._restart: int | None = None
        self._waiting: dict[int, Packet] = {}
        self._begin()
        self.damaged_packets = self.recovered_frames = self.lost_frames = 0

    def push(self, packet: bytes) -> list[StoredCodes | None]:
        """Return what can be played now that `packet` has come. Raises TypeError for what is no bytes."""
        if not isinstance(packet, bytes | bytearray | memoryview):
            raise TypeError(f"packet is a {type(packet).__name__}, expected bytes")
        try:
            arrived = self._checked(bytes(packet))
        except BitstreamError as error:
            self.damaged_packets += 1
            if self.on_damage is None:
                raise
            self.on_damage(error)
            return []
        if self._next is None:
            self._next = arrived.number
        ahead = (arrived.number - self._next + NUMBERS // 2) % NUMBERS - NUMBERS // 2
        if abs(ahead) > MAX_GAP_FRAMES:
            return self._stray(arrived)
        self._restart = None
        self._waiting[self._next + ahead] = arrived
        self._parity.add(self._next + ahead, arrived)
        return self._ready(self.reorder_packets)

    def skip(self) -> list[StoredCodes | None]:
        """Wait no longer for the next frame, which must be played now: what stands in for it, and what waits behind.

        A packet that has come may repeat it, and in a pause there is what sounds like it; None otherwise. Nothing where
        the stream has not begun.
        """
        if self._next is None:
            return []
        frame = self._missing(self._next)
        self._next += 1
        return [frame, *self._ready(self.reorder_packets)]

    def flush(self) -> list[StoredCodes | None]:
        """Return what still waits, and what stands in for frames missing in between. The next push starts anew."""
        rest = self._ready(0)
        self._next = self._restart = None
        self._begin()
        return rest

    def _begin(self) -> None:
        """Forget what pauses sound like, whether there is one, and what came."""
        self._parity = ParityReceiver(self.codebook_size)
        self._comfort = Comfort(0)
        self._is_pause = False
        self._newest: int | None = None

    def _checked(self, data: bytes) -> Packet:
        """A packet that belongs to the stream."""
        packet = from_bytes(data, self._bits)
        channels, num_codebooks, _ = packet.codes.shape
        most_codebooks = max(num_codebooks, packet.before.shape[1] if packet.before.size else 0)
        if channels != self.channels or most_codebooks > self.total_codebooks:
            raise BitstreamError(
                f"a packet has {channels} channels and {most_codebooks} codebooks, "
                f"the stream {self.channels} and at most {self.total_codebooks}"
            )
        largest = max(int(packet.codes.max(initial=0)), int(packet.before.max(initial=0)))
        if largest >= self.codebook_size:
            raise BitstreamError(f"a packet has code {largest}, the codebooks {self.codebook_size}")
        return packet

    def _stray(self, packet: Packet) -> list[StoredCodes | None]:
        """Do as RFC 3550, A.1: far from the stream one packet is an accident, two in sequence are where it goes on."""
        before, self._restart = self._restart, (packet.number + packet.codes.shape[2]) % NUMBERS
        if before != packet.number:
            return []
        rest = self.flush()
        self._next = packet.number
        self._parity.add(packet.number, packet)
        return [*rest, *self._played(packet, packet.number)]

    def _ready(self, reorder_packets: int) -> list[StoredCodes | None]:
        """What follows directly, and the first packets as long as more than `reorder_packets` wait; none twice."""
        ready: list[StoredCodes | None] = []
        while self._waiting and self._next is not None:
            start = min(self._waiting)
            if start > self._next and len(self._waiting) <= reorder_packets:
                break
            ready += map(self._missing, range(self._next, start))
            ready += self._played(self._waiting.pop(start), start)
        return ready

    def _played(self, packet: Packet, start: int) -> list[StoredCodes | None]:
        """What is left to play of a packet that comes next, or late; its first frame is `start`."""
        assert self._next is not None
        num_codebooks, frames = packet.codes.shape[1:]
        if is_new := self._newest is None or start > self._newest:
            self._newest, self._is_pause = start, num_codebooks == 0
        first = self._next = max(self._next, start)
        self._next = max(first, start + frames)
        if num_codebooks == 0:
            return [self._missing(frame) for frame in range(first, self._next)]
        for frame in range(max(0, frames - COMFORT_FRAMES) if is_new else frames, frames):
            self._comfort.add(_runs(packet.codes[:, :, frame : frame + 1])[0])
        return [*_runs(packet.codes[:, :, first - start :])]

    def _missing(self, frame: int) -> StoredCodes | None:
        """What packets repeat of a frame whose own has not come, or parity says, with most codebooks; else None.

        In a pause what sounds like it, unless there is any of that: then it was none any more.
        """
        copies = []
        for start, packet in self._waiting.items():
            index = frame - start + packet.before.shape[2]
            if 0 <= index < packet.before.shape[2]:
                copies += _runs(packet.before[:, :, index : index + 1])
        if (codes := self._parity.codes_of(frame)) is not None:
            copies += _runs(codes)
        if not copies and self._is_pause and (comfort := self._comfort.draw()) is not None:
            return comfort
        self._is_pause = self._is_pause and not copies
        self.recovered_frames += bool(copies)
        self.lost_frames += not copies
        return max(copies, key=lambda copy: copy.shape[1], default=None)


def _runs(codes: NDArray[Any]) -> list[NDArray[Any]]:
    """Codes [C, K, n], -1 above the depth of a frame, in pieces of frames that are as deep, cut to that."""
    if not codes.shape[2]:
        return []
    if codes.min() >= 0:
        return [codes.astype(np.uint16, copy=False)]
    depths = depths_of(codes)
    changes = np.flatnonzero((depths[:, 1:] != depths[:, :-1]).any(axis=0)) + 1
    cut = [piece[:, : depths_of(piece).max()] for piece in np.split(codes, changes, axis=2)]
    return [piece if piece.min() < 0 else piece.astype(np.uint16) for piece in cut]


def depacketize(packets: Iterable[bytes], depacketizer: Depacketizer | None = None) -> Iterator[StoredCodes | None]:
    """Give what `Depacketizer` does for all `packets`, flushed: codes [C, K, n] in order, None for each lost frame.

    Packets that are damaged or of another kind count as lost. Unless `on_damage` is told of each, one warning at the
    end says how many there were. Raises BitstreamError at the end where all were.
    """
    receiver = depacketizer or Depacketizer()
    damaged_before, count, first = receiver.damaged_packets, 0, ""
    for packet in packets:
        count += 1
        try:
            items = receiver.push(packet)
        except BitstreamError as error:
            items, first = [], first or f"; the first: {error}"
        yield from items
    yield from receiver.flush()
    damaged = receiver.damaged_packets - damaged_before
    if damaged and damaged == count:
        raise BitstreamError(f"none of {count} packets can be read{first}")
    if first:
        warnings.warn(f"{damaged} of {count} packets cannot be read and count as lost{first}", stacklevel=2)
