"""The Descript Audio Codec (Kumar et al. 2023): 16, 24 or 44.1 kHz, one channel."""

from typing import Any

from torch import Tensor
from typing_extensions import override

from vqcodec.arrays import Scales
from vqcodec.models.adapters.adapter import Adapter


class DacAdapter(Adapter):
    """DacModel, on waves padded with zeros to a whole frame, as its feature extractor does."""

    most_seconds = 30.0  # some 130 MB a second

    @override
    def find_hop_length(self, config: Any) -> int:
        return int(config.hop_length)

    @override
    def count_codebooks(self, config: Any) -> int:
        return int(config.n_codebooks)

    @override
    def encode_input(self, wave: Tensor, num_codebooks: int) -> tuple[Tensor, Scales | None]:
        padded = self.whole_frames(wave)
        codes: Tensor = self.model.encode(padded[None], n_quantizers=num_codebooks).audio_codes[0]
        return codes, None

    @override
    def decode_input(self, codes: Tensor, scales: Scales | None) -> Tensor:
        wave: Tensor = self.model.decode(audio_codes=codes[None]).audio_values
        return wave.reshape(1, -1)
