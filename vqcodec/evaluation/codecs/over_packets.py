"""A model of ours over a network that loses packets: what a receiver hears of it, gaps concealed."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import Codes, Wave
from vqcodec.evaluation.packet_loss import SLOTS_PER_SECOND
from vqcodec.models.engine import Engine
from vqcodec.sessions.depacketizer import Depacketizer
from vqcodec.sessions.packetizer import packetize
from vqcodec.sessions.packets import MAX_FRAMES_PER_PACKET, OVERHEAD_BYTES
from vqcodec.sessions.stream import DecodeSession, EncodeSession


@dataclass(frozen=True)
class Heard:
    """What a receiver hears: wave_hat [T] of T samples; the packets that were sent, and the codes [K, F] in them."""

    wave_hat: Wave
    packets: list[bytes]
    codes: Codes
    encode_seconds: float
    decode_seconds: float

    @property
    def payload_bytes(self) -> int:
        """Count the bytes of codes that were sent, without heads and checksums."""
        return sum(len(packet) - OVERHEAD_BYTES for packet in self.packets)


def heard_over(engine: Engine, wave: Wave, kbps: float, lost_slots: NDArray[np.bool_]) -> Heard:
    """Code `wave` [T] at the engine's rate, send it in packets of about 20 ms, and play what comes, as a call does.

    lost_slots: bool [S], whether a packet that begins in each 20 ms of the wave is lost. Raises ConfigError for an
    engine that codes whole clips.
    """
    start = time.perf_counter()
    session = EncodeSession(engine, kbps=kbps)
    codes = np.concatenate((session.push(wave[None]), session.flush()), axis=2)
    frames_per_packet = min(max(1, round(engine.frame_rate / SLOTS_PER_SECOND)), MAX_FRAMES_PER_PACKET)
    packets = packetize(codes, frames_per_packet=frames_per_packet, codebook_size=engine.codebook_size)
    encoded = time.perf_counter()
    begins = np.arange(len(packets)) * frames_per_packet * engine.hop_length
    gone = lost_slots[begins * SLOTS_PER_SECOND // engine.sample_rate_hz]
    wave_hat = _played(engine, [packet for packet, is_lost in zip(packets, gone, strict=True) if not is_lost], codes)
    return Heard(wave_hat[: len(wave)], packets, codes[0], encoded - start, time.perf_counter() - encoded)


def _played(engine: Engine, came: list[bytes], codes: Codes) -> Wave:
    """The wave of the packets that came, as long as that of all `codes` [1, K, F], of which only the shape counts."""
    received, lost = np.zeros_like(codes), np.ones(codes.shape[2], bool)
    receiver, frame = Depacketizer(codebook_size=engine.codebook_size, first_frame=0), 0
    for item in [*(item for packet in came for item in receiver.push(packet)), *receiver.flush()]:
        end = frame + (1 if item is None else item.shape[2])
        if item is not None:
            received[:, :, frame:end], lost[frame:end] = item, False
        frame = end
    session = DecodeSession(engine)
    wave_hat: Wave = np.concatenate((session.push(received, lost), session.flush()), axis=1)[0]
    return wave_hat
