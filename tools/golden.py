"""Golden .vqc files: written once per format version, decoded for ever by tests/bitstream/test_golden.py.

python tools/golden.py FOLDER writes the files of the current version that FOLDER lacks; it never replaces one.
"""

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from vqcodec.bitstream import Header, VqcReader, VqcWriter
from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.bitstream.spec import VERSION
from vqcodec.bitstream.thin import thin
from vqcodec.system.pipes import until_unread


@dataclass(frozen=True)
class Golden:
    """A file to write. `entropy`: with the model of `entropy_tensors`; `layers`: thinned to as many.

    `varied`: frames have depths of their own.
    """

    header: Header
    frames_per_chunk: int | None = None
    entropy: bool = False
    layers: int | None = None
    varied: bool = False
    tags: dict[str, str] = field(default_factory=dict)

    def samples(self) -> int:
        """Samples per channel; a stream has a second's."""
        return self.header.original_rate_hz if self.header.samples is None else self.header.samples

    def codes(self) -> np.ndarray:
        """Codes [C, K, F] that depend on nothing but integers: a multiplicative sequence modulo a prime.

        Those to be entropy-coded prefer small values.
        """
        header = self.header
        frames = header.frames_for(self.samples())
        count = header.channels * header.num_codebooks * frames
        values = [pow(7, index + 1, 65537) for index in range(count)]
        if self.entropy:
            values = [value**6 * header.codebook_size >> 96 for value in values]
        codes = np.array(values, np.int64).reshape(header.channels, header.num_codebooks, frames)
        codes %= header.codebook_size
        if self.varied:
            steps = [pow(11, index // 6 + 1, 65537) for index in range(header.channels * frames)]
            depths = np.array(steps).reshape(header.channels, 1, frames) % (header.num_codebooks + 1)
            codes[np.arange(header.num_codebooks)[:, None] >= depths] = -1
        return codes


CODED = Header(b"gold", 16000, 320, 16000, 1, 32000, 3, 32)
FILES = {
    "mono-16k": Golden(Header(b"gold", 16000, 320, 16000, 1, 32000, 12, 1024), 40),
    "stereo-44k": Golden(Header(b"gold", 16000, 320, 44100, 2, 50000, 3, 1024)),
    "stream-22k": Golden(Header(b"gold", 16000, 320, 22050, 1, None, 4, 1024), 16),
    "odd-rates": Golden(Header(b"gold", 12345, 100, 7001, 3, 777, 2, 32), 5),
    "empty": Golden(Header(b"gold", 16000, 320, 48000, 1, 0, 1, 1024)),
    "entropy": Golden(CODED, 60, entropy=True),
    "entropy-stereo-stream": Golden(Header(b"gold", 16000, 320, 48000, 2, None, 4, 32), 30, entropy=True),
    "thinned": Golden(CODED, 60, entropy=True, layers=2),
    "varied": Golden(CODED, 60, entropy=True, varied=True),
    "varied-equal": Golden(Header(b"gold", 16000, 320, 16000, 1, 32000, 12, 1024), varied=True),
    "varied-stereo-stream": Golden(Header(b"gold", 16000, 320, 48000, 2, None, 4, 32), 30, entropy=True, varied=True),
    "varied-thinned": Golden(CODED, 60, entropy=True, varied=True, layers=2),
    "tagged": Golden(
        Header(b"gold", 16000, 320, 16000, 1, 3200, 1, 1024), tags={"title": "Żółw ☾", "artist": "", "x.note": "a=b"}
    ),
}


def entropy_tensors() -> dict[str, np.ndarray]:
    """A small model of two layers over codes of 32, from integers alone, that prefers small codes."""
    numbers = (pow(5, index + 1, 65537) for index in range(10**6))

    def take(shape: tuple[int, ...], low: int, high: int, dtype: type) -> np.ndarray:
        values = [next(numbers) % (high - low + 1) + low for _ in range(int(np.prod(shape)))]
        return np.array(values, dtype).reshape(shape)

    def affine(name: str, outputs: int, inputs: int, shift: int) -> Iterator[tuple[str, np.ndarray]]:
        yield f"{name}.weight", take((outputs, inputs), -127, 127, np.int8)
        yield f"{name}.bias", take((outputs,), -500, 500, np.int32)
        yield f"{name}.shift", np.full(outputs, shift, np.int32)

    size, dim, hidden, narrow = 32, 4, 6, 5
    tensors = {"embedding": take((2, size, dim), -60, 60, np.int8)}
    tensors["decay"] = np.array([max(1, (1 << 20) >> level // 8) for level in range(200)], np.int32)
    for layer, lags in enumerate(([-2, -1], [-1, 0, 1])):
        tensors[f"{layer}.lags"] = np.array(lags, np.int32)
        tensors.update(affine(f"{layer}.hidden", hidden, dim * len(lags), 5))
        tensors.update(affine(f"{layer}.narrow", narrow, hidden, 9))
        tensors.update(affine(f"{layer}.levels", size, narrow, 13))
        tensors[f"{layer}.levels.bias"] = np.array(
            [-8192 * (16 + code) if code else 0 for code in range(size)], np.int32
        )
    return tensors


def write(golden: Golden) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    entropy = EntropyModel(entropy_tensors()) if golden.entropy else None
    writer = VqcWriter(
        file,
        golden.header,
        frames_per_chunk=golden.frames_per_chunk,
        entropy=entropy,
        tags=golden.tags,
        varied=golden.varied,
    )
    writer.write(golden.codes())
    writer.close(golden.samples())
    if golden.layers is None:
        return file.getvalue()
    thinned = io.BytesIO()
    file.seek(0)
    thin(VqcReader(file), thinned, golden.layers)
    return thinned.getvalue()


def main(folder: Path) -> None:
    """Write what is missing."""
    files = {f"v{VERSION}-{name}.vqc": write(golden) for name, golden in FILES.items()}
    files[f"v{VERSION}-entropy.safetensors"] = save({f"entropy.{k}": v for k, v in entropy_tensors().items()})
    for name, data in files.items():
        path = folder / name
        if not path.exists():
            path.write_bytes(data)
            print(path)


if __name__ == "__main__":
    until_unread(lambda: main(Path(sys.argv[1])))
