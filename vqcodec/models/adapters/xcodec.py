"""X-Codec (Ye et al. 2024): 16 kHz, one channel, 50 frames per second; its codes hold a share of HuBERT's features."""

from typing import Any

from torch import Tensor
from typing_extensions import override

from vqcodec.arrays import Scales
from vqcodec.models.adapters.adapter import Adapter, lowest_bandwidth


class XcodecAdapter(Adapter):
    """XcodecModel, on waves padded with zeros to a whole frame, as its feature extractor does."""

    @override
    def find_hop_length(self, config: Any) -> int:
        return int(config.hop_length)

    @override
    def count_codebooks(self, config: Any) -> int:
        return int(config.num_quantizers)

    @override
    def encode_input(self, wave: Tensor, num_codebooks: int) -> tuple[Tensor, Scales | None]:
        padded = self.whole_frames(wave)
        bandwidth = lowest_bandwidth(self.model, num_codebooks)
        codes: Tensor = self.model.encode(padded[None], bandwidth=bandwidth).audio_codes[0, :num_codebooks]
        return codes, None

    @override
    def decode_input(self, codes: Tensor, scales: Scales | None) -> Tensor:
        wave: Tensor = self.model.decode(codes[None]).audio_values
        return wave.reshape(1, -1)
