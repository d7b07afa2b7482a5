"""What packets that repeat their forerunners are worth where packets of 20 ms are lost, against concealment alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from measure import CLIP, table

import vqcodec
from vqcodec.metrics import estoi
from vqcodec.models.engine import Engine

_LEAST_SECONDS = 2.0
"""What ESTOI needs, with something to lose."""
_KBPS = 3
_SHARES = (0.05, 0.1, 0.2, 0.3)
_BURST_PACKETS = 3
"""Lost in a row, in the mean (Gilbert's model)."""
_REDUNDANCIES = (1, 2, 3)
_LAYERS = (1, 2, 3)


@dataclass(frozen=True)
class _Clip:
    """A wave [T] and its codes [1, K, F]."""

    wave: np.ndarray
    codes: np.ndarray


def loss(draws: int, seconds: float) -> str:
    """ESTOI by share of lost packets, mean over two clips and `draws` draws of what is lost; kbps of the packets.

    Of each clip its first `seconds`, but 2 or more.
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
    for bursts in (False, True):
        for redundancy, layers in [(0, 1), *((n, k) for k in _LAYERS for n in _REDUNDANCIES)]:
            scores = [_mean_score(codec, clips, redundancy, layers, _lost(share, draws, bursts)) for share in _SHARES]
            kbps = np.mean([_packet_kbps(codec, clip, redundancy, layers) for clip in clips])
            scheme = f"{redundancy} x {layers}" if redundancy else "none"
            kind = "in bursts" if bursts else "at random"
            rows.append([kind, scheme, f"{kbps:.1f}", *(f"{score:.3f}" for score in scores)])
        zeros = [_zeroed(codec, clips, _lost(share, draws, bursts)) for share in _SHARES]
        rows.append([kind, "zeros, not concealed", "", *(f"{score:.3f}" for score in zeros)])
    return table(["lost", "frames x codebooks repeated", "kbps", *(f"{share:.0%}" for share in _SHARES)], rows)


def _lost(share: float, draws: int, bursts: bool) -> list[np.ndarray]:
    """Which packets are lost, more of them than any clip has, for each draw."""
    ends = 1 / _BURST_PACKETS if bursts else 1 - share
    begins = share * ends / (1 - share)
    patterns = []
    for seed in range(draws):
        chances = np.random.default_rng(seed).random(1000)
        lost = [bool(chances[0] < share)]
        for chance in chances[1:]:
            lost.append(bool(chance >= ends if lost[-1] else chance < begins))
        patterns.append(np.array(lost))
    return patterns


def _mean_score(codec: Engine, clips: list[_Clip], redundancy: int, layers: int, lost: list[np.ndarray]) -> float:
    scores = []
    for clip in clips:
        packets = vqcodec.packetize(clip.codes, redundancy=redundancy, layers=layers)
        scores += _scores(codec, clip, [_heard(packets, gone[: len(packets)]) for gone in lost])
    return float(np.mean(scores))


def _heard(packets: list[bytes], lost: np.ndarray) -> list[np.ndarray | None]:
    """What a receiver plays, frame by frame."""
    came = [packet for packet, gone in zip(packets, lost, strict=True) if not gone]
    items = list(vqcodec.depacketize(came, vqcodec.Depacketizer(first_frame=0)))
    return items + [None] * (len(packets) - len(items))


def _frames(codes: np.ndarray) -> Iterator[np.ndarray]:
    return (codes[:, :, frame : frame + 1] for frame in range(codes.shape[2]))


def _scores(codec: Engine, clip: _Clip, receivers: list[list[np.ndarray | None]]) -> list[float]:
    """ESTOI of what each of several receivers hears; one session decodes for all."""
    session = vqcodec.DecodeSession(codec, batch=len(receivers))
    waves = [session.push(list(items)) for items in zip(*receivers, strict=True)]
    heard = np.concatenate([*waves, session.flush()], axis=1)
    return [estoi(clip.wave[: len(wave)], wave, 16000) for wave in heard]


def _zeroed(codec: Engine, clips: list[_Clip], lost: list[np.ndarray]) -> float:
    """ESTOI where what comes is decoded as if nothing were lost, and zeros are put in the place of each lost frame."""
    scores, hop = [], codec.hop_length
    for clip in clips:
        for gone in (pattern[: clip.codes.shape[2]] for pattern in lost):
            session = vqcodec.DecodeSession(codec)
            whole = np.concatenate((session.push(clip.codes[:, :, ~gone]), session.flush()), axis=1)[0]
            wave = np.zeros((len(gone), hop), np.float32)
            wave[~gone] = whole.reshape(-1, hop)
            scores.append(estoi(clip.wave[: wave.size], wave.ravel(), 16000))
    return float(np.mean(scores))


def _packet_kbps(codec: Engine, clip: _Clip, redundancy: int, layers: int) -> float:
    sizes = [len(packet) for packet in vqcodec.packetize(clip.codes, redundancy=redundancy, layers=layers)]
    return 8 * sum(sizes) / len(sizes) * codec.frame_rate / 1000
