"""Make a training set small enough to carry: every clip becomes Ogg/Opus in mono, folders kept.

python tools/pack_clips.py SOURCE TARGET [--kbps 40]
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile

from vqcodec.audio.discover import find_audio
from vqcodec.audio.resample import resample
from vqcodec.system.pipes import until_unread

OPUS_RATES_HZ = (8000, 12000, 16000, 24000, 48000)
MIN_KBPS, MAX_KBPS = 6, 256
"""libsndfile maps compression_level 1 to 0 onto these."""


def pack(source: Path, target: Path, kbps: float) -> None:
    """Write the first channel of `source` as Ogg/Opus at the lowest Opus rate that is not below its own."""
    wave, rate_hz = soundfile.read(source, dtype="float32", always_2d=True)
    opus_hz = next((rate for rate in OPUS_RATES_HZ if rate >= rate_hz), OPUS_RATES_HZ[-1])
    mono = resample(np.ascontiguousarray(wave.T[:1]), rate_hz, opus_hz)[0]
    level = 1 - (kbps - MIN_KBPS) / (MAX_KBPS - MIN_KBPS)
    target.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(target, mono, opus_hz, format="OGG", subtype="OPUS", compression_level=level)


def main() -> None:
    """Parse the options and pack every clip."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--kbps", type=float, default=40.0)
    options = parser.parse_args()
    clips = find_audio([options.source])
    total_bytes = 0
    for clip in clips:
        target = options.target / clip.path.relative_to(options.source).with_suffix(".opus")
        pack(clip.path, target, options.kbps)
        total_bytes += target.stat().st_size
    print(f"{len(clips)} clips, {total_bytes / 1e6:.1f} MB in {options.target}")


if __name__ == "__main__":
    until_unread(main)
