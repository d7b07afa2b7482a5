"""The adversarial stage: one discriminator per STFT resolution, hinge losses and feature matching.

Multi-scale STFT discriminator of EnCodec (Défossez et al. 2022, section 3.4), smaller, and on power-compressed
spectra: on plain ones, most of whose bins are next to nothing, it hardly learned.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from typing_extensions import override

from vqcodec.audio.spectral import stft
from vqcodec.nn.encoder import COMPRESSION
from vqcodec.nn.processes import mean_over_processes


class StftDiscriminator(nn.Module):
    """Real or decoded? From the complex spectrum at one resolution, its magnitudes raised to 0.3.

    Shape: wave [B, T] -> (logits [B, 1, S, bins / 8], features: list of [B, channels, S, bins / 2, 4, 8 and 8]).
    """

    def __init__(self, window: int, channels: int) -> None:
        super().__init__()
        self.window = window
        convolutions = [
            nn.Conv2d(inputs, channels, (3, 9), stride=(1, 2), dilation=(dilation, 1), padding=(dilation, 4))
            for inputs, dilation in ((2, 1), (channels, 2), (channels, 4))
        ]
        convolutions.append(nn.Conv2d(channels, channels, 3, padding=1))
        self.convolutions = nn.ModuleList(weight_norm(conv) for conv in convolutions)
        self.to_logits = weight_norm(nn.Conv2d(channels, 1, 3, padding=1))

    @override
    def forward(self, wave: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judge `wave`; see the class for shapes."""
        spectrum = torch.view_as_real(stft(wave, self.window, self.window // 4))
        power = spectrum.square().sum(-1, keepdim=True)
        x = (spectrum * (power + 1e-6) ** ((COMPRESSION - 1) / 2)).permute(0, 3, 2, 1)
        features = []
        for convolution in self.convolutions:
            x = F.leaky_relu(convolution(x), 0.2)
            features.append(x)
        return self.to_logits(x), features


class Discriminators(nn.Module):
    """All resolutions together. `wave` [B, T] -> one (logits, features) pair per resolution."""

    def __init__(self, windows: list[int], channels: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(StftDiscriminator(window, channels) for window in windows)

    @override
    def forward(self, wave: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
        """Judge `wave` at every resolution."""
        return [scale(wave) for scale in self.scales]


def discriminator_loss(real: list[tuple[Tensor, list[Tensor]]], fake: list[tuple[Tensor, list[Tensor]]]) -> Tensor:
    """Return the hinge loss, mean over resolutions: real logits above 1, fake ones below -1."""
    pairs = [
        F.relu(1 - r.float()).mean() + F.relu(1 + f.float()).mean() for (r, _), (f, _) in zip(real, fake, strict=True)
    ]
    return torch.stack(pairs).mean()


def generator_losses(
    real: list[tuple[Tensor, list[Tensor]]], fake: list[tuple[Tensor, list[Tensor]]]
) -> tuple[Tensor, Tensor]:
    """Return adversarial loss and feature matching (L1 relative to the mean real feature), means over resolutions."""
    adversarial = torch.stack([F.relu(1 - logits.float()).mean() for logits, _ in fake]).mean()
    pairs = [
        (r.float(), f.float())
        for (_, reals), (_, fakes) in zip(real, fake, strict=True)
        for r, f in zip(reals, fakes, strict=True)
    ]
    errors = torch.stack([(r - f).abs().mean() for r, f in pairs])
    levels = mean_over_processes(torch.stack([r.abs().mean() for r, _ in pairs])).clamp(min=1e-3)
    return adversarial, (errors / levels).mean()
