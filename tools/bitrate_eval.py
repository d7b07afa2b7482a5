"""Quality against bitrate: clips through encode and decode, kbps from the bytes of the files, means per rate.

python tools/bitrate_eval.py CLIPS... [--kbps 0.5 1.5 3 6] [--model NAME|PATH] [--metrics pesq_wb stoi estoi]
    --fixed-width leaves entropy coding out: what it saves is the difference in kbps
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from vqcodec import zoo
from vqcodec.audio.discover import find_audio
from vqcodec.codec import Codec
from vqcodec.convert import decode_file, encode_file
from vqcodec.metrics import METRICS


def score(clip: Path, codec: Codec, kbps: float, metrics: list[str]) -> list[float]:
    """Bytes, seconds, and the metrics of one clip at one rate."""
    with tempfile.TemporaryDirectory() as folder:
        coded, decoded = Path(folder) / "clip.vqc", Path(folder) / "clip.wav"
        summary = encode_file(clip, coded, model=codec, kbps=kbps)
        decode_file(coded, decoded, model=codec)
        wave, rate_hz = soundfile.read(clip, dtype="float32")
        wave_hat, _ = soundfile.read(decoded, dtype="float32")
    values = [METRICS[name](wave, wave_hat, rate_hz) for name in metrics]
    return [float(summary.file_bytes), summary.duration_seconds, *values]


def main() -> None:
    """Parse the options and print one row per rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", help="mono files, folders, globs or manifests")
    parser.add_argument("--kbps", nargs="+", type=float, default=[0.5, 1.5, 3.0, 6.0])
    parser.add_argument("--model", default=zoo.DEFAULT_MODEL)
    parser.add_argument("--metrics", nargs="+", choices=list(METRICS), default=["pesq_wb", "stoi", "estoi"])
    parser.add_argument("--fixed-width", action="store_true", help="files without entropy coding")
    options = parser.parse_args()
    codec = zoo.load(options.model)
    if options.fixed_width:
        codec.entropy = None
    clips = [clip.path for clip in find_audio(options.clips)]
    print(f"{options.model}, {len(clips)} clips\n")
    print(f"| nominal kbps | kbps of the files | {' | '.join(options.metrics)} |")
    print("|---" * (2 + len(options.metrics)) + "|")
    for kbps in options.kbps:
        rows = np.array([score(clip, codec, kbps, options.metrics) for clip in clips])
        measured = 8 * rows[:, 0].sum() / rows[:, 1].sum() / 1000
        means = " | ".join(f"{mean:.3f}" for mean in np.nanmean(rows[:, 2:], axis=0))
        print(f"| {kbps:g} | {measured:.2f} | {means} |")


if __name__ == "__main__":
    main()
