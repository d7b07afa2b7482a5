"""The part of the benchmark that tokenizes a folder of FLAC: against the model alone, and with two workers."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from measure import speech, table

import vqcodec
from vqcodec.tokens.batches import tokenize as tokenize_batches
from vqcodec.tokens.run import tokenize
from vqcodec.tokens.sources.find import find_utterances

_BATCH_SECONDS = 30.0
_CLIP_SECONDS = (1.0, 12.0)


def tokenizing(rounds: int, minutes: float) -> str:
    """One thread: processor time of the model alone, and of reading and tokenizing. Whole runs by the clock."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        waves = _write_clips(folder, minutes * 60)
        audio_seconds = sum(len(wave) for wave in waves) / 16000
        model, tokens = _alone_and_whole(folder, waves, rounds)
        clocks = [_clock(folder, Path(name) / f"out{workers}", workers) for workers in (1, 2)]
    rows = [
        ["the model alone", audio_seconds / model, 1.0, ""],
        ["tokenize, reading FLAC", audio_seconds / tokens, model / tokens, ""],
        ["vqcodec tokenize --workers 1, by the clock", audio_seconds / clocks[0], "", 1.0],
        ["vqcodec tokenize --workers 2, by the clock", audio_seconds / clocks[1], "", clocks[0] / clocks[1]],
    ]
    head = ["what", "x real time", "of the model alone", "scaling"]
    return table(head, [[row[0], f"{row[1]:.0f}", *(f"{x:.2f}" if x else "" for x in row[2:])] for row in rows])


def _write_clips(folder: Path, seconds: float) -> list[np.ndarray]:
    folder.mkdir()
    random, source = np.random.default_rng(0), speech(16000, 60.0)
    waves: list[np.ndarray] = []
    while sum(map(len, waves)) < seconds * 16000:
        length = round(random.uniform(*_CLIP_SECONDS) * 16000)
        start = random.integers(0, len(source) - length)
        waves.append(source[start : start + length].astype(np.float32))
        soundfile.write(folder / f"{len(waves):06}.flac", waves[-1], 16000)
    return waves


def _alone_and_whole(folder: Path, waves: Sequence[np.ndarray], rounds: int) -> tuple[float, float]:
    """Least processor seconds of the model on the waves in the same batches, and of tokenizing the files."""
    codec = vqcodec.load()
    batches = _batched(waves)
    utterances = list(find_utterances(str(folder)))
    model, tokens = [], []
    for _ in range(rounds):
        started = time.process_time()
        for batch in batches:
            codec.encode(batch)
        model.append(time.process_time() - started)
        started = time.process_time()
        for _ in tokenize_batches(utterances, codec, codec.total_codebooks, batch_seconds=_BATCH_SECONDS):
            pass
        tokens.append(time.process_time() - started)
    return min(model), min(tokens)


def _batched(waves: Sequence[np.ndarray]) -> list[torch.Tensor]:
    """Waves of similar length together, some 30 s a batch."""
    batches: list[torch.Tensor] = []
    waiting: list[torch.Tensor] = []
    for wave in sorted(waves, key=len):
        if waiting and len(wave) * (len(waiting) + 1) > _BATCH_SECONDS * 16000:
            batches.append(torch.nn.utils.rnn.pad_sequence(waiting, batch_first=True)[:, None])
            waiting = []
        waiting.append(torch.from_numpy(wave))
    return [*batches, torch.nn.utils.rnn.pad_sequence(waiting, batch_first=True)[:, None]]


def _clock(folder: Path, out: Path, workers: int) -> float:
    """Seconds of a whole run, processes and loading included."""
    started = time.perf_counter()
    tokenize(folder, out, workers=workers)
    return time.perf_counter() - started
