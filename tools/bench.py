"""How fast vqcodec is on one CPU thread, beside EnCodec's architecture in the same process, and on long files.

python tools/bench.py                  the table of the README (EnCodec needs transformers; random weights will do)
python tools/bench.py --minutes 120    time and memory of a file of two hours
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from vqcodec.bitstream import Header, VqcReader, VqcWriter

if TYPE_CHECKING:
    from vqcodec.codec import Codec

CLIP = Path(__file__).parents[1] / "tests" / "data" / "ljspeech.flac"


def speech(rate_hz: int, seconds: float) -> np.ndarray:
    """The test clip repeated to `seconds`, [T] float32."""
    import soxr

    wave, original_hz = soundfile.read(CLIP, dtype="float32")
    wave = soxr.resample(wave, original_hz, rate_hz)
    return np.resize(wave, round(seconds * rate_hz)).astype(np.float32)


def codec_jobs(seconds: float) -> dict[str, Callable[[], object]]:
    """Named pieces of work on `seconds` of audio, vqcodec at 6 kbps and EnCodec 24 kHz at 6 kbps."""
    import torch

    import vqcodec

    codec = vqcodec.load()
    wave = speech(16000, seconds)
    tensor = torch.from_numpy(wave)[None, None]
    codes = codec.encode(tensor)
    data = vqcodec.compress(wave, 16000, model=codec)
    jobs: dict[str, Callable[[], object]] = {
        "vqcodec encode": lambda: codec.encode(tensor),
        "vqcodec decode": lambda: codec.decode(codes),
        "vqcodec compress (to .vqc bytes)": lambda: vqcodec.compress(wave, 16000, model=codec),
        "vqcodec decompress": lambda: vqcodec.decompress(data, model=codec),
        "of that: codes to .vqc": lambda: write_codes(codes.numpy(), codec),
        "of that: .vqc to codes": lambda: list(VqcReader(io.BytesIO(data)).chunks(entropy=codec.entropy)),
    }
    return jobs | encodec_jobs(seconds)


def write_codes(codes: np.ndarray, codec: "Codec") -> bytes:
    """The entropy-coded .vqc of codes [1, K, F], without any audio."""
    header = Header(b"test", 16000, codec.hop_length, 16000, 1, None, codes.shape[1], codec.codebook_size)
    file = io.BytesIO()
    writer = VqcWriter(file, header, entropy=codec.entropy)
    writer.write(codes)
    writer.close()
    return file.getvalue()


def encodec_jobs(seconds: float) -> dict[str, Callable[[], object]]:
    """EnCodec 24 kHz with random weights: the time does not depend on them."""
    try:
        import torch
        from transformers import EncodecConfig, EncodecModel
    except ImportError:
        print("EnCodec left out: pip install transformers", file=sys.stderr)
        return {}
    model = EncodecModel(EncodecConfig()).eval()
    tensor = torch.from_numpy(speech(24000, seconds))[None, None]
    with torch.inference_mode():
        encoded = model.encode(tensor, bandwidth=6.0)

    def encode() -> None:
        with torch.inference_mode():
            model.encode(tensor, bandwidth=6.0)

    def decode() -> None:
        with torch.inference_mode():
            model.decode(encoded.audio_codes, encoded.audio_scales)

    return {"EnCodec encode": encode, "EnCodec decode": decode}


def compare(seconds: float, rounds: int) -> None:
    """Time all jobs in turn, `rounds` times, and print medians: a noisy machine disturbs all alike."""
    import torch

    torch.set_num_threads(1)
    jobs = codec_jobs(seconds)
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - started)
    speeds = {name: seconds / statistics.median(values) for name, values in times.items()}
    print(f"one thread, {seconds:g} s of audio, median of {rounds}\n")
    print("| what | x real time | against EnCodec |")
    print("|---|---|---|")
    for name, speed in speeds.items():
        kind = name.split()[1]
        rival = speeds.get("EnCodec decode" if "dec" in kind else "EnCodec encode") if kind != "that:" else None
        print(f"| {name} | {speed:.0f} | {speed / rival:.1f} |" if rival else f"| {name} | {speed:.0f} | |")


def long_file(minutes: float) -> None:
    """Encode, decode and look at `minutes` of audio in child processes; print peak memory and cost per second."""
    with tempfile.TemporaryDirectory() as folder:
        print("| minutes | what | seconds | ms per second of audio | peak MB |")
        print("|---|---|---|---|---|")
        for length in (minutes / 8, minutes):
            source = Path(folder) / "long.wav"
            with soundfile.SoundFile(str(source), "w", 16000, 1, "PCM_16") as file:
                for second in range(0, round(60 * length), 60):
                    file.write(speech(16000, min(60, 60 * length - second)))
            middle = str(30 * length)
            for name, arguments in (
                ("encode", ["encode", "long.wav", "long.vqc", "--force"]),
                ("decode", ["decode", "long.vqc", "back.wav", "--force"]),
                (
                    "decode 5 s from the middle",
                    ["decode", "long.vqc", "5.wav", "--force", "--start", middle, "--duration", "5"],
                ),
                ("verify", ["verify", "long.vqc"]),
                ("info", ["info", "long.vqc"]),
            ):
                taken, peak_mb = run_child(arguments, folder)
                print(f"| {length:g} | {name} | {taken:.1f} | {1000 * taken / length / 60:.2f} | {peak_mb:.0f} |")


def run_child(arguments: Sequence[str], folder: str) -> tuple[float, float]:
    """Seconds and peak memory (MB) of one vqcodec command on one thread."""
    program = (
        "import resource, sys; from vqcodec.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    started = time.perf_counter()
    command = [sys.executable, "-c", program, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    kilobytes = int(result.stdout.split()[-1]) / (1024 if sys.platform == "darwin" else 1)
    return time.perf_counter() - started, kilobytes / 1000


def main() -> None:
    """Parse the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--minutes", type=float, help="measure a long file of this length instead")
    options = parser.parse_args()
    if options.minutes:
        long_file(options.minutes)
    else:
        compare(options.seconds, options.rounds)


if __name__ == "__main__":
    main()
