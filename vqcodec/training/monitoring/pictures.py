"""Pictures for training logs (matplotlib)."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from vqcodec.audio.spectral import stft


def spectrogram_figure(wave: Tensor, rate_hz: int) -> Figure:
    """Draw a log-magnitude spectrogram of `wave` [T], 80 dB deep: harmonics are horizontal lines."""
    magnitude = stft(wave[None].float().cpu(), 512, 128)[0].abs()
    decibels = 20 * torch.log10(magnitude.clamp(min=1e-6))
    top = float(decibels.max())
    figure = Figure(figsize=(6, 2.4))
    axes = figure.add_axes((0.08, 0.18, 0.91, 0.79))  # a layout that is found anew would take half of the time
    extent = (0.0, len(wave) / rate_hz, 0.0, rate_hz / 2000)
    axes.imshow(decibels.numpy(), origin="lower", aspect="auto", extent=extent, vmin=top - 80, vmax=top)
    axes.set_xlabel("seconds")
    axes.set_ylabel("kHz")
    return figure
