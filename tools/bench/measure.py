"""What all parts of the benchmark share: the clip, fair timing, tables in Markdown."""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

CLIP = Path(__file__).parents[2] / "tests" / "data" / "ljspeech.flac"
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
_LONGEST_SECONDS = 30.0


def speech(rate_hz: int, seconds: float) -> np.ndarray:
    """The test clip repeated to `seconds`, [T] float32."""
    import soxr

    wave, original_hz = soundfile.read(CLIP, dtype="float32")
    wave = soxr.resample(wave, original_hz, rate_hz)
    return np.resize(wave, round(seconds * rate_hz)).astype(np.float32)


def medians(jobs: Mapping[str, Callable[[], object]], rounds: int, *, warm: bool = True) -> dict[str, float]:
    """Median seconds of each job; all in turn, `rounds` times, so that a noisy machine disturbs all alike.

    A job that has taken half a minute takes part no more. Each runs once before, unless it need not be `warm`.
    """
    times: dict[str, list[float]] = {name: [] for name in jobs}
    if warm:
        for job in jobs.values():
            job()
    for _ in range(rounds):
        for name, job in jobs.items():
            if sum(times[name]) < _LONGEST_SECONDS:
                started = time.perf_counter()
                job()
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def command(*arguments: str, folder: str | None = None, env: Mapping[str, str] = ONE_THREAD) -> Callable[[], str]:
    """A job that runs a program to its end and returns what it prints."""
    return lambda: subprocess.run(arguments, cwd=folder, env=env, check=True, capture_output=True, text=True).stdout


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
