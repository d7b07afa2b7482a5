"""X-Codec2 (Ye et al. 2025, Llasa): 16 kHz, one channel, 50 frames per second, one codebook of 65,536 codes."""

import math
from functools import cached_property
from typing import Any

from torch import Tensor
from typing_extensions import override

from vqcodec.arrays import Scales
from vqcodec.errors import UnavailableError
from vqcodec.frames import num_frames
from vqcodec.models.adapters.adapter import Adapter


class Xcodec2Adapter(Adapter):
    """Xcodec2Model, with the filter banks of its feature extractor, which torchaudio computes.

    The extractor puts a sample of silence behind a clip: of one of whole frames, the frame of that sample is left out.
    """

    extractor_name = "Xcodec2FeatureExtractor"

    @override
    def find_codebook_size(self, config: Any) -> int:
        return math.prod(config.quantization_levels)

    @override
    def find_hop_length(self, config: Any) -> int:
        return int(config.hop_length)

    @override
    def count_codebooks(self, config: Any) -> int:
        return 1

    @cached_property
    def torchaudio(self) -> Any:
        """The package of that name, which only encoding needs. Raises UnavailableError where it is missing."""
        try:
            import torchaudio
        except ImportError:
            raise UnavailableError(f"{self.folder.name}: needs torchaudio to encode; pip install torchaudio") from None
        return torchaudio

    @cached_property
    def extractor(self) -> Any:
        """The feature extractor of transformers. Raises UnavailableError without torchaudio."""
        assert self.torchaudio is not None
        import transformers

        kind = getattr(transformers, self.extractor_name)
        return kind(sampling_rate=self.input_rate_hz, hop_length=self.input_hop_length)

    @property
    def input_rate_hz(self) -> int:
        """Samples per second of what the model hears."""
        return self.sample_rate_hz

    @property
    def input_hop_length(self) -> int:
        """Samples per frame of what the model hears."""
        return self.hop_length

    @override
    def encode_input(self, wave: Tensor, num_codebooks: int) -> tuple[Tensor, Scales | None]:
        inputs = self.extractor(wave[0].cpu().numpy(), sampling_rate=self.input_rate_hz, return_tensors="pt")
        codes: Tensor = self.model.encode(**inputs.to(self.device)).audio_codes[0].long()
        return codes[:, : num_frames(wave.shape[1], self.input_hop_length)], None

    @override
    def decode_input(self, codes: Tensor, scales: Scales | None) -> Tensor:
        wave: Tensor = self.model.decode(audio_codes=codes[None]).audio_values
        return wave.reshape(1, -1)
