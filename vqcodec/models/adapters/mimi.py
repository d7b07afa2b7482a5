"""Mimi (Défossez et al. 2024, Moshi): 24 kHz, one channel, 12.5 frames per second. It streams.

transformers streams its encoder and the attention of its decoder; the decoder's convolutions stream here. What a layer
remembers is the end of its input, or of a transposed convolution the part of its output that the next frames add to.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from vqcodec.arrays import Codes, Scales, State, Wave
from vqcodec.errors import ConfigError
from vqcodec.models.adapters.adapter import Adapter
from vqcodec.models.engine import StreamEngine


@dataclass
class _Past:
    """What a stream remembers: the cache of attention, and a tensor for each convolution."""

    attention: Any = None
    convolutions: dict[int, Any] = field(default_factory=dict)
    padding: Any = None


class MimiAdapter(Adapter, StreamEngine):
    """MimiModel. The first codebook is the semantic one.

    A stream has the codes and the wave of the whole but for its last frame, which is filled up with silence.
    """

    @override
    @property
    def delay_samples(self) -> int:
        """Count none: a frame of codes gives all of its samples."""
        return 0

    @override
    @property
    def decoder_context_frames(self) -> int:
        """Count all of the past, which attention sees: no session begins in the middle of a file."""
        raise ConfigError(f"{self.model_name} decodes a stream from its beginning; decode the file as a whole")

    @override
    def find_hop_length(self, config: Any) -> int:
        return int(config.frame_size)

    @override
    def count_codebooks(self, config: Any) -> int:
        return int(config.num_quantizers)

    @override
    def encode_input(self, wave: Tensor, num_codebooks: int) -> tuple[Tensor, Scales | None]:
        count = max(num_codebooks, self.folder.config.num_semantic_quantizers)  # it has no fewer
        codes: Tensor = self.model.encode(wave[None], num_quantizers=count).audio_codes[0, :num_codebooks]
        return codes, None

    @override
    def decode_input(self, codes: Tensor, scales: Scales | None) -> Tensor:
        wave: Tensor = self.model.decode(codes[None]).audio_values[0]
        return wave

    # Streams

    @override
    @torch.inference_mode()
    def encode_block(self, wave: Wave, num_codebooks: int, state: State = None) -> tuple[Codes, State]:
        past = state or _Past()
        out = self.model.encode(
            torch.from_numpy(wave)[:, None].to(self.device),
            num_quantizers=max(num_codebooks, self.folder.config.num_semantic_quantizers),
            encoder_cache=past.attention,
            padding_cache=past.padding,
            use_streaming=True,
        )
        return out.audio_codes[:, :num_codebooks].cpu().numpy(), _Past(
            attention=out.encoder_cache, padding=out.padding_cache
        )

    @override
    @torch.inference_mode()
    def decode_block(self, codes: NDArray[Any], state: State = None) -> tuple[Wave, State]:
        past = state or _Past()
        decoder = self.model.decoder
        x = self.model.quantizer.decode(torch.from_numpy(codes.astype(np.int64)).to(self.device))
        if decoder.upsample is not None:
            x = _transposed(decoder.upsample, x, past.convolutions)
        attended = decoder.decoder_transformer(x.transpose(1, 2), cache=past.attention, use_cache=True)
        past.attention = attended.cache
        x = attended.last_hidden_state.transpose(1, 2)
        for layer in decoder.decoder_seanet.layers:
            x = _streamed(layer, x, past.convolutions)
        return x[:, 0].float().cpu().numpy(), past

    @override
    def arrays_of(self, state: State) -> list[NDArray[Any]]:
        """Raise ConfigError: transformers' caches are no arrays of fixed shapes."""
        raise ConfigError(
            f"streams of {self.model_name} can neither be saved nor join others; take a session for each, "
            "or a model of vqcodec"
        )


def _streamed(layer: Any, x: Tensor, past: dict[int, Any]) -> Tensor:
    """`layer` of the decoder on the next frames x [B, channels, n]; `past` holds what the layers remember."""
    kind = type(layer).__name__
    if kind == "MimiConv1d":
        return _convolved(layer, x, past)
    if kind == "MimiConvTranspose1d":
        return _transposed(layer, x, past)
    if kind == "MimiResnetBlock":
        y = x
        for inner in layer.block:
            y = _streamed(inner, y, past)
        return _streamed(layer.shortcut, x, past) + y
    result: Tensor = layer(x)  # it has no memory
    return result


def _convolved(layer: Any, x: Tensor, past: dict[int, Any]) -> Tensor:
    """A causal convolution, padded with zeros before the beginning."""
    context = int(layer.padding_total)
    before = past.get(id(layer))
    joined = torch.cat((x.new_zeros(*x.shape[:2], context) if before is None else before, x), dim=2)
    past[id(layer)] = joined[:, :, joined.shape[2] - context :]
    result: Tensor = layer.conv(joined)
    return result


def _transposed(layer: Any, x: Tensor, past: dict[int, Any]) -> Tensor:
    """A causal transposed convolution: each input adds to the outputs of the next ones."""
    conv = layer.conv
    whole: Tensor = conv(x)
    overlap = whole.shape[2] - x.shape[2] * conv.stride[0]
    before = past.get(id(layer))
    if before is not None:
        whole[:, :, :overlap] += before
    tail = whole[:, :, whole.shape[2] - overlap :].clone()
    # The bias is there already; the next frames bring it again.
    past[id(layer)] = tail if conv.bias is None else tail - conv.bias[:, None]
    return whole[:, :, : whole.shape[2] - overlap]
