"""Packets: frames of codes for transports that lose, repeat and reorder (UDP, RTP), each decodable by itself.

A packet is 6 bytes and its codes, 10 bytes for a frame of 3 codebooks (1.5 kbps). Integers are little-endian.

    offset  bytes  field
    0       2      number of its first frame, modulo 65536 (21 minutes at 50 frames/s)
    2       1      num_codebooks K, 1 to 255; 0 is reserved for other layouts
    3       1      high four bits: channels C - 1; low four bits: frames n - 1
    4       ..     for codebook 0 .. K - 1, channel 0 .. C - 1, frame 0 .. n - 1 its code in `bits` bits, most
                   significant bit first, without gaps; then zero bits up to a whole byte: ceil(K * C * n * bits / 8)
    ..      2      CRC-16/IBM-3740 of: `bits` (1 byte, not stored), all bytes before

What stays the same in a stream is signalled once, outside the packets (in SDP, say): the model, by its fingerprint,
with its codebook_size (bits = ceil(log2(codebook_size))), and the channels. K may change with every packet.

Inside RTP a packet is the payload and the RTP timestamp is frame * hop_length; the number stays, since RTP's own
sequence number counts packets, not the frames that are lost with one. The checksum finds damage; forgery takes SRTP.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import StoredCodes
from vqcodec.bitstream.binary import bytes_to_uint, crc16, uint_to_bytes
from vqcodec.bitstream.payload import layer_bytes, pack_codes, unpack_codes
from vqcodec.errors import BitstreamError, DamagedError, TruncatedError
from vqcodec.frames import bits_per_code

MAX_CHANNELS = 16
MAX_FRAMES_PER_PACKET = 16
MAX_CODEBOOKS = 255
MAX_CODEBOOK_SIZE = 65536
MAX_GAP_FRAMES = 250
"""Frames that one packet may lie ahead of the stream (5 s at 50 frames/s), or behind it, and still belong to it."""

_NUMBERS = 1 << 16
_HEAD_BYTES = 4
_CRC_BYTES = 2


def packetize(
    codes: NDArray[Any], *, frames_per_packet: int = 1, first_frame: int = 0, codebook_size: int = 1024
) -> list[bytes]:
    """The packets of codes [C, K, n] of one stream: integers below `codebook_size`, 1 to 16 channels, any n.

    `first_frame` is the number of the first of them in the stream: a caller who pushes and sends adds up the frames.
    The last packet has the frames that are left. More frames in a packet share its 6 bytes and are lost together.
    Raises ValueError for other shapes and codes, and for frames_per_packet outside 1..16.
    """
    bits = _bits(codebook_size)
    if codes.ndim != 3 or not 1 <= codes.shape[0] <= MAX_CHANNELS or not 1 <= codes.shape[1] <= MAX_CODEBOOKS:
        raise ValueError(f"codes have shape {codes.shape}, expected [1..{MAX_CHANNELS}, 1..{MAX_CODEBOOKS}, n]")
    if codes.dtype.kind not in "iu" or (codes.size and not 0 <= codes.min() <= codes.max() < codebook_size):
        raise ValueError(f"codes are not integers in 0..{codebook_size - 1}")
    if not 1 <= frames_per_packet <= MAX_FRAMES_PER_PACKET:
        raise ValueError(f"frames_per_packet {frames_per_packet} is not in 1..{MAX_FRAMES_PER_PACKET}")
    return [
        _to_bytes(codes[:, :, start : start + frames_per_packet].astype(np.uint16), first_frame + start, bits)
        for start in range(0, codes.shape[2], frames_per_packet)
    ]


class Depacketizer:
    """Packets as they arrive in, what `DecodeSession.push` takes out, in order: codes [C, K, n], None for a lost frame.

    A lost packet is waited for until more than `reorder_packets` behind it have come: nothing waits without a loss.
    Repeated and late packets are passed over. One push gives at most 250 lost frames.
    Packets more than 250 frames away are passed over until two follow each other: then the sender has started anew,
    or the network was away for longer, and the stream goes on there. Memory: at most `reorder_packets` packets.

    The first packet that comes begins the stream, or `first_frame` does where it is known. Packets that are damaged,
    of another number of `channels` or of more than `total_codebooks` codebooks count as lost, and raise BitstreamError
    unless `on_damage` takes it; either way the next push goes on.
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
        self._bits = _bits(codebook_size)
        self.channels = channels
        self.total_codebooks = total_codebooks
        self.codebook_size = codebook_size
        self.reorder_packets = reorder_packets
        self.on_damage = on_damage
        self._next = first_frame
        self._restart: int | None = None
        self._waiting: dict[int, StoredCodes] = {}

    def push(self, packet: bytes) -> list[StoredCodes | None]:
        """Return what can be played now that `packet` has come."""
        try:
            number, codes = self._checked(packet)
        except BitstreamError as error:
            if self.on_damage is None:
                raise
            self.on_damage(error)
            return []
        if self._next is None:
            self._next = number
        ahead = (number - self._next + _NUMBERS // 2) % _NUMBERS - _NUMBERS // 2
        if abs(ahead) > MAX_GAP_FRAMES:
            return self._stray(number, codes)
        self._restart = None
        self._waiting[self._next + ahead] = codes
        return self._ready(self.reorder_packets)

    def skip(self) -> list[StoredCodes | None]:
        """Wait no longer for the next frame, because it must be played now: None, and what has waited behind it.

        Nothing where the stream has not begun.
        """
        if self._next is None:
            return []
        self._next += 1
        return [None, *self._ready(self.reorder_packets)]

    def flush(self) -> list[StoredCodes | None]:
        """Return what still waits, and None for the frames that are missing in between. The next push starts anew."""
        rest = self._ready(0)
        self._next = self._restart = None
        return rest

    def _checked(self, packet: bytes) -> tuple[int, StoredCodes]:
        """Number and codes of a packet that belongs to the stream."""
        number, codes = _from_bytes(packet, self._bits)
        if len(codes) != self.channels or codes.shape[1] > self.total_codebooks:
            raise BitstreamError(
                f"a packet has {len(codes)} channels and {codes.shape[1]} codebooks, "
                f"the stream {self.channels} and at most {self.total_codebooks}"
            )
        if int(codes.max()) >= self.codebook_size:
            raise BitstreamError(f"a packet has code {codes.max()}, the codebooks {self.codebook_size}")
        return number, codes

    def _stray(self, number: int, codes: StoredCodes) -> list[StoredCodes | None]:
        """As RFC 3550, A.1: far from the stream one packet is an accident, two in sequence are where it goes on."""
        before, self._restart = self._restart, (number + codes.shape[2]) % _NUMBERS
        if before != number:
            return []
        rest = self.flush()
        self._next = number + codes.shape[2]
        return [*rest, codes]

    def _ready(self, reorder_packets: int) -> list[StoredCodes | None]:
        """What follows directly, and the first packets as long as more than `reorder_packets` wait; none twice."""
        ready: list[StoredCodes | None] = []
        while self._waiting and self._next is not None:
            start = min(self._waiting)
            if start > self._next and len(self._waiting) <= reorder_packets:
                break
            ready += [None] * (start - self._next)
            codes = self._waiting.pop(start)[:, :, max(0, self._next - start) :]
            self._next = max(self._next, start) + codes.shape[2]
            if codes.shape[2]:
                ready.append(codes)
        return ready


def depacketize(packets: Iterable[bytes], depacketizer: Depacketizer | None = None) -> Iterator[StoredCodes | None]:
    """Give what `Depacketizer` does for all `packets`, flushed: codes [C, K, n] in order, None for each lost frame."""
    receiver = depacketizer or Depacketizer()
    for packet in packets:
        yield from receiver.push(packet)
    yield from receiver.flush()


def _bits(codebook_size: int) -> int:
    if not 2 <= codebook_size <= MAX_CODEBOOK_SIZE:
        raise ValueError(f"codebook_size {codebook_size} is not in 2..{MAX_CODEBOOK_SIZE}")
    return bits_per_code(codebook_size)


def _to_bytes(codes: StoredCodes, number: int, bits: int) -> bytes:
    channels, num_codebooks, frames = codes.shape
    head = uint_to_bytes(number % _NUMBERS, 2) + bytes([num_codebooks, (channels - 1) << 4 | (frames - 1)])
    _, payload = pack_codes(codes.transpose(1, 0, 2).reshape(1, 1, -1), bits)
    body = head + payload
    return body + _checksum(body, bits)


def _from_bytes(packet: bytes, bits: int) -> tuple[int, StoredCodes]:
    """Number and codes [C, K, n] of one packet. Raises BitstreamError for what `_to_bytes` does not make."""
    if len(packet) < _HEAD_BYTES + _CRC_BYTES:
        raise TruncatedError(f"a packet has {len(packet)} bytes, fewer than its head and checksum")
    body, crc = packet[:-_CRC_BYTES], packet[-_CRC_BYTES:]
    if crc != _checksum(body, bits):
        raise DamagedError("the checksum of a packet does not match: it is damaged or of another kind")
    num_codebooks, channels, frames = body[2], (body[3] >> 4) + 1, (body[3] & 0xF) + 1
    count = num_codebooks * channels * frames
    if count == 0 or len(body) != _HEAD_BYTES + layer_bytes(count, bits):
        raise BitstreamError(f"a packet of {len(packet)} bytes cannot hold {count} codes of {bits} bits")
    codes = unpack_codes([body[_HEAD_BYTES:]], bits, channels=1, frames=count)
    return bytes_to_uint(body[:2]), codes.reshape(num_codebooks, channels, frames).transpose(1, 0, 2)


def _checksum(body: bytes, bits: int) -> bytes:
    return uint_to_bytes(crc16(bytes([bits]) + body), _CRC_BYTES)
