"""Grouped residual vector quantization (Yang et al. 2023, HiFi-Codec): stacks side by side on parts of the latent."""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from vqcodec.frames import ceil_div
from vqcodec.nn.quantizers.quantizer import BEAMS, Draw, Quantized, Quantizer, only_first
from vqcodec.nn.quantizers.residual import ResidualQuantizer


class GroupedQuantizer(Quantizer):
    """Code k is that of depth k // groups of group k % groups: few codes are coarse in all parts, not fine in one."""

    steps = 1

    def __init__(self, stacks: Sequence[ResidualQuantizer]) -> None:
        super().__init__()
        self.stacks = cast(list[ResidualQuantizer], nn.ModuleList(stacks))  # typed by what it holds
        self.total_codebooks = sum(stack.total_codebooks for stack in stacks)

    @override
    def encode(self, latent: Tensor, num_codebooks: int, *, beams: int = BEAMS) -> Tensor:
        groups = len(self.stacks)
        depth = ceil_div(num_codebooks, groups)
        parts = latent.chunk(groups, dim=2)
        codes = [stack.encode(part, depth, beams=beams) for stack, part in zip(self.stacks, parts, strict=True)]
        return torch.stack(codes, dim=2).flatten(1, 2)[:, :num_codebooks]

    @override
    def encode_for(self, latent: Tensor, num_codebooks: Tensor, *, beams: int = BEAMS) -> Tensor:
        groups = len(self.stacks)
        depth = (num_codebooks + groups - 1) // groups
        parts = latent.chunk(groups, dim=2)
        codes = [stack.encode_for(part, depth, beams=beams) for stack, part in zip(self.stacks, parts, strict=True)]
        return only_first(torch.stack(codes, dim=2).flatten(1, 2), num_codebooks)

    @override
    def decode(self, codes: Tensor) -> Tensor:
        """Decode each group by itself; a group without a code is zero."""
        groups = len(self.stacks)
        parts = []
        for group, stack in enumerate(self.stacks):
            group_codes = codes[:, group::groups]
            dim = stack.codebooks[0].dim
            empty = torch.zeros(len(codes), codes.shape[2], dim, device=codes.device)
            parts.append(stack.decode(group_codes) if group_codes.shape[1] else empty)
        return torch.cat(parts, dim=2)

    @override
    def forward(self, latent: Tensor, draw: Draw) -> Quantized:
        groups = len(self.stacks)
        results: list[Quantized] = []
        for group, (stack, part) in enumerate(zip(self.stacks, latent.chunk(groups, dim=2), strict=True)):
            group_draw = Draw(
                (draw.depths + groups - 1 - group) // groups,
                draw.unquantized,
                draw.blend,
                draw.temperature,
                draw.entropies,
            )
            results.append(stack(part, group_draw))

        def mean(name: str) -> Tensor:
            return torch.stack([getattr(result, name) for result in results]).mean(0)

        def in_order(name: str) -> Tensor:
            return torch.stack([getattr(result, name) for result in results], dim=-1).flatten()

        return Quantized(
            latent=torch.cat([result.latent for result in results], dim=2),
            codes=torch.stack([result.codes for result in results], dim=2).flatten(1, 2),
            commitment_loss=mean("commitment_loss"),
            codebook_loss=mean("codebook_loss"),
            residual_energy=in_order("residual_energy"),
            revived=in_order("revived"),
            assignment_entropy=mean("assignment_entropy"),
            usage_entropy=mean("usage_entropy"),
        )

    @override
    def start_from(self, latent: Tensor) -> None:
        for stack, part in zip(self.stacks, latent.chunk(len(self.stacks), dim=1), strict=True):
            stack.start_from(part)

    @override
    def table(self) -> Tensor:
        groups, rows = len(self.stacks), []
        for depth in range(self.total_codebooks // groups):
            for group, stack in enumerate(self.stacks):
                codebook = stack.codebooks[depth]
                pad = (group * codebook.dim, (groups - 1 - group) * codebook.dim)
                rows.append(F.pad(codebook.vectors(), pad))
        return torch.cat(rows)
