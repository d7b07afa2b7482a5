"""What each effort costs and gains: the search for codes by 1, 4 and 16 beams."""

from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch
from measure import CLIP, medians, speech, table
from parts import operations

import vqcodec
from vqcodec.metrics import estoi, pesq_wb, si_sdr
from vqcodec.models.effort import BEAMS
from vqcodec.models.engine import Engine
from vqcodec.models.zoo import ENGINES, load_engine, load_own
from vqcodec.sessions.stream import DecodeSession, EncodeSession

_LEAST_SECONDS = 2.0
"""What ESTOI needs."""


def efforts(seconds: float, rounds: int) -> str:
    """Energy left over, quality and speed by effort: all codebooks, two clips of at most `seconds`, but 2 or more."""
    wave = speech(16000, seconds)[None]
    engines = {(kind, effort): load_engine(engine=kind, effort=effort) for effort in BEAMS for kind in ENGINES}
    jobs = {key: lambda engine=engine: EncodeSession(engine).push(wave) for key, engine in engines.items()}
    times = medians({" ".join(key): job for key, job in jobs.items()}, rounds, warm=rounds > 1)
    frames = round(16000 * max(seconds, _LEAST_SECONDS))
    paths = (CLIP, Path(CLIP).with_name("kerstin.flac"))
    clips = [soundfile.read(path, frames=frames, dtype="float32")[0] for path in paths]
    codec, rows = load_own(), []
    for effort, beams in BEAMS.items():
        scores = np.mean([_scores(codec, engines["torch", effort], clip) for clip in clips], axis=0)
        cells = [f"{scores[0]:.2f}", f"{scores[1]:.2f}", f"{scores[2]:.3f}", f"{scores[3]:.2f}"]
        speeds = [f"{times[f'{kind} normal'] / times[f'{kind} {effort}']:.2f}" for kind in ENGINES]
        work = operations(partial(_code, codec, wave, beams)) / seconds
        rows.append([f"{effort}, {beams}", *cells, f"{work / 1e6:.0f}", *speeds])
    head = ["effort, beams", "left over, dB", "PESQ-WB", "ESTOI", "SI-SDR, dB"]
    return table([*head, "MFLOP per second, encoding", *(f"speed of encoding, {kind}" for kind in ENGINES)], rows)


def _code(codec: vqcodec.Codec, wave: np.ndarray, beams: int) -> None:
    latent, _ = codec.encoder(torch.from_numpy(wave))
    codec.quantizer.encode(latent.detach(), codec.total_codebooks, beams=beams)


def _scores(codec: vqcodec.Codec, engine: Engine, clip: np.ndarray) -> list[float]:
    """Energy of the latent that the codes leave over, against all of it, PESQ-WB, ESTOI, SI-SDR of `clip` [T]."""
    clip = clip[: len(clip) // codec.hop_length * codec.hop_length]
    codes = EncodeSession(engine).push(clip[None])
    with torch.inference_mode():
        latent = codec.encoder(torch.from_numpy(clip)[None])[0]
        rest = latent - codec.quantizer.decode(torch.from_numpy(codes))
    left = 10 * np.log10(float(rest.square().sum() / latent.square().sum()))
    session = DecodeSession(engine)
    wave_hat = np.concatenate((session.push(codes), session.flush()), axis=1)[0]
    return [left, *(metric(clip, wave_hat, 16000) for metric in (pesq_wb, estoi, si_sdr))]
