"""Soft assignment: the decoder reads a mean over the codebook, weighted by attention, annealed to a hard choice.

Agustsson et al. 2017 (soft-to-hard vector quantization), with the logits of attention (Vaswani et al. 2017).
"""

import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from vqcodec.nn.quantizers.codebook import Assigned, soft_assignments
from vqcodec.nn.quantizers.vector import GradientCodebook


class SoftCodebook(GradientCodebook):
    """q = sum_j softmax(-|r - e_j|^2 / T)_j e_j while training, the nearest e_j afterwards.

    Gradients reach the encoder and every vector through the softmax; codebook loss = |sg(r) - q|^2. T, in standard
    deviations of the distances, falls during the run (`quantizer.temperature`), so that both become one.
    """

    @override
    def forward(self, vectors: Tensor, temperature: float = 1.0) -> Assigned:
        weights = soft_assignments(self.scores(vectors), temperature)
        codes = weights.detach().argmax(1)
        mixed = weights @ self.weight
        if not self.training:
            return Assigned(codes, mixed, None, vectors.new_zeros(()), codes.new_zeros(()))
        loss = F.mse_loss(soft_assignments(self.scores(vectors.detach()), temperature) @ self.weight, vectors.detach())
        return Assigned(codes, mixed, None, loss, self.revive(vectors.detach(), codes))
