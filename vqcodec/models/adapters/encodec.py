"""EnCodec (Défossez et al. 2022): 24 kHz, one channel, and 48 kHz, two channels in chunks of a second, normalized."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from vqcodec.arrays import Scales
from vqcodec.errors import ModelError
from vqcodec.models.adapters.adapter import Adapter, lowest_bandwidth
from vqcodec.models.adapters.folder import ModelFolder


class EncodecAdapter(Adapter):
    """EncodecModel. Chunks lie side by side, not 1 % over each other: frames of a .vqc are one length of time."""

    def __init__(self, folder: ModelFolder) -> None:
        super().__init__(folder)
        config = folder.config
        chunk = config.chunk_length or 0
        self.is_scaled = bool(config.normalize)
        self.chunk_frames = chunk // self.hop_length or 1
        if self.is_scaled and not chunk:
            raise ModelError(f"{folder.name}: normalizes without chunks; a .vqc has a level for each chunk")
        if chunk % self.hop_length:
            raise ModelError(f"{folder.name}: chunks of {chunk} samples are no whole frames of {self.hop_length}")

    @override
    def find_hop_length(self, config: Any) -> int:
        return int(config.hop_length)

    @override
    def count_codebooks(self, config: Any) -> int:
        return int(config.num_quantizers)

    @override
    def load_model(self) -> Any:
        return self.folder.model(overlap=0.0 if self.folder.config.chunk_length_s else None)

    @override
    def encode_input(self, wave: Tensor, num_codebooks: int) -> tuple[Tensor, Scales | None]:
        out = self.model.encode(wave[None], bandwidth=lowest_bandwidth(self.model, num_codebooks))
        codes = out.audio_codes[:, 0, :num_codebooks].transpose(0, 1).flatten(1)  # [chunks, K, F] -> [K, chunks * F]
        codes = codes[:, : codes.shape[1] - out.last_frame_pad_length]
        if not self.is_scaled:
            return codes, None
        return codes, np.array([[float(scale) for scale in out.audio_scales]], np.float32)

    @override
    def decode_input(self, codes: Tensor, scales: Scales | None) -> Tensor:
        frames = codes.shape[1] if self.chunk_frames == 1 else self.chunk_frames
        chunks = [chunk[None] for chunk in torch.split(codes, frames, dim=1)]
        levels: list[Tensor | None] = [None] * len(chunks)
        if scales is not None:
            levels = [torch.tensor([[scale]], device=codes.device) for scale in scales[0]]
        wave: Tensor = self.model.decode(chunks, levels).audio_values[0]
        return wave
