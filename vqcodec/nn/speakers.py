"""Layer norms that are told who speaks, for a decoder whose codes need not say it (van den Oord et al. 2017).

The gain and the bias of each norm follow from a vector of the speaker, as those of the AdaLayerNorm of Vocos (Siuzdak
2023) from the rate of the codes. All begin as plain norms, so that a trained decoder is a start; and for one speaker
each is a plain norm again, so that a decoder that speaks with one voice has no layer more than any other.
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from vqcodec.nn.linear import Linear

SPEAKER_DIM = 64
"""Numbers in the vector of a speaker."""


class SpeakerNorm(nn.LayerNorm):
    """LayerNorm(x) (1 + a) + b, where a and b [B, channels] are linear in the vectors of the speakers, and 0 at first.

    Shape: x [B, F, channels] -> [B, F, channels].
    vectors: [B, SPEAKER_DIM], who speaks in each item; None: a plain LayerNorm
    """

    vectors: Tensor | None = None

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.to_norm = Linear(SPEAKER_DIM, 2 * channels)
        nn.init.zeros_(self.to_norm.weight)
        nn.init.zeros_(self.to_norm.bias)

    @override
    def forward(self, input: Tensor) -> Tensor:
        """Apply the norm to `input`."""
        normalized = super().forward(input)
        if self.vectors is None:
            return normalized
        gain, bias = self.to_norm(self.vectors)[:, None].chunk(2, dim=-1)
        told: Tensor = normalized * (1 + gain) + bias
        return told

    @torch.no_grad()
    def for_speaker(self, vector: Tensor) -> nn.LayerNorm:
        """Return the plain norm that this is for one speaker, by its `vector` [SPEAKER_DIM]."""
        gain, bias = self.to_norm(vector).chunk(2)
        norm = nn.LayerNorm(self.normalized_shape).to(vector.device)
        norm.weight.copy_(self.weight * (1 + gain))
        norm.bias.copy_(self.bias * (1 + gain) + bias)
        return norm
