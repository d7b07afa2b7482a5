"""What concealment is worth: packets of 20 ms lost at random, ESTOI against zeros in their place."""

from pathlib import Path

import numpy as np
import soundfile
from measure import CLIP, table

import vqcodec
from vqcodec.metrics import estoi
from vqcodec.models.engine import Engine

_LEAST_SECONDS = 2.0
"""What ESTOI needs, with something to lose."""


def loss(draws: int, seconds: float) -> str:
    """ESTOI by bitrate and share of lost packets, mean over two clips and `draws` draws of what is lost.

    Of each clip its first `seconds`, but 2 or more.
    """
    codec = vqcodec.load()
    frames = round(16000 * max(seconds, _LEAST_SECONDS))
    paths = (CLIP, Path(CLIP).with_name("kerstin.flac"))
    clips = [soundfile.read(path, frames=frames, dtype="float32")[0] for path in paths]
    rows = []
    for kbps in (1.5, 6):
        coded = [(wave, _codes(codec, wave, kbps)) for wave in clips]
        for share in (0.0, 0.05, 0.1, 0.2):
            seeds = range(draws if share else 1)
            scores = [_scores(codec, wave, codes, share, seed) for wave, codes in coded for seed in seeds]
            concealed, silent = np.mean(scores, axis=0)
            rows.append([kbps, f"{share:.0%}", f"{concealed:.3f}", f"{silent:.3f}"])
    return table(["nominal kbps", "lost", "concealed", "zeros"], rows)


def _codes(codec: Engine, wave: np.ndarray, kbps: float) -> np.ndarray:
    session = vqcodec.EncodeSession(codec, kbps=kbps)
    return np.concatenate((session.push(wave[None]), session.flush()), axis=2)


def _scores(codec: Engine, wave: np.ndarray, codes: np.ndarray, share: float, seed: int) -> tuple[float, float]:
    """ESTOI of `wave` [T] through packets with concealment, and with zeros for lost frames."""
    gone = np.random.default_rng(seed).random((codes.shape[2],)) < share
    packets = [packet for packet, lost in zip(vqcodec.packetize(codes), gone, strict=True) if not lost]
    items = list(vqcodec.depacketize(packets, vqcodec.Depacketizer(first_frame=0)))
    items += [None] * (codes.shape[2] - sum(1 if item is None else item.shape[2] for item in items))
    concealing, zeroing = vqcodec.DecodeSession(codec), vqcodec.DecodeSession(codec)
    zeros = np.zeros((1, codec.hop_length), np.float32)
    heard = [*(concealing.push(item) for item in items), concealing.flush()]
    silent = [*(zeros if item is None else zeroing.push(item) for item in items), zeroing.flush()]
    waves = [np.concatenate(pieces, axis=1)[0, : len(wave)] for pieces in (heard, silent)]
    return estoi(wave, waves[0], 16000), estoi(wave, waves[1], 16000)
