"""Packets: frames of codes for transports that lose, repeat and reorder (UDP, RTP), each decodable by itself.

A packet is 6 bytes and its codes, 10 bytes for a frame of 3 codebooks (1.5 kbps). Integers are little-endian.

    offset  bytes  field
    0       2      number of its first frame, modulo 65536 (21 minutes at 50 frames/s)
    2       1      num_codebooks K, 1 to 255; 0: with redundancy, see below
    3       1      high four bits: channels C - 1; low four bits: frames n - 1
    4       ..     for codebook 0 .. K - 1, channel 0 .. C - 1, frame 0 .. n - 1 its code in `bits` bits, most
                   significant bit first, without gaps; then zero bits up to a whole byte: ceil(K * C * n * bits / 8)
    ..      2      CRC-16/IBM-3740 of: `bits` (1 byte, not stored), all bytes before

With redundancy (as RFC 2198 has it for RTP) a packet repeats the lowest L codebooks of the r frames before its own, and
a receiver puts them in the place of frames that are lost. It has 2 bytes and L * C * r codes more: 13 bytes for a frame
of 3 codebooks and one of 1. Receivers that know nothing of it take such packets for damaged.

    2       1      0
    4       1      num_codebooks K, 1 to 255; 0: with depths, see below
    5       1      high four bits: L - 1; low four bits: r - 1
    6       ..     the codes as above, then without a gap for codebook 0 .. L - 1, channel 0 .. C - 1, frame -r .. -1
                   its code; then zero bits up to a whole byte: ceil((K * n + L * r) * C * bits / 8)

Frames of varied depth have codes in their lowest codebooks only. Where all in a packet are as deep as each other, it is
as above, K their depth: one frame of one channel costs nothing more. Else it has 3 bytes and the depths more. Receivers
that know nothing of it take such packets for damaged.

    2       1      0
    4       1      0
    5       1      K, the most of the depths below, 2 to 255
    6       1      frames that are repeated r, 0 to 16
    7       ..     for channel 0 .. C - 1, frame 0 .. n - 1 its depth, 1 to K, in as many bits as K has, most
                   significant bit first, without gaps; then for channel 0 .. C - 1, frame -r .. -1 how many codebooks
                   of it are repeated, likewise; then zero bits up to a whole byte. 0 is reserved, and so are depths
                   that are all the same where those that are repeated are so too
    ..      ..     the codes as above, first of the n frames and then of the r, each in its lowest codebooks only; then
                   zero bits up to a whole byte

With parity (as RFC 8627 has it for RTP) a packet carries, of each of its lowest L codebooks, channels and frames, the
bitwise exclusive or of the codes in this place in some of the packets before that hold as many frames: those that begin
n * d frames before it, for up to 12 distances d of 1 to 12. Where all of them but one are known, that one is. It has 2
bytes and L * C * n codes more, as one with L codebooks of r = n frames. A packet without parity is as above. For its
checksum 128 is added to `bits`, so that receivers that know nothing of it take such packets for damaged.

    2       1      num_codebooks K, 1 to 255
    4       2      high four bits: L - 1, less than K; bit d - 1: whether distance d is among them, one or more
    6       ..     the codes as above, then without a gap for codebook 0 .. L - 1, channel 0 .. C - 1, frame 0 .. n - 1
                   the parity; then zero bits up to a whole byte: ceil((K + L) * C * n * bits / 8)

In a pause few frames are sent at all (discontinuous transmission). A packet of 8 bytes says that its frame has no
codes, nor any behind it up to that of the next packet. Until then a receiver plays the last 4 frames that had some, as
`vqcodec.bitstream.spec` has it under "Pauses". Receivers that know nothing of it take such packets for damaged.

    2       1      0
    3       1      high four bits: channels C - 1; low four bits: 0
    4       1      0
    5       1      0

What stays the same in a stream is signalled once, outside the packets (in SDP, say): the model, by its fingerprint,
with its codebook_size (bits = ceil(log2(codebook_size))), and the channels. K, L and r may change with every packet.

Inside RTP a packet is the payload and the RTP timestamp is frame * hop_length; the number stays, since RTP's own
sequence number counts packets, not the frames that are lost with one. The checksum finds damage; forgery takes SRTP.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import NO_CODE
from vqcodec.bitstream.binary import bytes_to_uint, crc16, uint_to_bytes
from vqcodec.bitstream.payload import layer_bytes, pack_codes, unpack_codes
from vqcodec.errors import BitstreamError, DamagedError, TruncatedError
from vqcodec.frames import bits_per_code, whole_number

MAX_CHANNELS = 16
MAX_FRAMES_PER_PACKET = 16
MAX_CODEBOOKS = 255
MAX_CODEBOOK_SIZE = 65536
MAX_REDUNDANCY = 16
"""Frames that a packet repeats, and codebooks of each."""
NUMBERS = 1 << 16
"""Numbers of frames; then they begin again."""
_HEAD_BYTES = 4
MAX_DISTANCE = 12
"""Packets between one and those whose parity it carries."""
_REDUNDANT_HEAD_BYTES = 6
_VARIED_HEAD_BYTES = 7
_CRC_BYTES = 2
_PARITY = 0x80
"""Added to the bits of a code in the checksum of a packet with parity."""
OVERHEAD_BYTES = _HEAD_BYTES + _CRC_BYTES
"""Bytes beside its codes, of a packet that repeats nothing."""


@dataclass(frozen=True)
class Packet:
    """Codes [C, K, n] from frame `number` on, and the lowest codebooks of the frames `before` it, [C, L, r], r >= 0.

    -1 from the depth of a frame on, which is 1 or more; K and L are the most of the depths. K is 0 where a pause begins
    with the frame, n being 1 and r 0.
    Where there are `distances`, r is 0, no code is -1, and `parity` [C, L, n] is of the packets so far before it.
    """

    number: int
    codes: NDArray[Any]
    before: NDArray[Any]
    parity: NDArray[Any] = field(default_factory=lambda: np.zeros((1, 1, 0), np.int32))
    distances: tuple[int, ...] = ()


def bits_of(codebook_size: int) -> int:
    """Return the bits of a code. Raises ValueError for a size that no packet can have."""
    codebook_size = whole_number(codebook_size, "codebook_size")
    if not 2 <= codebook_size <= MAX_CODEBOOK_SIZE:
        raise ValueError(f"codebook_size {codebook_size} is not in 2..{MAX_CODEBOOK_SIZE}")
    return bits_per_code(codebook_size)


def depths_of(codes: NDArray[Any]) -> NDArray[np.int64]:
    """Count the codes of each frame of codes [C, K, n], -1 above its depth: int64 [C, n]."""
    depths: NDArray[np.int64] = (codes >= 0).sum(axis=1)
    return depths


def to_bytes(packet: Packet, bits: int) -> bytes:
    """Make the bytes of a packet, in the first layout that can hold it."""
    channels, num_codebooks, frames = packet.codes.shape
    _, layers, repeated = packet.before.shape
    frame_number, shape = uint_to_bytes(packet.number % NUMBERS, 2), (channels - 1) << 4 | (frames - 1)
    if num_codebooks == 0:
        body = frame_number + bytes([0, shape, 0, 0])
        return body + _checksum(body, bits)
    if packet.distances:
        mask = sum(1 << (distance - 1) for distance in packet.distances)
        about = (packet.parity.shape[1] - 1) << MAX_DISTANCE | mask
        head = frame_number + bytes([num_codebooks, shape]) + uint_to_bytes(about, 2)
        codes = np.concatenate((packet.codes, packet.parity), axis=1).transpose(1, 0, 2)
        body = head + _packed(codes, bits)
        return body + _checksum(body, bits | _PARITY)
    # By codebook, channel, frame.
    codes = np.concatenate([part.transpose(1, 0, 2).ravel() for part in (packet.codes, packet.before)])
    if codes.min() < 0:
        most = max(num_codebooks, layers if repeated else 0)
        depths = np.concatenate([depths_of(part).ravel() for part in (packet.codes, packet.before)])
        head = frame_number + bytes([0, shape, 0, most, repeated]) + _packed(depths, most.bit_length())
        codes = codes[codes >= 0]
    elif repeated:
        head = frame_number + bytes([0, shape, num_codebooks, (layers - 1) << 4 | (repeated - 1)])
    else:
        head = frame_number + bytes([num_codebooks, shape])
    body = head + _packed(codes, bits)
    return body + _checksum(body, bits)


def from_bytes(data: bytes, bits: int) -> Packet:
    """Read the packet that `to_bytes` made into `data`. Raises BitstreamError for what it does not make."""
    if len(data) < _HEAD_BYTES + _CRC_BYTES:
        raise TruncatedError(f"a packet has {len(data)} bytes, fewer than its head and checksum")
    body, crc = data[:-_CRC_BYTES], data[-_CRC_BYTES:]
    if crc == _checksum(body, bits | _PARITY):
        return _parity_from_bytes(body, bits)
    if crc != _checksum(body, bits):
        raise DamagedError("the checksum of a packet does not match: it is damaged or of another kind")
    num_codebooks, channels, frames = body[2], (body[3] >> 4) + 1, (body[3] & 0xF) + 1
    head_bytes, layers, repeated = _HEAD_BYTES, 1, 0
    if num_codebooks == 0 and len(body) >= _REDUNDANT_HEAD_BYTES:
        if body[4:] == bytes(2) and frames == 1:
            return Packet(bytes_to_uint(body[:2]), np.zeros((channels, 0, 1), int), np.zeros((channels, 1, 0), int))
        if body[4] == 0:
            return _varied_from_bytes(body, bits, channels, frames)
        head_bytes, num_codebooks = _REDUNDANT_HEAD_BYTES, body[4]
        layers, repeated = (body[5] >> 4) + 1, (body[5] & 0xF) + 1
    primary, redundant = num_codebooks * channels * frames, layers * channels * repeated
    if primary == 0 or len(body) != head_bytes + layer_bytes(primary + redundant, bits):
        raise BitstreamError(f"a packet of {len(data)} bytes cannot hold {primary + redundant} codes of {bits} bits")
    codes = unpack_codes([body[head_bytes:]], bits, channels=1, frames=primary + redundant).ravel()
    return Packet(
        bytes_to_uint(body[:2]),
        codes[:primary].reshape(num_codebooks, channels, frames).transpose(1, 0, 2),
        codes[primary:].reshape(layers, channels, repeated).transpose(1, 0, 2),
    )


def _parity_from_bytes(body: bytes, bits: int) -> Packet:
    """Read a packet with parity, without its checksum."""
    num_codebooks, channels, frames = body[2], (body[3] >> 4) + 1, (body[3] & 0xF) + 1
    about = bytes_to_uint(body[_HEAD_BYTES:_REDUNDANT_HEAD_BYTES])
    layers = (about >> MAX_DISTANCE) + 1
    distances = tuple(d for d in range(1, MAX_DISTANCE + 1) if about >> (d - 1) & 1)
    count = (num_codebooks + layers) * channels * frames
    is_whole = len(body) == _REDUNDANT_HEAD_BYTES + layer_bytes(count, bits)
    if not distances or layers > num_codebooks or not is_whole:
        raise BitstreamError(f"a packet of {len(body) + _CRC_BYTES} bytes cannot hold {count} codes and parity of them")
    codes = unpack_codes([body[_REDUNDANT_HEAD_BYTES:]], bits, channels=1, frames=count)
    codes = codes.reshape(num_codebooks + layers, channels, frames).transpose(1, 0, 2)
    nothing = np.zeros((channels, 1, 0), int)
    return Packet(bytes_to_uint(body[:2]), codes[:, :num_codebooks], nothing, codes[:, num_codebooks:], distances)


def _varied_from_bytes(body: bytes, bits: int, channels: int, frames: int) -> Packet:
    """Read a packet with depths, without its checksum."""
    most, repeated = body[5], body[6] if len(body) >= _VARIED_HEAD_BYTES else MAX_REDUNDANCY + 1
    primary, depth_bits = channels * frames, most.bit_length()
    count = primary + channels * repeated
    codes_at = _VARIED_HEAD_BYTES + layer_bytes(count, depth_bits)
    if most == 0 or repeated > MAX_REDUNDANCY or len(body) < codes_at:
        raise BitstreamError(f"a packet of {len(body) + _CRC_BYTES} bytes cannot hold {count} depths up to {most}")
    depths = unpack_codes([body[_VARIED_HEAD_BYTES:codes_at]], depth_bits, channels=1, frames=count).ravel()
    primary_depths = depths[:primary].reshape(channels, frames)
    redundant_depths = depths[primary:].reshape(channels, repeated)
    is_varied = any(np.ptp(part) > 0 for part in (primary_depths, redundant_depths) if part.size)
    if depths.min() == 0 or depths.max() != most or not is_varied:
        raise BitstreamError(f"a packet with depths has such as no packet has: {depths.min()} to {depths.max()}")
    total, primary_codes = int(depths.sum()), int(primary_depths.sum())
    if len(body) != codes_at + layer_bytes(total, bits):
        raise BitstreamError(f"a packet of {len(body) + _CRC_BYTES} bytes cannot hold {total} codes of {bits} bits")
    codes = unpack_codes([body[codes_at:]], bits, channels=1, frames=total).ravel()
    return Packet(
        bytes_to_uint(body[:2]),
        _placed(codes[:primary_codes], primary_depths),
        _placed(codes[primary_codes:], redundant_depths),
    )


def _placed(codes: NDArray[Any], depths: NDArray[Any]) -> NDArray[np.int32]:
    """Codes by codebook, channel, frame of depths [C, n] as [C, K, n], -1 above each depth."""
    is_code = np.arange(depths.max(initial=1))[:, None, None] < depths
    placed = np.full(is_code.shape, NO_CODE, np.int32)
    placed[is_code] = codes
    return placed.transpose(1, 0, 2)


def _packed(values: NDArray[Any], bits: int) -> bytes:
    _, payload = pack_codes(values.astype(np.uint16).reshape(1, 1, -1), bits)
    return payload


def _checksum(body: bytes, bits: int) -> bytes:
    return uint_to_bytes(crc16(bytes([bits]) + body), _CRC_BYTES)
