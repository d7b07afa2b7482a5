"""Ways to turn a latent into codes, one file each, behind one interface.

`Codebook` is one layer: vectors -> codes, codes -> vectors, and how it learns; `architecture.CODEBOOKS` names them.
`Quantizer` arranges layers: `residual` (one after the other, at one rate or several) and `grouped` (side by side).
"""

from importlib import import_module
from typing import cast

from vqcodec.architecture import CODEBOOKS, ModelConfig
from vqcodec.nn.quantizers.codebook import Codebook, Learning
from vqcodec.nn.quantizers.grouped import GroupedQuantizer
from vqcodec.nn.quantizers.quantizer import Quantizer
from vqcodec.nn.quantizers.residual import ResidualQuantizer

__all__ = ["Codebook", "Learning", "Quantizer", "make_quantizer"]


def make_quantizer(config: ModelConfig, learning: Learning | None = None) -> Quantizer:
    """The untrained quantizer of `config`."""
    learning = learning or Learning()
    module, _, name = CODEBOOKS[config.codebook_kind].partition(":")
    kind = cast(type[Codebook], getattr(import_module(module), name))
    dim, size = config.latent_dim // config.groups, config.codebook_size
    strides = config.strides or (1,) * (config.total_codebooks // config.groups)
    stacks = [ResidualQuantizer([kind(size, dim, learning) for _ in strides], strides) for _ in range(config.groups)]
    return GroupedQuantizer(stacks) if config.groups > 1 else stacks[0]
