"""What a run that trains an enhancer has: the encoder that hears the clean sound, and what the other lacks of it."""

import copy
from pathlib import Path

import torch
from torch import Tensor

from vqcodec.errors import ConfigError, TrainingError
from vqcodec.models.codec import Codec, Reconstruction
from vqcodec.models.enhancers import add_enhancer, load_enhancer, save_enhancer
from vqcodec.nn.encoder import Encoder
from vqcodec.training.config import EnhancerConfig

FILE = "enhancer.safetensors"
"""What a run exports."""


class Enhancement:
    """Gives `codec`, which has trained weights, an encoder to be trained; all else of it stays as it is.

    Raises ConfigError for another shape than that of `config.start`, ModelError as `load_enhancer`.
    """

    def __init__(self, codec: Codec, config: EnhancerConfig, init: str | None) -> None:
        if init is None or not isinstance(codec.encoder, Encoder):
            raise TrainingError("enhancer.channels: an enhancer is for trained weights; give init")
        self.config, self.codec = config, codec
        self.clean_encoder = copy.deepcopy(codec.encoder).requires_grad_(False).eval()
        self.attach(codec, start=config.start)
        codec.quantizer.requires_grad_(False)
        codec.decoder.requires_grad_(False)

    def attach(self, codec: Codec, *, start: str | None = None) -> None:
        """Give another `codec` of these weights such an encoder too."""
        if start is None:
            add_enhancer(codec, channels=self.config.channels, kernels=self.config.kernels)
            return
        load_enhancer(codec, start, of_others=True)
        encoder = codec.encoder
        if (encoder.channels, encoder.kernels) != (self.config.channels, self.config.kernels):
            raise ConfigError(
                f"enhancer.start {start}: has {encoder.channels} channels and kernels {encoder.kernels}; "
                "set enhancer.channels and enhancer.kernels to these"
            )

    def loss(self, wave: Tensor, output: Reconstruction) -> Tensor:
        """Compare with the latent of the clean `wave` [B, T]: the root of the squared error over the variance.

        The root, of each item, so that what is clean, where little is wrong, counts beside noise.
        """
        self.clean_encoder.to(wave.device)
        with torch.no_grad():
            clean, _ = self.clean_encoder(self.codec.padded(wave))
            variance = clean.float().var((0, 1), correction=0).sum() + 1.0
        error = (clean - output.latent).float().square().sum(-1).mean(1)
        roots: Tensor = (error / variance + 1e-4).sqrt()
        return roots.mean()

    def save(self, values: dict[str, Tensor], path: Path) -> None:
        """Write the averaged `values` of the whole codec as an enhancer."""
        encoder = {
            name.removeprefix("encoder."): value for name, value in values.items() if name.startswith("encoder.")
        }
        save_enhancer(self.codec, encoder, self.clean_encoder.state_dict(), path)
