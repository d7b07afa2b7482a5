"""Other neural codecs through transformers, from a folder on this machine: EnCodec, DAC and Mimi, one channel.

Their bytes are codes in fixed width, packed as in a chunk of a .vqc, and no container: the payload is all.
"""

import hashlib
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.bitstream.payload import layer_bytes, pack_codes, split_layers, unpack_codes
from vqcodec.bitstream.spec import CODING_FIXED
from vqcodec.errors import ConfigError, UnavailableError
from vqcodec.evaluation.coded import Coded, Samples
from vqcodec.evaluation.rates import nearest, settled
from vqcodec.evaluation.waves import check_wave, resampled
from vqcodec.frames import bits_per_code, num_frames

_KINDS = ("encodec", "dac", "mimi")


class PeerCodec:
    """A codec of transformers whose weights and config lie in `folder`; the weights load when it first runs."""

    def __init__(self, folder: str) -> None:
        if not (Path(folder) / "config.json").is_file():
            raise UnavailableError(f"{folder}: no folder with the config.json and weights of a codec of transformers")
        self.name = Path(folder).resolve().name
        self.version = _hash_of(Path(folder))
        self._folder = folder
        self._config = _load("AutoConfig", folder)
        self._kind = self._config.model_type
        if self._kind not in _KINDS:
            raise ConfigError(f"{folder} holds a model of the kind {self._kind}; give one of {', '.join(_KINDS)}")
        if getattr(self._config, "audio_channels", 1) != 1 or getattr(self._config, "normalize", False):
            raise ConfigError(f"{folder} holds a codec of two channels or scaled chunks; give one of one channel")

    def rates_kbps(self, asked: list[float]) -> list[float | None]:
        """See `CodecUnderTest`."""
        return nearest(asked, list(self._depths))

    def run(self, wave: Samples, rate_hz: int, kbps: float | None) -> Coded:
        """See `CodecUnderTest`. The decoded wave is cut to the length of `wave`, which the bytes do not tell."""
        import torch

        check_wave(wave)
        depth = self._depths[settled(self, kbps)]
        model_hz = self._config.sampling_rate
        given = resampled(wave, rate_hz, model_hz)
        padded = np.pad(given, (0, num_frames(len(given), self._hop) * self._hop - len(given)))
        model = self._model
        with torch.inference_mode():
            start = time.perf_counter()
            codes = self._encode(model, torch.from_numpy(padded)[None, None], depth)
            _, data = pack_codes(codes[None], self._bits)
            encoded = time.perf_counter()
            wave_hat = self._decode(model, self._unpack(data, depth, codes.shape[1]))
            decoded = time.perf_counter()
        wave_hat = resampled(wave_hat[: len(given)], model_hz, rate_hz)
        return Coded(
            wave_hat[: len(wave)],
            data,
            encoded - start,
            decoded - encoded,
            len(data),
            codes,
            self._config.codebook_size,
        )

    @cached_property
    def _model(self) -> Any:
        return _load("AutoModel", self._folder).eval()

    @property
    def _bits(self) -> int:
        return bits_per_code(int(self._config.codebook_size))

    @property
    def _hop(self) -> int:
        """Samples per frame."""
        return round(float(self._config.sampling_rate) / float(self._config.frame_rate))

    @cached_property
    def _depths(self) -> dict[float, int]:
        """Codebooks at each rate in kbps."""
        names = {"encodec": "num_quantizers", "dac": "n_codebooks", "mimi": "num_quantizers"}
        total = getattr(self._config, names[self._kind])
        one = self._bits * self._config.sampling_rate / self._hop / 1000
        depths = {round(count * one, 6): count for count in range(1, total + 1)}
        if self._kind != "encodec":
            return depths
        return {kbps: depths[kbps] for kbps in self._config.target_bandwidths if kbps in depths}

    def _encode(self, model: Any, wave: Any, depth: int) -> NDArray[np.uint16]:
        """Wave [1, 1, T] -> codes [K, F]."""
        if self._kind == "encodec":
            bandwidth = next(kbps for kbps, count in self._depths.items() if count == depth)
            codes = model.encode(wave, bandwidth=bandwidth).audio_codes[0]
        elif self._kind == "dac":
            codes = model.encode(wave, n_quantizers=depth).audio_codes
        else:
            codes = model.encode(wave, num_quantizers=depth).audio_codes
        array: NDArray[np.uint16] = np.asarray(codes[0].cpu().numpy(), np.uint16)
        return array

    def _unpack(self, data: bytes, depth: int, frames: int) -> NDArray[np.uint16]:
        """The codes [K, F] of the bytes."""
        layers = split_layers(data, CODING_FIXED, depth, layer_bytes(frames, self._bits))
        codes: NDArray[np.uint16] = unpack_codes(layers, self._bits, channels=1, frames=frames)[0]
        return codes

    def _decode(self, model: Any, codes: NDArray[np.uint16]) -> Samples:
        """Codes [K, F] -> wave [T]."""
        import torch

        indices = torch.from_numpy(codes.astype(np.int64))[None]
        if self._kind == "encodec":
            wave = model.decode(indices[None], [None]).audio_values
        else:
            wave = model.decode(audio_codes=indices).audio_values
        return np.asarray(wave.reshape(-1).cpu().numpy(), np.float32)


def _hash_of(folder: Path) -> str:
    """Of config and weights, in order of their names."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors"), *folder.glob("*.bin")]):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _load(name: str, folder: str) -> Any:
    """What a class of transformers loads from a folder, and from there only."""
    try:
        import transformers
    except ImportError:
        raise UnavailableError("codecs of transformers need it: pip install transformers") from None
    messages: Any = transformers.utils.logging
    had_bar = messages.is_progress_bar_enabled()
    messages.disable_progress_bar()  # it would write into the caller's
    try:
        return getattr(transformers, name).from_pretrained(folder, local_files_only=True)
    except Exception as error:  # of damaged files: KeyError, RuntimeError, SafetensorError and others
        first = str(error).strip().partition("\n")[0]
        raise UnavailableError(f"{folder}: transformers cannot load it: {first}") from None
    finally:
        if had_bar:
            messages.enable_progress_bar()
