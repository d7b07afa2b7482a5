"""Sessions that encode and decode a stream piece by piece, many per model: push, push, flush.

Any split of the input gives the codes and the wave of one push (within float rounding). A session keeps the past
that the causal layers need and nothing else, so its memory does not grow.
"""

import torch
from torch import Tensor

from vqcodec.codec import Codec
from vqcodec.nn.conv import State


class EncodeSession:
    """Waves of `batch` streams in, codes of whole frames out.

    Give `kbps` or `num_codebooks`, as in `Codec.encode`; all codebooks without either.
    """

    def __init__(
        self, codec: Codec, *, kbps: float | None = None, num_codebooks: int | None = None, batch: int = 1
    ) -> None:
        self.codec = codec
        self.num_codebooks = codec.codebooks_for(kbps=kbps, num_codebooks=num_codebooks)
        self._waiting = torch.zeros(batch, 1, 0, device=codec.device)
        self._state: State = None

    def push(self, wave: Tensor) -> Tensor:
        """Encode the next samples: wave [B, 1, T] float32, any T -> codes [B, K, n] int64 of the frames now full.

        Raises ValueError for another shape.
        """
        batch = self._waiting.shape[0]
        if wave.dim() != 3 or wave.shape[:2] != (batch, 1):
            raise ValueError(f"wave has shape {tuple(wave.shape)}, expected [{batch}, 1, T]")
        waiting = torch.cat((self._waiting, wave.to(self._waiting)), dim=2)
        full = waiting.shape[2] // self.codec.hop_length * self.codec.hop_length
        self._waiting = waiting[:, :, full:]
        if full == 0:
            return torch.zeros(batch, self.num_codebooks, 0, dtype=torch.int64, device=waiting.device)
        codes, self._state = self.codec.encode_block(waiting[:, :, :full], self.num_codebooks, self._state)
        return codes

    def flush(self) -> Tensor:
        """Encode what is left, padded with silence to a frame: codes [B, K, 0 or 1]. The next push starts anew."""
        missing = -self._waiting.shape[2] % self.codec.hop_length
        codes = self.push(self._waiting.new_zeros(self._waiting.shape[0], 1, missing))
        self._state = None
        return codes


class DecodeSession:
    """Codes of `batch` streams in, waves out, `Codec.delay_samples` behind until `flush`."""

    def __init__(self, codec: Codec, *, batch: int = 1) -> None:
        self.codec = codec
        self.batch = batch
        self._state: State = None
        self._ahead_samples = codec.delay_samples

    def push(self, codes: Tensor) -> Tensor:
        """Decode the next frames: codes [B, K, n] integers, any n -> wave [B, 1, m] float32.

        Raises ValueError for another shape and for codes that the model does not have.
        """
        self.codec.check_codes(codes)
        if codes.shape[0] != self.batch:
            raise ValueError(f"codes has shape {tuple(codes.shape)}, expected [{self.batch}, K, n]")
        if codes.shape[2] == 0:
            return torch.zeros(self.batch, 1, 0, device=self.codec.device)
        wave, self._state = self.codec.decode_block(codes.to(self.codec.device), self._state)
        early = min(self._ahead_samples, wave.shape[2])
        self._ahead_samples -= early
        return wave[:, :, early:]

    def flush(self) -> Tensor:
        """The rest of the wave: all together n * hop_length samples for n frames. The next push starts anew."""
        if self._state is None:
            return torch.zeros(self.batch, 1, 0, device=self.codec.device)
        wave = self.codec.finish_decoding(self._state)[:, :, self._ahead_samples :]
        self._state, self._ahead_samples = None, self.codec.delay_samples
        return wave
