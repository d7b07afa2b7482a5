"""One STFT and one mel filter bank for losses, logs and plots (torch). Slaney's scale, as in librosa."""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def stft(wave: Tensor, window_length: int, hop: int) -> Tensor:
    """Return the spectrum [B, window_length / 2 + 1, S] of `wave` [B, T] with a Hann window, reflection-padded.

    S = floor(T / hop) + 1; T must be over window_length / 2.
    """
    window = _hann(window_length, wave.device)
    return torch.stft(wave, window_length, hop, window_length, window, return_complex=True)


def mel_filters(rate_hz: int, window_length: int, mels: int) -> NDArray[np.float32]:
    """Make triangular mel filters of equal area, [mels, window_length / 2 + 1]: as librosa.filters.mel by default."""
    bins = np.fft.rfftfreq(window_length, 1 / rate_hz)
    edges = _mel_to_hz(np.linspace(0.0, hz_to_mel(rate_hz / 2), mels + 2))
    widths = np.diff(edges)
    slopes = edges[:, None] - bins
    rising = -slopes[:-2] / widths[:-1, None]
    falling = slopes[2:] / widths[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


@lru_cache(maxsize=64)
def mel_bank(rate_hz: int, window_length: int, mels: int, device: torch.device) -> Tensor:
    """Make a tensor of `mel_filters` on `device`, once: nobody may change it."""
    return torch.from_numpy(mel_filters(rate_hz, window_length, mels)).to(device)


@lru_cache(maxsize=64)
def _hann(length: int, device: torch.device) -> Tensor:
    return torch.hann_window(length, device=device)


_LINEAR_HZ_PER_MEL = 200 / 3
_LOG_START_HZ = 1000.0
_LOG_START_MEL = _LOG_START_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


def hz_to_mel(hz: float) -> float:
    """Convert to Slaney's mel scale (Auditory Toolbox, 1998): linear to 1 kHz, logarithmic above."""
    if hz < _LOG_START_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return float(_LOG_START_MEL + np.log(hz / _LOG_START_HZ) / _LOG_STEP)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of `hz_to_mel`, element by element."""
    logarithmic = _LOG_START_HZ * np.exp(_LOG_STEP * (mel - _LOG_START_MEL))
    return np.where(mel < _LOG_START_MEL, mel * _LINEAR_HZ_PER_MEL, logarithmic)
