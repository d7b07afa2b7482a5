"""Mimi (Défossez et al. 2024, Moshi): 24 kHz, one channel, 12.5 frames per second."""

from typing import Any

from torch import Tensor

from vqcodec.adapters.adapter import Adapter
from vqcodec.engine import Scales


class MimiAdapter(Adapter):
    """MimiModel. The first codebook is the semantic one."""

    def find_hop_length(self, config: Any) -> int:
        """See `Adapter`."""
        return int(config.frame_size)

    def count_codebooks(self, config: Any) -> int:
        """See `Adapter`."""
        return int(config.num_quantizers)

    def encode_input(self, wave: Tensor, num_codebooks: int) -> tuple[Tensor, Scales | None]:
        """See `Adapter`."""
        codes: Tensor = self.model.encode(wave[None], num_quantizers=num_codebooks).audio_codes[0]
        return codes, None

    def decode_input(self, codes: Tensor, scales: Scales | None) -> Tensor:
        """See `Adapter`."""
        wave: Tensor = self.model.decode(codes[None]).audio_values[0]
        return wave
