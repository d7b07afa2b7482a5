"""Lyra v2 (Google 2022; SoundStream, Zeghidour et al. 2021) by its three graphs, from a folder of the user's. 16 kHz.

A packet of 20 ms has the 4 bits of each quantizer, the first in the highest bits, and nothing else, as in
residual_vector_quantizer.cc of google/lyra. Its resampler, its discontinuous transmission and its concealment of lost
packets are C++ around the graphs, and are not here.
"""

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from vqcodec.arrays import Wave
from vqcodec.errors import ConfigError, UnavailableError
from vqcodec.evaluation.codecs.codec_under_test import CodecUnderTest, Coded
from vqcodec.evaluation.codecs.rates import nearest, settled
from vqcodec.evaluation.codecs.waves import check_wave, resampled
from vqcodec.frames import ceil_div

LYRA = "lyra"
"""What stands before the folder."""

_GRAPHS = ("soundstream_encoder", "quantizer", "lyragan")
_RATE_HZ = 16000
_FRAME_SAMPLES = 320
_QUANTIZERS = {3.2: 16, 6.0: 30, 9.2: 46}
"""By rate in kbps: 64, 120 and 184 bits a packet."""
_MOST_QUANTIZERS = max(_QUANTIZERS.values())
_CODEBOOK_SIZE = 16
_FULL_SCALE = 32768


def open_lyra(spec: str) -> "LyraCodec":
    """Open lyra:FOLDER. Raises ConfigError without a folder, UnavailableError where the graphs cannot be run."""
    folder = spec.partition(":")[2]
    if not folder:
        raise ConfigError(f"{LYRA} needs the folder that has its graphs; give {LYRA}:FOLDER")
    return LyraCodec(Path(folder))


class LyraCodec(CodecUnderTest):
    """Lyra v2 at its three rates, from bytes to bytes: what is decoded is what the packets hold."""

    name = LYRA

    def __init__(self, folder: Path) -> None:
        self._graphs = {name: _read(folder / f"{name}.tflite") for name in _GRAPHS}
        self.version = hashlib.sha256(b"".join(self._graphs.values())).hexdigest()[:16]
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError:
            raise UnavailableError(f"{LYRA} needs ai-edge-litert; pip install ai-edge-litert") from None
        self._interpreter: Any = Interpreter
        silence = np.zeros((1, _FRAME_SAMPLES), np.float32)
        try:
            packets = self._encode(silence, _MOST_QUANTIZERS)
            frames = self._decode(packets, _MOST_QUANTIZERS)
        except (ValueError, RuntimeError, KeyError, TypeError) as error:
            said = " ".join(str(error).split())
            raise UnavailableError(f"{folder} has graphs that are not those of Lyra v2 ({said}); fetch them") from None
        if frames.shape != silence.shape:
            raise UnavailableError(f"{folder} has a lyragan.tflite that is not Lyra v2's; fetch it")

    @override
    def rates_kbps(self, asked: list[float]) -> list[float | None]:
        return nearest(asked, list(_QUANTIZERS))

    @override
    def run(self, wave: Wave, rate_hz: int, kbps: float | None) -> Coded:
        """Code and decode the wave, rounded to 16 bits and padded to whole frames."""
        check_wave(wave)
        quantizers = _QUANTIZERS[settled(self, kbps)]
        given = resampled(wave, rate_hz, _RATE_HZ)
        frames = np.zeros((ceil_div(len(given), _FRAME_SAMPLES), _FRAME_SAMPLES), np.float32)
        frames.reshape(-1)[: len(given)] = _rounded(given)
        start = time.perf_counter()
        packets = self._encode(frames, quantizers)
        encoded = time.perf_counter()
        frames_hat = self._decode(packets, quantizers)
        decoded = time.perf_counter()
        data = packets.tobytes()
        return Coded(
            resampled(_rounded(frames_hat.reshape(-1)), _RATE_HZ, rate_hz),
            data,
            encoded - start,
            decoded - encoded,
            len(data),
            _codes_of(packets).T.astype(np.uint16),
            _CODEBOOK_SIZE,
        )

    def _encode(self, frames: Wave, quantizers: int) -> NDArray[np.uint8]:
        """The packets [F, bytes] of frames [F, 320]."""
        encode, quantize = self._runner("soundstream_encoder"), self._runner("quantizer", "encode")
        codes = np.zeros((len(frames), quantizers), np.uint8)
        for row, frame in zip(codes, frames, strict=True):
            latent = encode(input_audio=frame[None])["output_0"]
            row[:] = quantize(input_frames=latent, num_quantizers=np.int32(quantizers))["output_0"].ravel()[:quantizers]
        packets: NDArray[np.uint8] = np.bitwise_or(codes[:, ::2] << 4, codes[:, 1::2], dtype=np.uint8)
        return packets

    def _decode(self, packets: NDArray[np.uint8], quantizers: int) -> Wave:
        """The frames [F, 320] of packets; quantizers that are not sent have the code -1."""
        dequantize, decode = self._runner("quantizer", "decode"), self._runner("lyragan")
        codes = np.full((len(packets), _MOST_QUANTIZERS, 1, 1), -1, np.int32)
        codes[:, :quantizers, 0, 0] = _codes_of(packets)
        latents = [dequantize(encoding_indices=row)["output_0"].copy() for row in codes]
        return np.concatenate([decode(input_audio=latent)["output_0"].copy() for latent in latents])

    def _runner(self, graph: str, signature: str = "serving_default") -> Any:
        """A graph at the beginning of its stream: the state of one that has run cannot be taken back."""
        return self._interpreter(model_content=self._graphs[graph], num_threads=1).get_signature_runner(signature)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise UnavailableError(
            f"{LYRA} needs {path}; it is in lyra/model_coeffs of the repository google/lyra"
        ) from None


def _rounded(wave: Wave) -> Wave:
    """Samples as they are in 16 bits, between which Lyra lies."""
    levels = np.clip(np.round(_FULL_SCALE * wave), -_FULL_SCALE, _FULL_SCALE - 1)
    return np.asarray(levels / _FULL_SCALE, np.float32)


def _codes_of(packets: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The codes [F, K] in packets."""
    return np.stack((packets >> 4, packets & 15), axis=2).reshape(len(packets), -1)
