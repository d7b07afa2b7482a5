"""The parts of the benchmark that start programs: start-up, throughput on several cores, long files."""

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import soundfile
from measure import command, medians, speech, table

_VQCODEC = (sys.executable, "-m", "vqcodec")
_WORK = """
import sys, time
import torch
import vqcodec
repeats, seconds = int(sys.argv[1]), float(sys.argv[2])
codec = vqcodec.load()
wave = torch.randn(1, 1, round(16000 * seconds))
for line in sys.stdin:
    if line.startswith("go"):
        for _ in range(repeats): codec.decode(codec.encode(wave))
    else:
        torch.set_num_threads(int(line))
        for _ in range(2): codec.decode(codec.encode(wave))
    print("done", flush=True)
"""
_LONG = """
import json, resource, sys, time
import vqcodec
from vqcodec.files.convert import decode_file, encode_file
codec = vqcodec.load_onnx() if sys.argv[1] == "onnx" else vqcodec.load()
vqcodec.decompress(vqcodec.compress(__import__("numpy").zeros(160000, "f"), 16000, model=codec), model=codec)
times = [time.perf_counter()]
encode_file("long.wav", "long.vqc", model=codec, force=True)
times.append(time.perf_counter())
decode_file("long.vqc", "back.wav", model=codec, force=True)
times.append(time.perf_counter())
middle = float(sys.argv[2]) / 2
decode_file("long.vqc", "part.wav", model=codec, start_seconds=middle, duration_seconds=min(5, middle), force=True)
times.append(time.perf_counter())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
print(json.dumps([*(b - a for a, b in zip(times, times[1:])), peak]))
"""


def start_up(rounds: int) -> str:
    """Seconds of whole commands on a clip of 3 s, against `import torch` alone."""
    with tempfile.TemporaryDirectory() as folder:
        soundfile.write(Path(folder) / "in.wav", speech(16000, 3), 16000)
        onnx = ("--engine", "onnx", "--force")
        jobs = {
            'python -c "import torch"': command(sys.executable, "-c", "import torch"),
            "vqcodec encode": command(*_VQCODEC, "encode", "in.wav", "a.vqc", "--force", folder=folder),
            "vqcodec decode": command(*_VQCODEC, "decode", "a.vqc", "a.wav", "--force", folder=folder),
            "vqcodec encode --engine onnx": command(*_VQCODEC, "encode", "in.wav", "b.vqc", *onnx, folder=folder),
            "vqcodec decode --engine onnx": command(*_VQCODEC, "decode", "a.vqc", "b.wav", *onnx, folder=folder),
            "vqcodec info": command(*_VQCODEC, "info", "a.vqc", folder=folder),
        }
        times = medians(jobs, rounds, warm=rounds > 1)
    whole = next(iter(times.values()))
    return table(
        ["command", "seconds", "against import torch"],
        [[f"`{name}`", f"{taken:.2f}", f"{taken / whole:.2f}"] for name, taken in times.items()],
    )


def throughput(rounds: int, repeats: int, seconds: float) -> str:
    """Encode and decode together, `repeats` times `seconds`, in one process and in two."""
    layouts = {"one process, 1 thread": [1], "one process, 2 threads": [2], "two processes, 1 thread each": [1, 1]}
    taken: dict[str, list[float]] = {name: [] for name in layouts}
    with ExitStack() as stack:
        line = [sys.executable, "-c", _WORK, str(repeats), str(seconds)]
        workers = [
            stack.enter_context(subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(max(map(len, layouts.values())))
        ]
        for _ in range(rounds):
            for name, threads in layouts.items():
                taken[name].append(_run_workers(workers[: len(threads)], threads))
    audio_seconds = {name: seconds * repeats * len(threads) for name, threads in layouts.items()}
    speeds = {name: audio_seconds[name] / sorted(times)[len(times) // 2] for name, times in taken.items()}
    single = next(iter(speeds.values()))
    return table(
        ["layout", "x real time, encode and decode", "scaling"],
        [[name, f"{speed:.0f}", f"{speed / single:.2f}"] for name, speed in speeds.items()],
    )


def _run_workers(workers: Sequence[subprocess.Popen[str]], threads: Sequence[int]) -> float:
    """Seconds from when all workers, with so many threads each, may begin until all are done."""
    _tell(workers, map(str, threads))
    started = time.perf_counter()
    _tell(workers, ["go"] * len(workers))
    return time.perf_counter() - started


def _tell(workers: Sequence[subprocess.Popen[str]], lines: Iterable[str]) -> None:
    """Give each worker a line, and wait until all have done what it says."""
    for worker, line in zip(workers, lines, strict=True):
        assert worker.stdin is not None
        worker.stdin.write(f"{line}\n")
        worker.stdin.flush()
    for worker in workers:
        assert worker.stdout is not None
        if worker.stdout.readline() != "done\n":
            raise SystemExit("a worker failed; its error stands above")


def long_files(minutes: float, engine: str) -> str:
    """Cost per second of audio and memory, from a second to `minutes`, in a process of its own each."""
    lengths = [length for length in (1.0, 10.0, 100.0, 1000.0) if length < 60 * minutes] + [60 * minutes]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seconds in lengths:
            with soundfile.SoundFile(str(Path(folder) / "long.wav"), "w", 16000, 1, "PCM_16") as file:
                for start in range(0, math.ceil(seconds), 60):
                    file.write(speech(16000, min(60, seconds - start)))
            job = command(sys.executable, "-c", _LONG, engine, str(seconds), folder=folder)
            encode, decode, part, peak_mb = json.loads(job())
            costs = (f"{1000 * encode / seconds:.2f}", f"{1000 * decode / seconds:.2f}", f"{part:.2f}")
            whole = medians(
                {name: command(*_VQCODEC, name, "long.vqc", folder=folder) for name in ("verify", "info")}, 1
            )
            rows.append([f"{seconds:g}", *costs, f"{peak_mb:.0f}", *(f"{taken:.2f}" for taken in whole.values())])
    head = ["seconds", "encode, ms per s", "decode, ms per s", "5 s from the middle, s", "peak MB"]
    return table([*head, "`vqcodec verify`, s", "`vqcodec info`, s"], rows)
