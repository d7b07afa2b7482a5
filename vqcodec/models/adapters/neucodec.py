"""NeuCodec (Julian et al. 2025): 16 kHz in, 24 out, one channel, 50 frames per second, a codebook of 65,536 codes."""

from typing import Any

from torch import Tensor
from typing_extensions import override

from vqcodec.arrays import Scales
from vqcodec.models.adapters.xcodec2 import Xcodec2Adapter


class NeucodecAdapter(Xcodec2Adapter):
    """NeuCodecModel, as a codec of 24 kHz: what goes in is resampled by torchaudio to the 16 kHz that it hears.

    Its own feature extractor leaves out samples behind the last whole frame; here zeros complete that frame.
    """

    extractor_name = "NeuCodecFeatureExtractor"

    @override
    def find_sample_rate(self, config: Any) -> int:
        return int(config.output_sampling_rate)

    @override
    @property
    def input_rate_hz(self) -> int:
        return int(self.folder.config.input_sampling_rate)

    @override
    @property
    def input_hop_length(self) -> int:
        return int(self.folder.config.encoder_hop_length)

    @override
    def encode_input(self, wave: Tensor, num_codebooks: int) -> tuple[Tensor, Scales | None]:
        resample = self.torchaudio.functional.resample
        heard = resample(self.whole_frames(wave), self.sample_rate_hz, self.input_rate_hz)
        return super().encode_input(heard, num_codebooks)
