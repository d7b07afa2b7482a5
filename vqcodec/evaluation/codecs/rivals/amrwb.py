"""AMR-WB (3GPP TS 26.171) through its two C libraries, as Debian has no program that encodes it. 16 kHz.

Files have the storage format of RFC 4867, section 5: "#!AMR-WB\\n", then frames of 20 ms after one byte each.
"""

import ctypes
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from vqcodec.arrays import Wave
from vqcodec.errors import AudioError, UnavailableError
from vqcodec.evaluation.codecs.codec_under_test import CodecUnderTest, Coded
from vqcodec.evaluation.codecs.rates import nearest, settled
from vqcodec.evaluation.codecs.waves import check_wave, resampled
from vqcodec.frames import ceil_div

_RATE_HZ = 16000
_FRAME_SAMPLES = 320
_MODES_KBPS = (6.60, 8.85, 12.65, 14.25, 15.85, 18.25, 19.85, 23.05, 23.85)
_FRAME_BYTES = (18, 24, 33, 37, 41, 47, 51, 59, 61)
"""With the byte before each frame, by mode."""
_MAGIC = b"#!AMR-WB\n"


class AmrWbCodec(CodecUnderTest):
    """AMR-WB in its nine modes, without discontinuous transmission."""

    name = "amr-wb"
    version = "libvo-amrwbenc.so.0"

    def __init__(self) -> None:
        self._encoder = _library("libvo-amrwbenc.so.0", "libvo-amrwbenc0")
        self._encoder.E_IF_init.restype = ctypes.c_void_p
        self._decoder = _library("libopencore-amrwb.so.0", "libopencore-amrwb0")
        self._decoder.D_IF_init.restype = ctypes.c_void_p

    @override
    def rates_kbps(self, asked: list[float]) -> list[float | None]:
        return nearest(asked, _MODES_KBPS)

    @override
    def run(self, wave: Wave, rate_hz: int, kbps: float | None) -> Coded:
        """Code and decode the wave, padded to whole frames."""
        check_wave(wave)
        mode = _MODES_KBPS.index(settled(self, kbps))
        given = resampled(wave, rate_hz, _RATE_HZ)
        frames = ceil_div(len(given), _FRAME_SAMPLES)
        pcm = np.zeros((frames, _FRAME_SAMPLES), np.int16)
        pcm.reshape(-1)[: len(given)] = np.round(np.clip(given, -1, 1) * 32767)
        start = time.perf_counter()
        data = self._encode(pcm, mode)
        encoded = time.perf_counter()
        pcm_hat = self._decode(data, mode)
        decoded = time.perf_counter()
        wave_hat = resampled((pcm_hat.reshape(-1) / 32768).astype(np.float32), _RATE_HZ, rate_hz)
        payload_bytes = len(data) - len(_MAGIC) - frames
        return Coded(wave_hat, data, encoded - start, decoded - encoded, payload_bytes)

    def _encode(self, pcm: NDArray[np.int16], mode: int) -> bytes:
        """The file of pcm [F, 320]."""
        state = ctypes.c_void_p(self._encoder.E_IF_init())
        frame = ctypes.create_string_buffer(max(_FRAME_BYTES))
        data = bytearray(_MAGIC)
        for samples in pcm:
            size = self._encoder.E_IF_encode(state, mode, samples.ctypes.data_as(ctypes.c_void_p), frame, 0)
            data += frame.raw[:size]
        self._encoder.E_IF_exit(state)
        if len(data) != len(_MAGIC) + len(pcm) * _FRAME_BYTES[mode]:
            raise AudioError(f"{self.name}: the library gave frames of other sizes than the standard's")
        return bytes(data)

    def _decode(self, data: bytes, mode: int) -> NDArray[np.int16]:
        """The samples [F, 320] of a file of one mode."""
        state = ctypes.c_void_p(self._decoder.D_IF_init())
        size = _FRAME_BYTES[mode]
        positions = range(len(_MAGIC), len(data), size)
        pcm = np.zeros((len(positions), _FRAME_SAMPLES), np.int16)
        for samples, position in zip(pcm, positions, strict=True):
            frame = data[position : position + size]
            self._decoder.D_IF_decode(state, frame, samples.ctypes.data_as(ctypes.c_void_p), 0)
        self._decoder.D_IF_exit(state)
        return pcm


def _library(name: str, package: str) -> Any:
    try:
        return ctypes.CDLL(name)
    except OSError:
        raise UnavailableError(f"amr-wb needs the library {name}; apt install {package}") from None
