"""Codec: wave <-> codes. Shapes and lengths live here, the layers in vqcodec/nn.

Time runs one way: frame f of the codes depends on samples before (f + 1) * hop_length only, so padding on the right
changes no earlier frame and a stream gives the codes of the whole file. A decoded sample is complete
`delay_samples` after its frame began, because neighbouring synthesis windows overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from vqcodec.arrays import Codes, Wave
from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.errors import ConfigError
from vqcodec.frames import ceil_div, num_frames
from vqcodec.models.architecture import CODEBOOKS, NEEDS_SPEAKER, ModelConfig
from vqcodec.models.effort import BEAMS
from vqcodec.models.engine import Part, StreamEngine
from vqcodec.models.tensors import checked_codes, checked_length, checked_waves
from vqcodec.nn.attention import WindowedAttention
from vqcodec.nn.conv import CausalConv1d, Pasts
from vqcodec.nn.decoder import Decoder
from vqcodec.nn.encoder import Encoder
from vqcodec.nn.enhancer import EnhancingEncoder
from vqcodec.nn.quantizers.codebook import Codebook, Learning
from vqcodec.nn.quantizers.grouped import GroupedQuantizer
from vqcodec.nn.quantizers.quantizer import Draw, Quantized, Quantizer
from vqcodec.nn.quantizers.residual import ResidualQuantizer
from vqcodec.nn.sizes import Sizes


@dataclass  # not frozen: Fabric rebuilds outputs when it casts them
class Reconstruction:
    """What a training step sees: wave_hat [B, 1, T], the latent [B, F, dim] and, once started, the quantizer's part."""

    wave_hat: Tensor
    latent: Tensor
    quantized: Quantized | None


class Codec(nn.Module, StreamEngine):
    """A neural audio codec: encoder, quantizer, decoder. On torch; states are lists of tensors."""

    has_depths = True

    def __init__(self, config: ModelConfig, learning: Learning | None = None) -> None:
        super().__init__()
        self.config = config
        self.model_name = config.name
        self.fingerprint: bytes | None = None  # SHA-256 of the weights file, set by vqcodec.models.weights
        self.entropy: EntropyModel | None = None  # set by vqcodec.models.weights
        self.sample_rate_hz = config.sample_rate_hz
        self.hop_length = config.hop_length
        self.total_codebooks = config.total_codebooks
        self.codebook_size = config.codebook_size
        spectral = {
            "window_length": config.window_length,
            "stft_hop": config.stft_hop,
            "stride": config.hop_length // (config.stft_hop * config.steps),
            "stft_channels": config.stft_channels,
            "channels": config.channels,
            "latent_dim": config.latent_dim,
            "attention_window": config.attention_window,
            "attention_heads": config.attention_heads,
        }
        encoder = Sizes(**spectral, stft_blocks=config.encoder_stft_blocks, blocks=config.encoder_blocks)
        decoder = Sizes(**spectral, stft_blocks=config.decoder_stft_blocks, blocks=config.decoder_blocks)
        self.encoder: Encoder | EnhancingEncoder = Encoder(encoder)
        self.decoder = Decoder(
            decoder, sample_rate_hz=config.sample_rate_hz, source_hz=config.source_hz, speakers=len(config.speakers)
        )
        self.quantizer = make_quantizer(config, learning)

    @override
    @property
    def delay_samples(self) -> int:
        return self.decoder.delay_samples

    @override
    @property
    def decoder_context_frames(self) -> int:
        remembering = CausalConv1d | WindowedAttention
        contexts = [layer.context for layer in self.decoder.modules() if isinstance(layer, remembering)]
        head = num_frames(self.decoder.head.context_samples, self.hop_length)
        return ceil_div(sum(contexts), self.quantizer.steps) + head

    @override
    @property
    def encoder_shapes(self) -> list[tuple[int, ...]]:
        return self.encoder.past_shapes

    @override
    @property
    def decoder_shapes(self) -> list[tuple[int, ...]]:
        return self.decoder.past_shapes

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @torch.inference_mode()
    def encode(self, wave: Tensor, *, kbps: float | None = None, num_codebooks: int | None = None) -> Tensor:
        """Encode a batch of waves.

        Shape: wave [B, 1, T] float32 in [-1, 1] -> codes [B, K, F] int64, F = ceil(T / hop_length).
        Clips of different lengths may share a batch, padded on the right: each keeps its first
        ceil(length / hop_length) frames. Other floats are taken as float32. Raises TypeError for what is no tensor,
        ValueError for another shape, integers and NaN, ConfigError for an impossible rate.
        """
        wave = checked_waves(wave)
        count = self.codebooks_for(kbps=kbps, num_codebooks=num_codebooks)
        if wave.shape[0] == 0 or wave.shape[2] == 0:
            return torch.zeros(wave.shape[0], count, 0, dtype=torch.int64, device=wave.device)
        latent, _ = self.encoder(self.padded(wave.squeeze(1)))
        return self.quantizer.encode(latent, count, beams=BEAMS[self.effort])

    @torch.inference_mode()
    def decode(self, codes: Tensor, *, length_samples: int | None = None, speaker: str | None = None) -> Tensor:
        """Decode a batch of codes.

        Shape: codes [B, K, F] integers, K <= total_codebooks -> wave_hat [B, 1, T] float32,
        T = length_samples, at most F * hop_length, which is the default. A frame may have fewer than K codes: those
        above are -1. `speaker`: who shall speak, of a model that is told (`config.speakers`). Raises ValueError for
        other shapes and for other codes outside 0..codebook_size - 1, ConfigError for a speaker that the model does not
        have, and for none where it is told one.
        """
        codes = checked_codes(codes, self)
        index = self._speaker_index(speaker)
        length = checked_length(length_samples, codes.shape[2], self.hop_length)
        if codes.shape[0] == 0 or length == 0:
            return torch.zeros(codes.shape[0], 1, length, device=codes.device)
        more = codes[:, :, -1:].expand(-1, -1, self.finishing_frames)
        speakers = None if index is None else torch.full((len(codes),), index, device=codes.device)
        return self._synthesize(self.quantizer.decode(torch.cat((codes, more), dim=2)), speakers)[:, :, :length]

    def speak_as(self, speaker: str) -> None:
        """Turn into a codec with one of the voices of `config.speakers`, whatever is encoded, and no others.

        Its codes and its `fingerprint` stay what they are. Raises ConfigError for a speaker that it does not have.
        """
        self.decoder.speak_as(self.config.speaker_index(speaker))
        self.config = replace(self.config, speakers=())

    @override
    def prepare(self, part: Part) -> None:
        """Raise ConfigError where what is to be decoded needs a speaker and none was chosen."""
        if part == "decoder":
            self._speaker_index(None)

    @override
    @torch.inference_mode()
    def encode_block(self, wave: Wave, num_codebooks: int, state: Pasts | None = None) -> tuple[Codes, Pasts]:
        latent, state = self.encoder(torch.from_numpy(wave).to(self.device), state)
        return self.quantizer.encode(latent, num_codebooks, beams=BEAMS[self.effort]).cpu().numpy(), state

    @override
    @property
    def is_searched(self) -> bool:
        return self.config.is_searched

    @override
    @property
    def latent_dim(self) -> int:
        return self.config.latent_dim

    @override
    @torch.inference_mode()
    def latent_block(self, wave: Wave, state: Pasts | None = None) -> tuple[NDArray[np.float32], Pasts]:
        latent, state = self.encoder(torch.from_numpy(wave).to(self.device), state)
        return latent.float().cpu().numpy(), state

    @override
    @torch.inference_mode()
    def decode_block(self, codes: NDArray[Any], state: Pasts | None = None) -> tuple[Wave, Pasts]:
        self._speaker_index(None)
        indices = torch.from_numpy(np.array(codes, np.int64)).to(self.device)
        wave, state = self.decoder(self.quantizer.decode(indices), state)
        return wave.cpu().numpy(), state

    @override
    @torch.inference_mode()
    def code_vectors(self) -> NDArray[np.float32]:
        table = self.quantizer.table().float().cpu().numpy()
        return table.reshape(self.total_codebooks, self.codebook_size, -1)

    @override
    def start_decoding(self, batch: int, start_frame: int) -> Pasts:
        return self.decoder.start(batch, start_frame * self.quantizer.steps)

    @override
    def arrays_of(self, state: Pasts) -> list[NDArray[Any]]:
        return [past.cpu().numpy() for past in state]

    @override
    def state_of(self, arrays: Sequence[NDArray[Any]]) -> Pasts:
        return [torch.from_numpy(array).to(self.device) for array in arrays]

    @override
    def forward(self, wave: Tensor, draw: Draw | None = None, speakers: Tensor | None = None) -> Reconstruction:
        """Reconstruct `wave` [B, 1, T] for training; without `draw` nothing is quantized.

        speakers: [B] int64, places in `config.speakers`
        """
        latent, _ = self.encoder(self.padded(wave.squeeze(1)))
        quantized = None
        decoder_input = latent
        if draw is not None:
            with torch.autocast(latent.device.type, enabled=False):
                quantized = self.quantizer(latent.float(), draw)
            decoder_input = quantized.latent
        more = decoder_input[:, -self.quantizer.steps :].repeat(1, self.finishing_frames, 1)
        wave_hat = self._synthesize(torch.cat((decoder_input, more), dim=1), speakers)[:, :, : wave.shape[2]]
        return Reconstruction(wave_hat, latent, quantized)

    def padded(self, wave: Tensor) -> Tensor:
        """Add zeros to a wave [B, T] up to a whole number of frames."""
        return F.pad(wave, (0, -wave.shape[1] % self.hop_length))

    def _speaker_index(self, speaker: str | None) -> int | None:
        """Which of `config.speakers` is told to the decoder; None: it is told none. Raises ConfigError."""
        if speaker is not None:
            return self.config.speaker_index(speaker)
        if self.config.speakers:
            raise ConfigError(f"{self.model_name} {NEEDS_SPEAKER}")
        return None

    def _synthesize(self, latent: Tensor, speakers: Tensor | None = None) -> Tensor:
        """Latent [B, F, dim] -> wave_hat [B, 1, F * hop - delay_samples], aligned with the input."""
        wave: Tensor = self.decoder(latent, speakers=speakers)[0]
        return wave[:, None, self.delay_samples :]


def make_quantizer(config: ModelConfig, learning: Learning | None = None) -> Quantizer:
    """Make the untrained quantizer of `config`."""
    learning = learning or Learning()
    module, _, name = CODEBOOKS[config.codebook_kind].partition(":")
    kind = cast(type[Codebook], getattr(import_module(module), name))
    dim, size = config.latent_dim // config.groups, config.codebook_size
    strides = config.strides or (1,) * (config.total_codebooks // config.groups)
    stacks = [ResidualQuantizer([kind(size, dim, learning) for _ in strides], strides) for _ in range(config.groups)]
    return GroupedQuantizer(stacks) if config.groups > 1 else stacks[0]
