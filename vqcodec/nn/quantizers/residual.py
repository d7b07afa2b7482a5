"""Residual vector quantization: each codebook quantizes what the ones before it left over.

SoundStream (Zeghidour et al. 2021, algorithm 1) with its quantizer dropout. With strides it is multi-scale, as SNAC
(Siuzdak et al. 2024): a codebook of stride s quantizes means over s latents, so that coarse codes are rare; the codes
of one period of the longest stride make a frame, in SNAC's order, coarse first and then by time.
"""

from collections.abc import Iterator, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from vqcodec.nn.quantizers.codebook import Codebook
from vqcodec.nn.quantizers.quantizer import BEAMS, Draw, Quantized, Quantizer, only_first
from vqcodec.nn.quantizers.search import beam_search


class ResidualQuantizer(Quantizer):
    """A stack of codebooks over a latent of the same dimension; codebook k takes part every `strides[k]` latents."""

    def __init__(self, codebooks: Sequence[Codebook], strides: Sequence[int] = ()) -> None:
        super().__init__()
        self.codebooks = cast(list[Codebook], nn.ModuleList(codebooks))  # typed by what it holds
        self.strides = tuple(strides) or (1,) * len(codebooks)
        self.steps = max(self.strides)
        self.total_codebooks = sum(self.steps // stride for stride in self.strides)

    @override
    def encode(self, latent: Tensor, num_codebooks: int, *, beams: int = BEAMS) -> Tensor:
        """Search by beams where that is possible, otherwise choose as in training, one codebook after the other."""
        if beams > 1 and self._is_searched:
            found = beam_search(latent.flatten(0, 1), list(self.codebooks)[:num_codebooks], beams)
            return found.view(*latent.shape[:2], num_codebooks).transpose(1, 2)
        residual, codes = latent, []
        for first, codebook, stride in self._layers():
            if first >= num_codebooks:
                break
            code = codebook.encode(_means(residual, stride).flatten(0, 1))
            residual = residual - _held(codebook.lookup(code).view(latent.shape[0], -1, latent.shape[2]), stride)
            codes.append(self._by_frame(code, latent.shape[0], stride))
        return torch.cat(codes, dim=1)[:, :num_codebooks]

    @override
    def encode_for(self, latent: Tensor, num_codebooks: Tensor, *, beams: int = BEAMS) -> Tensor:
        if beams == 1 or not self._is_searched:
            return super().encode_for(latent, num_codebooks, beams=beams)
        found = beam_search(latent.flatten(0, 1), self.codebooks, beams, depth=num_codebooks)
        return only_first(found.view(*latent.shape[:2], self.total_codebooks).transpose(1, 2), num_codebooks)

    @property
    def _is_searched(self) -> bool:
        return self.steps == 1 and all(codebook.is_euclidean for codebook in self.codebooks)

    @override
    def decode(self, codes: Tensor) -> Tensor:
        """Sum the codebook vectors; a code of -1 adds nothing."""
        is_varied = codes.numel() > 0 and bool(codes.min() < 0)
        parts = []
        for first, codebook, stride in self._layers():
            if first >= codes.shape[1]:
                break
            layers = self.steps // stride
            rows = codes[:, first : first + layers].transpose(1, 2)
            vectors = codebook.lookup(rows.clamp(min=0) if is_varied else rows)
            if is_varied:
                vectors = vectors * (rows >= 0)[..., None]
            vectors = F.pad(vectors, (0, 0, 0, layers - vectors.shape[2])).flatten(1, 2)
            parts.append(_held(vectors, stride))
        return torch.stack(parts).sum(0)

    @override
    def forward(self, latent: Tensor, draw: Draw) -> Quantized:
        batch, length, dim = latent.shape
        variance = latent.detach().flatten(0, 1).var(dim=0).sum().clamp(min=1e-8)
        residual, quantized = latent, torch.zeros_like(latent)
        depths = draw.depths.view(batch, -1).expand(batch, length // self.steps).repeat_interleave(self.steps, dim=1)
        codes, commitments, losses, energies, revived, entropies = [], [], [], [], [], []
        for first, codebook, stride in self._layers():
            vectors = _means(residual, stride).flatten(0, 1)
            assigned = codebook(vectors, draw.temperature)
            chosen = _held(assigned.vectors.view(batch, -1, dim), stride)
            # With its gradient: straight-through passes one gradient for the whole stack, not one for each codebook.
            residual = residual - chosen
            layer = first + torch.arange(self.steps, device=latent.device) // stride
            used = (layer.repeat(length // self.steps) < depths).to(latent.dtype)
            quantized = quantized + used[:, :, None] * chosen
            if assigned.commitment is None:
                commitments.append((used[:, :, None] * (latent - quantized.detach()).square()).mean())
            else:
                commitments.append((used[:, ::stride] * assigned.commitment.view(batch, -1)).mean())
            losses.append(assigned.codebook_loss)
            layers = self.steps // stride
            codes.append(self._by_frame(assigned.codes, batch, stride))
            energies += [residual.detach().square().sum(2).mean() / variance] * layers
            revived += [assigned.revived] * layers
            if draw.entropies:
                entropies.append(torch.stack(codebook.entropies(vectors)))
        blended = quantized if draw.blend == 1 else draw.blend * quantized + (1 - draw.blend) * latent
        mean_entropies = torch.stack(entropies).mean(0) if entropies else latent.new_zeros(2)
        return Quantized(
            latent=torch.where(draw.unquantized[:, None, None], latent, blended),
            codes=torch.cat(codes, dim=1),
            commitment_loss=torch.stack(commitments).mean(),
            codebook_loss=torch.stack(losses).mean(),
            residual_energy=torch.stack(energies),
            revived=torch.stack(revived),
            assignment_entropy=mean_entropies[0],
            usage_entropy=mean_entropies[1],
        )

    @override
    @torch.no_grad()
    def start_from(self, latent: Tensor) -> None:
        residual = latent[None]
        for _, codebook, stride in self._layers():
            vectors = _means(residual, stride)[0]
            codebook.start_from(vectors)
            residual = residual - _held(codebook.lookup(codebook.encode(vectors))[None], stride)

    @override
    def table(self) -> Tensor:
        rows = []
        for _, codebook, stride in self._layers():
            vectors = codebook.vectors()
            for step in range(0, self.steps, stride):
                held = vectors.repeat(1, stride)
                rows.append(F.pad(held, (step * codebook.dim, (self.steps - step - stride) * codebook.dim)))
        return torch.cat(rows)

    def _layers(self) -> Iterator[tuple[int, Codebook, int]]:
        """The first of its codes in a frame, the codebook, and its stride."""
        first = 0
        for codebook, stride in zip(self.codebooks, self.strides, strict=True):
            yield first, codebook, stride
            first += self.steps // stride

    def _by_frame(self, code: Tensor, batch: int, stride: int) -> Tensor:
        """Codes [B * F * layers] of one codebook -> [B, layers, F]."""
        return code.view(batch, -1, self.steps // stride).transpose(1, 2)


def _means(x: Tensor, stride: int) -> Tensor:
    """x [B, n * stride, dim] -> [B, n, dim]."""
    return x if stride == 1 else x.reshape(x.shape[0], -1, stride, x.shape[2]).mean(2)


def _held(x: Tensor, stride: int) -> Tensor:
    """x [B, n, dim] -> [B, n * stride, dim]."""
    return x if stride == 1 else x.repeat_interleave(stride, dim=1)
