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
    4       1      num_codebooks K, 1 to 255; 0 is reserved for other layouts
    5       1      high four bits: L - 1; low four bits: r - 1
    6       ..     the codes as above, then without a gap for codebook 0 .. L - 1, channel 0 .. C - 1, frame -r .. -1
                   its code; then zero bits up to a whole byte: ceil((K * n + L * r) * C * bits / 8)

What stays the same in a stream is signalled once, outside the packets (in SDP, say): the model, by its fingerprint,
with its codebook_size (bits = ceil(log2(codebook_size))), and the channels. K, L and r may change with every packet.

Inside RTP a packet is the payload and the RTP timestamp is frame * hop_length; the number stays, since RTP's own
sequence number counts packets, not the frames that are lost with one. The checksum finds damage; forgery takes SRTP.
"""

from dataclasses import dataclass

import numpy as np

from vqcodec.arrays import StoredCodes
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
_REDUNDANT_HEAD_BYTES = 6
_CRC_BYTES = 2
OVERHEAD_BYTES = _HEAD_BYTES + _CRC_BYTES
"""Bytes beside its codes, of a packet that repeats nothing."""


@dataclass(frozen=True)
class Packet:
    """Codes [C, K, n] from frame `number` on, and the lowest codebooks of the frames `before` it, [C, L, r], r >= 0."""

    number: int
    codes: StoredCodes
    before: StoredCodes


def bits_of(codebook_size: int) -> int:
    """Return the bits of a code. Raises ValueError for a size that no packet can have."""
    codebook_size = whole_number(codebook_size, "codebook_size")
    if not 2 <= codebook_size <= MAX_CODEBOOK_SIZE:
        raise ValueError(f"codebook_size {codebook_size} is not in 2..{MAX_CODEBOOK_SIZE}")
    return bits_per_code(codebook_size)


def to_bytes(packet: Packet, bits: int) -> bytes:
    """Make the bytes of a packet, in the first layout where it repeats nothing."""
    channels, num_codebooks, frames = packet.codes.shape
    _, layers, repeated = packet.before.shape
    frame_number, shape = uint_to_bytes(packet.number % NUMBERS, 2), (channels - 1) << 4 | (frames - 1)
    if repeated:
        head = frame_number + bytes([0, shape, num_codebooks, (layers - 1) << 4 | (repeated - 1)])
    else:
        head = frame_number + bytes([num_codebooks, shape])
    # By codebook, channel, frame.
    codes = [part.transpose(1, 0, 2).ravel() for part in (packet.codes, packet.before)]
    _, payload = pack_codes(np.concatenate(codes).reshape(1, 1, -1), bits)
    body = head + payload
    return body + _checksum(body, bits)


def from_bytes(data: bytes, bits: int) -> Packet:
    """Read the packet that `to_bytes` made into `data`. Raises BitstreamError for what it does not make."""
    if len(data) < _HEAD_BYTES + _CRC_BYTES:
        raise TruncatedError(f"a packet has {len(data)} bytes, fewer than its head and checksum")
    body, crc = data[:-_CRC_BYTES], data[-_CRC_BYTES:]
    if crc != _checksum(body, bits):
        raise DamagedError("the checksum of a packet does not match: it is damaged or of another kind")
    num_codebooks, channels, frames = body[2], (body[3] >> 4) + 1, (body[3] & 0xF) + 1
    head_bytes, layers, repeated = _HEAD_BYTES, 1, 0
    if num_codebooks == 0 and len(body) >= _REDUNDANT_HEAD_BYTES:
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


def _checksum(body: bytes, bits: int) -> bytes:
    return uint_to_bytes(crc16(bytes([bits]) + body), _CRC_BYTES)
