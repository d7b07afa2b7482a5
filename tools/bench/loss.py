"""What packets that repeat others or carry their parity are worth where some of 20 ms are lost, beside concealment."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from measure import CLIP, table

import vqcodec
from vqcodec.evaluation.packet_loss import BURST_PACKETS, PacketLoss
from vqcodec.metrics import estoi
from vqcodec.models.engine import Engine

_LEAST_SECONDS = 1.0
"""What ESTOI needs, with something to lose."""
_KBPS = 3
_SHARES = (0.05, 0.1, 0.2, 0.3)
_REPEATED = [(frames, layers) for layers in (1, 2, 3) for frames in (1, 2, 3)]
_PARITY = [(distances, layers) for layers in (1, 2, 3) for distances in ((1, 3), (1, 3, 4, 5), (1, 2, 6, 8))]
_SCHEMES: dict[str, dict[str, Any]] = {
    "none": {},
    **{f"{frames} x {layers}": {"redundancy": frames, "layers": layers} for frames, layers in _REPEATED},
    **{
        f"parity {' '.join(map(str, distances))}, {layers}": {"parity": distances, "layers": layers}
        for distances, layers in _PARITY
    },
}
"""What packets carry of others, by its name in the table."""


@dataclass(frozen=True)
class _Clip:
    """A wave [T] and its codes [1, K, F]."""

    wave: np.ndarray
    codes: np.ndarray


def loss(draws: int, seconds: float) -> str:
    """ESTOI by share of lost packets, mean over two clips and `draws` draws of what is lost; kbps of the packets.

    Of each clip its first `seconds`, but one or more.
    """
    codec = vqcodec.load()
    frames = round(16000 * max(seconds, _LEAST_SECONDS))
    clips = []
    for path in (CLIP, Path(CLIP).with_name("kerstin.flac")):
        wave = soundfile.read(path, frames=frames, dtype="float32")[0]
        session = vqcodec.EncodeSession(codec, kbps=_KBPS)
        codes = np.concatenate((session.push(wave[None]), session.flush()), axis=2)
        clips.append(_Clip(wave, codes[:, :, : len(wave) // codec.hop_length]))
    whole = np.mean([score for clip in clips for score in _scores(codec, clip, [list(_frames(clip.codes))])])
    rows: list[list[object]] = [["none", "", "", f"{whole:.3f}", *[""] * (len(_SHARES) - 1)]]
    for kind, burst_packets in (("at random", None), ("in bursts", BURST_PACKETS)):
        lost = [_lost(share, draws, burst_packets) for share in _SHARES]
        repeated = np.mean([_of_schemes(codec, clip, lost) for clip in clips], axis=0)
        for (scheme, options), scores in zip(_SCHEMES.items(), repeated, strict=True):
            kbps = np.mean([_packet_kbps(codec, clip, options) for clip in clips])
            rows.append([kind, scheme, f"{kbps:.1f}", *(f"{score:.3f}" for score in scores)])
        zeros = np.mean([[_zeroed(codec, clip, gone) for gone in lost] for clip in clips], axis=0)
        rows.append([kind, "zeros, not concealed", "", *(f"{score:.3f}" for score in zeros)])
    return table(
        ["lost", "frames x codebooks repeated, or parity", "kbps", *(f"{share:.0%}" for share in _SHARES)], rows
    )


def _lost(share: float, draws: int, burst_packets: float | None) -> list[np.ndarray]:
    """Which packets are lost, more of them than any clip has, for each draw: each by itself, or in bursts."""
    return [PacketLoss(share, burst_packets).draw(1000, np.random.default_rng(seed)) for seed in range(draws)]


def _of_schemes(codec: Engine, clip: _Clip, lost: list[list[np.ndarray]]) -> np.ndarray:
    """ESTOI [schemes, shares], means over draws."""
    receivers = []
    for options in _SCHEMES.values():
        packets = vqcodec.packetize(clip.codes, **options)
        reorder_packets = max(options.get("parity", (3,))) - 1
        receivers += [
            _heard(packets, pattern[: len(packets)], reorder_packets) for patterns in lost for pattern in patterns
        ]
    scores = np.array(_scores(codec, clip, receivers))
    return np.asarray(scores.reshape(len(_SCHEMES), len(lost), -1).mean(axis=2))


def _heard(packets: list[bytes], lost: np.ndarray, reorder_packets: int) -> list[np.ndarray | None]:
    """What a receiver plays, frame by frame."""
    came = [packet for packet, gone in zip(packets, lost, strict=True) if not gone]
    items = list(vqcodec.depacketize(came, vqcodec.Depacketizer(first_frame=0, reorder_packets=reorder_packets)))
    return items + [None] * (len(packets) - len(items))


def _frames(codes: np.ndarray) -> Iterator[np.ndarray]:
    return (codes[:, :, frame : frame + 1] for frame in range(codes.shape[2]))


def _scores(codec: Engine, clip: _Clip, receivers: list[list[np.ndarray | None]]) -> list[float]:
    """ESTOI of what each of several receivers hears; one session decodes for all."""
    session = vqcodec.DecodeSession(codec, batch=len(receivers))
    waves = [session.push(list(items)) for items in zip(*receivers, strict=True)]
    heard = np.concatenate([*waves, session.flush()], axis=1)
    return [estoi(clip.wave[: len(wave)], wave, 16000) for wave in heard]


def _zeroed(codec: Engine, clip: _Clip, lost: list[np.ndarray]) -> float:
    """ESTOI where what comes is decoded as if nothing were lost, and zeros are put in the place of each lost frame."""
    scores, hop = [], codec.hop_length
    for gone in (pattern[: clip.codes.shape[2]] for pattern in lost):
        session = vqcodec.DecodeSession(codec)
        whole = np.concatenate((session.push(clip.codes[:, :, ~gone]), session.flush()), axis=1)[0]
        wave = np.zeros((len(gone), hop), np.float32)
        wave[~gone] = whole.reshape(-1, hop)
        scores.append(estoi(clip.wave[: wave.size], wave.ravel(), 16000))
    return float(np.mean(scores))


def _packet_kbps(codec: Engine, clip: _Clip, options: dict[str, Any]) -> float:
    sizes = [len(packet) for packet in vqcodec.packetize(clip.codes, **options)]
    return 8 * sum(sizes) / len(sizes) * codec.frame_rate / 1000
