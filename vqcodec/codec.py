"""Codec: wave <-> codes. Shapes and lengths live here, the layers in vqcodec/nn.

Time runs one way: frame f of the codes depends on samples before (f + 1) * hop_length only, so padding on the right
changes no earlier frame and a stream gives the codes of the whole file. A decoded sample is complete
`delay_samples` after its frame began, because neighbouring synthesis windows overlap.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.config import ModelConfig, QuantizerConfig
from vqcodec.errors import ConfigError
from vqcodec.frames import codebooks_for_kbps, num_frames
from vqcodec.nn.conv import CausalConv1d, State
from vqcodec.nn.decoder import Decoder
from vqcodec.nn.encoder import Encoder
from vqcodec.nn.quantizer import Codebook, EmaCodebook, GradientCodebook
from vqcodec.nn.residual import Quantized, ResidualQuantizer

_CODEBOOKS: dict[str, type[EmaCodebook] | type[GradientCodebook]] = {
    "ema": EmaCodebook,
    "gradient": GradientCodebook,
}


@dataclass  # not frozen: Fabric rebuilds outputs when it casts them
class Reconstruction:
    """What a training step sees: wave_hat [B, 1, T], the latent [B, F, dim] and, once started, the quantizer's part."""

    wave_hat: Tensor
    latent: Tensor
    quantized: Quantized | None


class Codec(nn.Module):
    """A neural audio codec: encoder, residual vector quantizer, decoder."""

    def __init__(self, config: ModelConfig, quantizer: QuantizerConfig | None = None) -> None:
        super().__init__()
        learning = quantizer or QuantizerConfig()
        self.config = config
        self.fingerprint: bytes | None = None  # SHA-256 of the weights file, set by vqcodec.weights
        self.entropy: EntropyModel | None = None  # set by vqcodec.weights
        self.sample_rate_hz = config.sample_rate_hz
        self.hop_length = config.hop_length
        self.total_codebooks = config.total_codebooks
        self.codebook_size = config.codebook_size
        spectral = {
            "window_length": config.window_length,
            "stft_hop": config.stft_hop,
            "stride": config.hop_length // config.stft_hop,
            "stft_channels": config.stft_channels,
            "channels": config.channels,
            "latent_dim": config.latent_dim,
        }
        self.encoder = Encoder(**spectral, stft_blocks=config.encoder_stft_blocks, blocks=config.encoder_blocks)
        self.decoder = Decoder(**spectral, stft_blocks=config.decoder_stft_blocks, blocks=config.decoder_blocks)
        kind = _CODEBOOKS[config.codebook_kind]
        codebooks: list[Codebook] = [
            kind(
                config.codebook_size,
                config.latent_dim,
                decay=learning.decay,
                revive_below=learning.revive_below,
            )
            for _ in range(config.total_codebooks)
        ]
        self.quantizer = ResidualQuantizer(codebooks)

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate_hz / self.hop_length

    @property
    def delay_samples(self) -> int:
        """Samples by which `decode_block` lags its codes."""
        return self.decoder.delay_samples

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def decoder_context_frames(self) -> int:
        """Frames before frame f that its decoded samples depend on, at most: what a seek must decode ahead."""
        contexts = [layer.context for layer in self.decoder.modules() if isinstance(layer, CausalConv1d)]
        return sum(contexts) + num_frames(self.delay_samples, self.hop_length)

    def codebooks_for(self, *, kbps: float | None = None, num_codebooks: int | None = None) -> int:
        """The number of codebooks to use: `num_codebooks`, or the most whose nominal rate is not above `kbps`.

        All of them when neither is given. Raises ConfigError for both at once or for values out of range.
        """
        if kbps is not None and num_codebooks is not None:
            raise ConfigError("give kbps or num_codebooks, not both")
        if kbps is not None:
            if not 0 < kbps < float("inf"):
                raise ConfigError(f"kbps {kbps} is not a positive number")
            return codebooks_for_kbps(
                kbps,
                sample_rate_hz=self.sample_rate_hz,
                hop_length=self.hop_length,
                codebook_size=self.codebook_size,
                total_codebooks=self.total_codebooks,
            )
        count = self.total_codebooks if num_codebooks is None else num_codebooks
        if not 1 <= count <= self.total_codebooks:
            raise ConfigError(f"num_codebooks {count} is not in 1..{self.total_codebooks}, what this model has")
        return count

    @torch.inference_mode()
    def encode(self, wave: Tensor, *, kbps: float | None = None, num_codebooks: int | None = None) -> Tensor:
        """Encode a batch of waves.

        Shape: wave [B, 1, T] float32 in [-1, 1] -> codes [B, K, F] int64, F = ceil(T / hop_length).
        Clips of different lengths may share a batch, padded on the right: each keeps its first
        ceil(length / hop_length) frames.
        """
        if wave.dim() != 3 or wave.shape[1] != 1:
            raise ValueError(f"wave has shape {tuple(wave.shape)}, expected [B, 1, T]")
        count = self.codebooks_for(kbps=kbps, num_codebooks=num_codebooks)
        if wave.shape[0] == 0 or wave.shape[2] == 0:
            return torch.zeros(wave.shape[0], count, 0, dtype=torch.int64, device=wave.device)
        codes, _ = self.encode_block(self._pad(wave), count)
        return codes

    @torch.inference_mode()
    def decode(self, codes: Tensor, *, length_samples: int | None = None) -> Tensor:
        """Decode a batch of codes.

        Shape: codes [B, K, F] integers, K <= total_codebooks -> wave_hat [B, 1, T] float32,
        T = length_samples, at most F * hop_length, which is the default. Raises ValueError for other shapes and for
        codes outside 0..codebook_size - 1.
        """
        self.check_codes(codes)
        available = codes.shape[2] * self.hop_length
        length = available if length_samples is None else length_samples
        if not 0 <= length <= available:
            raise ValueError(f"length_samples {length} is not in 0..{available}, what {codes.shape[2]} frames hold")
        if codes.shape[0] == 0 or length == 0:
            return torch.zeros(codes.shape[0], 1, length, device=codes.device)
        return self._synthesize(self.quantizer.decode(codes))[:, :, :length]

    @torch.inference_mode()
    def encode_block(self, wave: Tensor, num_codebooks: int, state: State = None) -> tuple[Tensor, State]:
        """Encode the next samples of a stream.

        Shape: wave [B, 1, n * hop_length] -> codes [B, num_codebooks, n]; `state` (None to start) goes into the
        next call.
        """
        latent, state = self.encoder(wave.squeeze(1), state)
        return self.quantizer.encode(latent, num_codebooks), state

    @torch.inference_mode()
    def decode_block(self, codes: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Decode the next frames of a stream.

        Shape: codes [B, K, n] -> wave [B, 1, n * hop_length], late by `delay_samples`: the first `delay_samples`
        samples of a stream lie before its beginning, and `finish_decoding` gives the last ones.
        """
        wave, state = self.decoder(self.quantizer.decode(codes), state)
        return wave.unsqueeze(1), state

    @torch.inference_mode()
    def finish_decoding(self, state: State) -> Tensor:
        """The last `delay_samples` samples of a stream, [B, 1, delay_samples]."""
        return self.decoder.finish(state).unsqueeze(1)

    def forward(self, wave: Tensor, depths: Tensor | None = None, unquantized: Tensor | None = None) -> Reconstruction:
        """Reconstruct `wave` [B, 1, T] for training.

        depths [B] is the number of codebooks of each item, `unquantized` [B] which items skip the quantizer; without
        them nothing is quantized.
        """
        latent, _ = self.encoder(self._pad(wave).squeeze(1))
        quantized = None
        decoder_input = latent
        if depths is not None and unquantized is not None:
            with torch.autocast(latent.device.type, enabled=False):
                quantized = self.quantizer(latent.float(), depths, unquantized)
            decoder_input = quantized.latent
        wave_hat = self._synthesize(decoder_input)[:, :, : wave.shape[2]]
        return Reconstruction(wave_hat, latent, quantized)

    def _pad(self, wave: Tensor) -> Tensor:
        """Zeros on the right up to a whole number of frames."""
        return F.pad(wave, (0, num_frames(wave.shape[2], self.hop_length) * self.hop_length - wave.shape[2]))

    def _synthesize(self, latent: Tensor) -> Tensor:
        """Latent [B, F, dim] -> wave_hat [B, 1, F * hop_length], aligned with the input."""
        wave, state = self.decoder(latent)
        return torch.cat((wave, self.decoder.finish(state)), dim=1)[:, self.delay_samples :].unsqueeze(1)

    def check_codes(self, codes: Tensor) -> None:
        """Raise ValueError unless `codes` are integers [B, 1..total_codebooks, F] below codebook_size."""
        if codes.dim() != 3 or not 1 <= codes.shape[1] <= self.total_codebooks:
            raise ValueError(f"codes have shape {tuple(codes.shape)}, expected [B, 1..{self.total_codebooks}, F]")
        if codes.is_floating_point():
            raise ValueError(f"codes are {codes.dtype}, expected integers")
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < self.codebook_size:
            raise ValueError(f"codes span {codes.min()}..{codes.max()}, expected 0..{self.codebook_size - 1}")
