"""What the adapters share: channels and inputs, counts of codebooks, lengths, and torch's tensors <-> numpy."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from vqcodec.arrays import Codes, Scales, Wave
from vqcodec.errors import AudioError, ModelError
from vqcodec.frames import num_frames
from vqcodec.models.adapters.folder import ModelFolder
from vqcodec.models.engine import ClipEngine, Part
from vqcodec.models.tensors import checked_codes, checked_length, checked_waves


def lowest_bandwidth(model: Any, num_codebooks: int) -> float:
    """Return the lowest of the bandwidths a model was trained for that has `num_codebooks`.

    The first codebooks of it are those of any, since each codes what the ones before it left.
    """
    rates = sorted(model.config.target_bandwidths)
    quantizer = model.quantizer
    enough = (rate for rate in rates if quantizer.get_num_quantizers_for_bandwidth(rate) >= num_codebooks)
    return float(next(enough, rates[-1]))


class Adapter(ClipEngine):
    """A codec of transformers, whose codes are those that transformers computes. Abstract: a kind defines what raises.

    A model of one channel codes each channel by itself. A model of two takes a pair as one input and its codebooks are
    shared out to the two: 0, 2, 4 ... to the first, 1, 3, 5 ... to the second, so that fewer codebooks stay a prefix.
    A single channel goes into it twice and comes back as the mean.
    """

    entropy = None

    def __init__(self, folder: ModelFolder) -> None:
        self.folder = folder
        config = folder.config
        self.model_name = folder.path.resolve().name if folder.name == str(folder.path) else folder.name
        self.fingerprint = folder.fingerprint
        self.sample_rate_hz = self.find_sample_rate(config)
        self.hop_length = self.find_hop_length(config)
        self.codebook_size = self.find_codebook_size(config)
        self.inputs_per_model = int(getattr(config, "audio_channels", 1))
        self.model_codebooks = self.count_codebooks(config)
        self.total_codebooks = self.model_codebooks // self.inputs_per_model
        self.device = torch.device("cpu")
        if self.inputs_per_model > 2 or not self.total_codebooks or self.codebook_size & (self.codebook_size - 1):
            facts = f"{self.inputs_per_model} channels, {self.model_codebooks} codebooks of {self.codebook_size}"
            raise ModelError(f"{folder.name}: {facts}; a .vqc holds codebooks of 2, 4, 8 ... codes, 1 or 2 channels")

    def find_sample_rate(self, config: Any) -> int:
        """Return the samples per second of what goes in and of what comes out."""
        return int(getattr(config, "sampling_rate", 0) or config.sample_rate)

    def find_codebook_size(self, config: Any) -> int:
        """Return how many codes a codebook has."""
        return int(config.codebook_size)

    def find_hop_length(self, config: Any) -> int:
        """Return the samples per frame."""
        raise NotImplementedError

    def count_codebooks(self, config: Any) -> int:
        """Return how many codebooks the model has."""
        raise NotImplementedError

    def encode_input(self, wave: Tensor, num_codebooks: int) -> tuple[Tensor, Scales | None]:
        """Return codes [K, F] of one input, wave [1 or 2, T], and each chunk's level where the model normalizes."""
        raise NotImplementedError

    def decode_input(self, codes: Tensor, scales: Scales | None) -> Tensor:
        """Return the wave [1 or 2, about F * hop_length] of one input's codes [K, F]."""
        raise NotImplementedError

    def load_model(self) -> Any:
        """Load the model of transformers."""
        return self.folder.model()

    def whole_frames(self, wave: Tensor) -> Tensor:
        """Return `wave` [1 or 2, T] with zeros behind it up to a whole frame."""
        length = num_frames(wave.shape[1], self.hop_length) * self.hop_length
        return torch.nn.functional.pad(wave, (0, length - wave.shape[1]))

    @cached_property
    def model(self) -> Any:
        """transformers' model on `device`, loaded at its first use."""
        return self.load_model().to(self.device)

    @override
    def prepare(self, part: Part) -> None:
        """Load the model of transformers now, for either part. Raises as `ModelFolder.model`."""
        _ = self.model

    def to(self, device: str | torch.device) -> "Adapter":
        """Compute on `device` from now on."""
        self.device = torch.device(device)
        self.__dict__.pop("model", None)
        return self

    # What Codec has for tensors

    def encode(self, wave: Tensor, *, kbps: float | None = None, num_codebooks: int | None = None) -> Tensor:
        """Encode a batch of waves, each as if it were alone.

        Shape: wave [B, 1, T] float32 in [-1, 1] -> codes [B, K, F] int64, F = ceil(T / hop_length).
        """
        wave = checked_waves(wave)
        count = self.codebooks_for(kbps=kbps, num_codebooks=num_codebooks)
        codes = [self.encode_clip(item.cpu().numpy(), count)[0] for item in wave]
        frames = num_frames(wave.shape[2], self.hop_length)
        return torch.from_numpy(np.concatenate([np.zeros((0, count, frames), np.int64), *codes]))

    def decode(self, codes: Tensor, *, length_samples: int | None = None) -> Tensor:
        """Decode codes [B, K, F] -> wave_hat [B, 1, T], T = length_samples, by default F * hop_length.

        A model that normalizes decodes at the level to which it normalizes. Raises ValueError for other codes.
        """
        codes = checked_codes(codes, self)
        length = checked_length(length_samples, codes.shape[2], self.hop_length)
        waves = [self.decode_clip(item[None].cpu().numpy(), None) for item in codes]
        return torch.from_numpy(np.stack([np.zeros((1, length), np.float32), *(w[:, :length] for w in waves)])[1:])

    # What files need

    @override
    @torch.inference_mode()
    def encode_clip(self, wave: Wave, num_codebooks: int) -> tuple[Codes, Scales | None]:
        """Encode a clip. Raises AudioError for an odd number of channels, above one, of a model of two."""
        channels, samples = wave.shape
        frames = num_frames(samples, self.hop_length)
        if frames == 0:
            return np.zeros((channels, num_codebooks, 0), np.int64), None
        together = self._together(channels)
        inputs = wave.reshape(-1, together, samples)
        if together < self.inputs_per_model:
            inputs = np.repeat(inputs, self.inputs_per_model, axis=1)
        codes, scales = [], []
        for part in inputs:
            flat, levels = self.encode_input(torch.from_numpy(part.copy()).to(self.device), num_codebooks * together)
            if flat.shape != (num_codebooks * together, frames):
                shape = f"{samples} samples have codes {list(flat.shape)}"
                raise ModelError(f"{self.folder.name}: {shape}, not {num_codebooks * together} of {frames} frames")
            codes.append(flat.reshape(num_codebooks, together, frames).transpose(0, 1).cpu().numpy())
            scales += [] if levels is None else [levels]
        return np.concatenate(codes), np.concatenate(scales) if scales else None

    @override
    @torch.inference_mode()
    def decode_clip(self, codes: NDArray[Any], scales: Scales | None) -> Wave:
        channels, count, frames = codes.shape
        length = frames * self.hop_length
        if length == 0:
            return np.zeros((channels, 0), np.float32)
        together = self._together(channels)
        waves = []
        for index, part in enumerate(codes.astype(np.int64).reshape(-1, together, count, frames)):
            flat = torch.from_numpy(part.transpose(1, 0, 2).reshape(count * together, frames)).to(self.device)
            levels = None if scales is None else scales[index : index + 1]
            wave = self.decode_input(flat, levels)[:, :length].cpu()
            wave = torch.nn.functional.pad(wave, (0, length - wave.shape[1]))
            waves.append((wave if together == len(wave) else wave.mean(0, keepdim=True)).float().numpy())
        return np.concatenate(waves)

    def _together(self, channels: int) -> int:
        """Channels of the audio in one input of the model."""
        if channels == 1 or self.inputs_per_model == 1:
            return 1
        if channels % 2:
            raise AudioError(f"{channels} channels, but {self.folder.name} codes pairs; give 1 or an even number")
        return 2
