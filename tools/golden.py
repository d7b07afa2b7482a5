"""Golden .vqc files: written once per format version, decoded for ever by tests/bitstream/test_golden.py.

python tools/golden.py FOLDER writes the files of the current version that FOLDER lacks; it never replaces one.
"""

import sys
from pathlib import Path

import numpy as np

from vqcodec.bitstream import Header, VqcWriter
from vqcodec.bitstream.spec import VERSION

# Name, header without codebook facts, frames per chunk.
FILES = {
    "mono-16k": (Header(b"gold", 16000, 320, 16000, 1, 32000, 12, 1024), 40),
    "stereo-44k": (Header(b"gold", 16000, 320, 44100, 2, 50000, 3, 1024), None),
    "stream-22k": (Header(b"gold", 16000, 320, 22050, 1, None, 4, 1024), 16),
    "odd-rates": (Header(b"gold", 12345, 100, 7001, 3, 777, 2, 32), 5),
    "empty": (Header(b"gold", 16000, 320, 48000, 1, 0, 1, 1024), None),
}
STREAM_SAMPLES = 22050


def golden_codes(header: Header, frames: int) -> np.ndarray:
    """Codes [C, K, F] that depend on nothing but integers: a multiplicative sequence modulo a prime."""
    count = header.channels * header.num_codebooks * frames
    values = [pow(7, number + 1, 65537) % header.codebook_size for number in range(count)]
    return np.array(values, np.int64).reshape(header.channels, header.num_codebooks, frames)


def main(folder: Path) -> None:
    """Write what is missing."""
    for name, (header, frames_per_chunk) in FILES.items():
        path = folder / f"v{VERSION}-{name}.vqc"
        if path.exists():
            continue
        samples = STREAM_SAMPLES if header.samples is None else header.samples
        with path.open("wb") as file:
            writer = VqcWriter(file, header, frames_per_chunk=frames_per_chunk)
            writer.write(golden_codes(header, header.frames_for(samples)))
            writer.close(samples)
        print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
