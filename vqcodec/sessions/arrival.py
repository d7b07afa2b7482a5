"""What is pushed to be decoded, checked, as codes and losses of each stream."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vqcodec.models.engine import Engine

Frames: TypeAlias = NDArray[Any] | Sequence[NDArray[Any] | None]
"""Codes [B, K, n] of B streams, or of each its own: [1, K, n], K its own as well, or None where all are lost."""


def arrived(
    engine: Engine, codes: Frames, lost: NDArray[np.bool_] | None, batch: int
) -> tuple[list[NDArray[Any] | None], NDArray[np.bool_]]:
    """Return the codes [K, n] or None of each stream, and which frames are lost in each, [B, n].

    `lost` is [n] or [B, n], or None. Raises TypeError for what is no array, ValueError for other shapes and for codes
    that the model does not have where they are not lost.
    """
    if isinstance(codes, list | tuple):
        return _of_each(engine, codes, lost, batch)
    check_array(codes, "codes")
    assert isinstance(codes, np.ndarray)
    gone = _gone(lost, batch, codes.shape[2] if codes.ndim == 3 else 0)
    if gone.any() and len(codes) == batch:
        codes = np.where(gone[:, None], 0, codes)
    engine.check_codes(codes, varied=True)
    if len(codes) != batch:
        raise ValueError(f"codes has shape {list(codes.shape)}, expected [{batch}, K, n]")
    return list(codes), gone


def _of_each(
    engine: Engine, codes: Sequence[NDArray[Any] | None], lost: NDArray[np.bool_] | None, batch: int
) -> tuple[list[NDArray[Any] | None], NDArray[np.bool_]]:
    if len(codes) != batch:
        raise ValueError(f"codes are a list of {len(codes)}, expected an item for each of {batch} streams")
    frames: int | None = None
    for stream, item in enumerate(codes):
        if item is None:
            continue
        check_array(item, f"codes of stream {stream}")
        if item.ndim != 3 or len(item) != 1:
            raise ValueError(f"codes of stream {stream} have shape {list(item.shape)}, expected [1, K, n]")
        if frames not in (None, item.shape[2]):
            raise ValueError(f"codes of stream {stream} have {item.shape[2]} frames, those before it {frames}")
        frames = item.shape[2]
    gone = _gone(lost, batch, 1 if frames is None else frames).copy()
    each: list[NDArray[Any] | None] = []
    for row, item in zip(gone, codes, strict=True):
        if item is None:
            row[:] = True
            each.append(None)
        else:
            known = np.where(row, 0, item) if row.any() else item
            engine.check_codes(known, varied=True)
            each.append(known[0])
    return each, gone


def _gone(lost: NDArray[np.bool_] | None, batch: int, frames: int) -> NDArray[np.bool_]:
    if lost is None:
        return np.zeros((batch, frames), bool)
    check_array(lost, "lost")
    if lost.dtype != bool or lost.shape not in ((frames,), (batch, frames)):
        raise ValueError(f"lost is {lost.dtype} {list(lost.shape)}, expected bool [{frames}] or [{batch}, {frames}]")
    return np.broadcast_to(lost, (batch, frames))


def check_array(value: object, name: str) -> None:
    """Raise TypeError for what is no array of numpy."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, expected one whose masked items are filled, as .filled(0) does")
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} is a {type(value).__name__}, expected an array of numpy, as tensor.numpy() makes")
