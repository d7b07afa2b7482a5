"""Arrays of integers in numpy's .npy files (format versions 1 to 3); the header is matched, not evaluated."""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.errors import BitstreamError, TruncatedError
from vqcodec.files.foreign.codes import ForeignCodes

_MAGIC = b"\x93NUMPY"
_VERSION_BYTES = 2
_LENGTH_BYTES = {1: 2, 2: 4, 3: 4}
_MAX_HEADER_BYTES = 10_000
_HEADER = re.compile(
    r"\{\s*(?:(?:'descr':\s*'(?P<dtype>[^']{1,20})'|'fortran_order':\s*(?P<fortran>True|False)"
    r"|'shape':\s*\((?P<shape>[\d, ]*)\)),?\s*){3}\}\s*"
)
_MAX_DIGITS = 18
_INTEGERS = re.compile(r"[<>|=]?[iu][1248]")


@dataclass(frozen=True)
class NpyHeader:
    """What stands before the data, which begin at `data_at`; `dtype` as numpy writes it, such as "<i8"."""

    dtype: str
    is_fortran: bool
    shape: tuple[int, ...]
    data_at: int


def parse_npy(data: bytes) -> ForeignCodes:
    """Return the codes of a .npy: integers [K, F] of one channel, or [C, K, F].

    A batch of one clip of one channel, [1, K, F], is the same as one channel. Raises BitstreamError and TruncatedError.
    """
    codes = array_of(data, read_npy_header(data))
    if codes.ndim not in (2, 3):
        raise BitstreamError(f"the array has the shape {list(codes.shape)}; give codes [K, F] or [C, K, F]")
    return ForeignCodes(codes if codes.ndim == 3 else codes[None])


def read_npy_header(data: bytes) -> NpyHeader:
    """Read up to where the data begin. Raises BitstreamError and TruncatedError."""
    if not data.startswith(_MAGIC[: len(data)]):
        raise BitstreamError(f"not a file of numpy (it starts with {data[:6]!r})")
    version_at = len(_MAGIC)
    length_at = version_at + _VERSION_BYTES
    if len(data) < length_at:
        raise TruncatedError("it ends inside the header of numpy")
    width = _LENGTH_BYTES.get(data[version_at])
    if width is None or data[version_at + 1]:
        raise BitstreamError(f"version {data[version_at]}.{data[version_at + 1]} of .npy is not known here")
    text_at = length_at + width
    data_at = text_at + int.from_bytes(data[length_at:text_at], "little")
    if data_at - text_at > _MAX_HEADER_BYTES:
        raise BitstreamError(f"its header claims {data_at - text_at} bytes; it is damaged")
    if len(data) < data_at:
        raise TruncatedError("it ends inside the header of numpy")
    fields = _HEADER.fullmatch(data[text_at:data_at].decode("latin-1"))
    if fields is None or None in fields.groupdict().values():
        raise BitstreamError("its header is not one that numpy writes for a plain array")
    sizes = re.findall(r"\d+", fields["shape"])
    if any(len(size) > _MAX_DIGITS for size in sizes):
        raise BitstreamError("the shape in its header is impossible; it is damaged")
    return NpyHeader(fields["dtype"], fields["fortran"] == "True", tuple(map(int, sizes)), data_at)


def array_of(data: bytes, header: NpyHeader) -> NDArray[Any]:
    """Return the integers that `data` hold behind the header, without a copy."""
    if not _INTEGERS.fullmatch(header.dtype):
        raise BitstreamError(f"the array holds {header.dtype!r}; give codes as integers")
    dtype = np.dtype(header.dtype)
    count, present = math.prod(header.shape), len(data) - header.data_at
    if present < count * dtype.itemsize:
        raise TruncatedError(f"the array has {present} bytes, its shape asks for {count * dtype.itemsize}")
    if present > count * dtype.itemsize:
        raise BitstreamError(f"{present - count * dtype.itemsize} bytes follow the array; it is damaged")
    values = np.frombuffer(data, dtype, count, header.data_at)
    return shaped(values, header.shape, is_fortran=header.is_fortran)


def shaped(values: NDArray[Any], shape: tuple[int, ...], *, is_fortran: bool) -> NDArray[Any]:
    """Give `values`, as many as `shape` asks for, that shape. Raises BitstreamError for an impossible one."""
    try:
        return values.reshape(shape, order="F" if is_fortran else "C")
    except (ValueError, OverflowError):  # too many dimensions, or huge ones beside one of 0
        raise BitstreamError("the shape of an array in it is impossible; it is damaged") from None
