"""The network of a prior: a causal transformer over the delayed pattern of codes (Copet et al. 2023, section 2.2).

A step reads one token of each codebook, codebook k that of k frames ago, and tells how likely each next one is. The
first layer sees as many steps as the codes of a frame are spread over, so that they meet there again. Codes
come in as the vectors that stand for them in the codec and go out through such vectors: what is near there is likely
together, which a few hours of speech need not teach.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

from vqcodec.nn.conv import CausalConv1d
from vqcodec.nn.linear import Linear
from vqcodec.nn.transformer import CausalTransformer, Seen

_LOGITS_STD = 0.3
"""Deviation of the vectors that codes go out through, at the start: about as in the entropy model's networks."""
_MOST = {"num_codebooks": 255, "codebook_size": 1 << 16, "dim": 4096, "channels": 8192, "layers": 256, "heads": 1024}
_MOST_WINDOW = 1 << 20


@dataclass(frozen=True)
class PriorSizes:
    """What a prior is built of. Raises ValueError for what cannot be.

    num_codebooks, codebook_size: of the codes
    dim:                          of the vectors that stand for them
    channels, layers, heads:      of the transformer
    window:                       steps that a layer of it sees
    """

    num_codebooks: int
    codebook_size: int
    dim: int
    channels: int
    layers: int
    heads: int
    window: int

    def __post_init__(self) -> None:
        for name, most in {**_MOST, "window": _MOST_WINDOW}.items():
            value: Any = getattr(self, name)
            if type(value) is not int or not 1 <= value <= most:
                raise ValueError(f"{name} {value!r:.40} is not in 1..{most}")
        if self.channels % (2 * self.heads):
            raise ValueError(f"channels {self.channels} are no multiple of 2 x {self.heads} heads")


class Read(NamedTuple):
    """What a prior keeps of a stream: the latest vectors of codes, and what its transformer keeps."""

    vectors: Tensor
    seen: Seen


class Prior(nn.Module):
    """How likely each token is after those before it.

    Shape: tokens [B, K, T] int64, 0..codebook_size, of which the last is the pad of `Delayed` -> logits
    [B, T, K, codebook_size] of the tokens one step later. No pad is ever likely: a sequence has no end.
    """

    def __init__(self, sizes: PriorSizes, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.sizes = sizes
        codebooks, size, dim = sizes.num_codebooks, sizes.codebook_size, sizes.dim
        self.codebook_in = nn.Parameter(torch.randn(codebooks, size, dim))
        self.codebook_out = nn.Parameter(_LOGITS_STD * torch.randn(codebooks, size, dim))
        self.codebook_bias = nn.Parameter(torch.zeros(codebooks, size))
        self.to_hidden = CausalConv1d(codebooks * dim, sizes.channels, kernel_size=codebooks + 1)
        self.transformer = CausalTransformer(
            sizes.channels, layers=sizes.layers, heads=sizes.heads, window=sizes.window, dropout=dropout
        )
        self.to_vectors = Linear(sizes.channels, codebooks * dim)
        nn.init.zeros_(self.to_vectors.weight)  # every code is as likely at first
        nn.init.zeros_(self.to_vectors.bias)

    @torch.no_grad()
    def start_from(self, vectors: Tensor) -> None:
        """Let codes begin as the `vectors` [K, codebook_size, dim] of the codec, each codebook of deviation 1."""
        vectors = vectors - vectors.mean(1, keepdim=True)
        vectors = vectors / vectors.std((1, 2), keepdim=True).clamp(min=1e-6)
        self.codebook_in.copy_(vectors)
        self.codebook_out.copy_(_LOGITS_STD * vectors)

    @override
    def forward(self, tokens: Tensor, seen: Read | None = None, *, last_only: bool = False) -> tuple[Tensor, Read]:
        """Read the next tokens after those that were `seen`; see the class for shapes.

        `last_only`: tell of the last step alone, T = 1.
        """
        batch, codebooks, steps = tokens.shape
        is_code = tokens < self.sizes.codebook_size
        rows = torch.arange(codebooks, device=tokens.device)[:, None]
        vectors = self.codebook_in[rows, tokens.clamp(max=self.sizes.codebook_size - 1)] * is_code[..., None]
        past, before = (None, None) if seen is None else seen
        hidden, past = self.to_hidden(vectors.transpose(1, 2).reshape(batch, steps, -1), past)
        hidden, before = self.transformer(hidden, before)
        if last_only:
            hidden, steps = hidden[:, -1:], 1
        wanted = self.to_vectors(hidden).view(batch * steps, codebooks, -1).transpose(0, 1)
        logits = torch.baddbmm(self.codebook_bias[:, None], wanted, self.codebook_out.transpose(1, 2))
        return logits.transpose(0, 1).view(batch, steps, codebooks, -1), Read(past, before)
