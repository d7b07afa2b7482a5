"""What a caller hands to a model as a tensor, checked before it computes plausible nonsense."""

import math

import torch
from torch import Tensor

from vqcodec.arrays import find_peak_fault
from vqcodec.frames import whole_number
from vqcodec.models.engine import Engine


def checked_waves(wave: Tensor) -> Tensor:
    """Return a batch of waves [B, 1, T] as float32.

    Raises TypeError for what is no tensor, ValueError for another shape, for integers, which would be coded as sound
    far beyond full scale, and for NaN.
    """
    if not isinstance(wave, Tensor):
        raise TypeError(f"wave is {_kind(wave)}, expected a tensor [B, 1, T]; torch.from_numpy makes one of an array")
    _check_dense(wave, "wave")
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
        if fault := find_peak_fault(peak):
            raise ValueError(f"wave has {fault}; divide integers by 32768 or so")
        wave = torch.where(wave.abs() < torch.finfo(torch.float32).tiny, 0, wave)  # as arrays.flushed
    return wave.float()


def checked_codes(codes: Tensor, engine: Engine) -> Tensor:
    """Return a batch of codes [B, K, F] as int64, whatever integers they are.

    Raises TypeError for what is no tensor, ValueError for other shapes and for codes that the model does not have.
    """
    if not isinstance(codes, Tensor):
        raise TypeError(
            f"codes are {_kind(codes)}, expected a tensor [B, K, F]; torch.from_numpy makes one of an array"
        )
    _check_dense(codes, "codes")
    engine.check_codes(codes.detach().cpu().numpy(), varied=True)
    return codes.long()


def _check_dense(tensor: Tensor, name: str) -> None:
    """Raise TypeError for a sparse tensor, of which torch computes little."""
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise TypeError(f"{name} is a tensor of another layout; {name}.to_dense() makes one that is none")


def checked_length(length_samples: int | None, frames: int, hop_length: int) -> int:
    """Return how many samples of `frames` are wanted, all without `length_samples`.

    Raises TypeError for what is no whole number, ValueError for more than they hold.
    """
    available = frames * hop_length
    length = available if length_samples is None else whole_number(length_samples, "length_samples")
    if not 0 <= length <= available:
        raise ValueError(f"length_samples {length} is not in 0..{available}, what {frames} frames hold")
    return length


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
