"""What a caller hands to a model as a tensor, checked before it computes plausible nonsense."""

import math

import torch
from torch import Tensor

from vqcodec.arrays import MOST_PEAK


def checked_waves(wave: Tensor) -> Tensor:
    """Return a batch of waves [B, 1, T] as float32.

    Raises TypeError for what is no tensor, ValueError for another shape, for integers, which would be coded as sound
    far beyond full scale, and for NaN.
    """
    if not isinstance(wave, Tensor):
        raise TypeError(f"wave is {_kind(wave)}, expected a tensor [B, 1, T]; torch.from_numpy makes one of an array")
    if wave.dim() != 3 or wave.shape[1] != 1:
        raise ValueError(f"wave has shape {tuple(wave.shape)}, expected [B, 1, T]")
    if not wave.is_floating_point():
        kind = str(wave.dtype).removeprefix("torch.")
        raise ValueError(f"wave is {kind}, expected floats in [-1, 1]; of 16-bit samples, wave.float() / 32768")
    # What is compiled or only has a shape has no values to look at.
    is_known = not torch.compiler.is_compiling() and wave.device.type != "meta"
    if is_known and wave.numel():
        peak = float(wave.abs().amax())
        if not math.isfinite(peak):
            raise ValueError("wave has samples that are NaN or infinite")
        if peak > MOST_PEAK:
            raise ValueError(f"wave has a peak of {peak:.0f}, where full scale is 1; divide integers by 32768 or so")
    return wave.float()


def check_codes_tensor(codes: Tensor) -> None:
    """Raise TypeError for codes that are no tensor."""
    if not isinstance(codes, Tensor):
        raise TypeError(
            f"codes are {_kind(codes)}, expected a tensor [B, K, F]; torch.from_numpy makes one of an array"
        )


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
