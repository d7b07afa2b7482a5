"""Many streams in one process: a session for all of them against a session for each."""

import time
from collections.abc import Callable, Sequence

import numpy as np
from measure import speech, table

import vqcodec
from vqcodec.models.engine import Engine
from vqcodec.models.zoo import load_own
from vqcodec.sessions.stream import DecodeSession, EncodeSession

_STREAMS = 100
_SHARE_LOST = 0.1


def streams(seconds: float) -> str:
    """Milliseconds of processor time per frame and stream, medians over ticks of 20 ms, two for each of `seconds`."""
    ticks = max(3, round(2 * seconds))
    rows = []
    for name, engine in (("torch", load_own()), ("onnx", vqcodec.load_onnx())):
        wave = speech(16000, ticks * _STREAMS * engine.hop_length / 16000).reshape(ticks, _STREAMS, -1)
        codes = np.stack(list(map(EncodeSession(engine, batch=_STREAMS).push, wave)))
        rows += _rows(name, _encoding(engine, wave), _decoding(engine, codes))
    return table(["engine", f"{_STREAMS} streams", "encode, ms per frame and stream", "decode"], rows)


def _rows(name: str, encoding: list[float], decoding: list[float]) -> list[list[str]]:
    lost = f"{_SHARE_LOST:.0%}"
    labels = ["separately", "batched", f"batched, {lost} of frames lost", f"batched, {lost} of frames from copies"]
    shown = [*(f"{taken:.2f}" for taken in encoding), "", ""]
    return [[name, *row] for row in zip(labels, shown, (f"{taken:.2f}" for taken in decoding), strict=True)]


def _encoding(engine: Engine, wave: np.ndarray) -> list[float]:
    each = [EncodeSession(engine) for _ in range(_STREAMS)]
    together = EncodeSession(engine, batch=_STREAMS)
    jobs = [session.push for session in each]
    return _milliseconds(wave, [lambda block: _separately(jobs, block), together.push])


def _decoding(engine: Engine, codes: np.ndarray) -> list[float]:
    each = [DecodeSession(engine) for _ in range(_STREAMS)]
    together, losing, mixed = (DecodeSession(engine, batch=_STREAMS) for _ in range(3))
    random = np.random.default_rng(0)

    def lossy(block: np.ndarray) -> object:
        return losing.push(block, random.random((_STREAMS, 1)) < _SHARE_LOST)

    def from_copies(block: np.ndarray) -> object:
        depths = np.where(random.random(_STREAMS) < _SHARE_LOST, 1, block.shape[1])
        return mixed.push([its[None, :depth] for its, depth in zip(block, depths, strict=True)])

    jobs = [session.push for session in each]
    return _milliseconds(codes, [lambda block: _separately(jobs, block), together.push, lossy, from_copies])


def _separately(jobs: Sequence[Callable[[np.ndarray], object]], block: np.ndarray) -> None:
    for job, its in zip(jobs, block, strict=True):
        job(its[None])


def _milliseconds(blocks: np.ndarray, jobs: list[Callable[[np.ndarray], object]]) -> list[float]:
    """Of each job, per stream, the median over blocks, but for the first; all in turn."""
    spent = []
    for block in blocks:
        times = [time.process_time()]
        for job in jobs:
            job(block)
            times.append(time.process_time())
        spent.append(np.diff(times))
    return [float(taken) for taken in 1000 * np.median(spent[1:], axis=0) / _STREAMS]
