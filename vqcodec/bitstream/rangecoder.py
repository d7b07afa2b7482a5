"""Range coding in integers: symbols with given weights <-> bytes (Martin 1979; byte-wise, with carries).

The interval is [low, low + width) of 56-bit fractions. A symbol takes its share of the width, and whenever fewer than
48 bits of width are left, the top byte of `low` is known but for a carry and leaves.
"""

from vqcodec.errors import BitstreamError
from vqcodec.frames import ceil_div

_BITS = 56
_TOP = _BITS - 8
_WHOLE = 1 << _BITS
_LEAST_WIDTH = 1 << _TOP
_BELOW_TOP = _LEAST_WIDTH - 1


class RangeEncoder:
    """Symbols in, bytes out."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._low = 0
        self._width = _WHOLE

    def encode(self, start: int, weight: int, total: int) -> None:
        """Append the symbol of `weight` with `start`, the sum of the weights before it, of `total`, below 2 ** 48."""
        share = self._width // total
        self._low += share * start
        self._width = share * weight
        while self._width < _LEAST_WIDTH:
            self._emit()
            self._width <<= 8

    def finish(self) -> bytes:
        """Return the fewest bytes that decode to the symbols, zeros following: those of the roundest number inside."""
        for zeros in range(_BITS, -1, -8):
            rounded = ceil_div(self._low, 1 << zeros) << zeros
            if rounded < self._low + self._width:
                break
        self._low = rounded
        for _ in range(_BITS // 8):
            self._emit()
        return bytes(self._bytes).rstrip(b"\0")

    def _emit(self) -> None:
        """Move the top byte of `low` out, and a carry before it."""
        if self._low >= _WHOLE:
            self._low -= _WHOLE
            index = len(self._bytes) - 1
            while self._bytes[index] == 0xFF:
                self._bytes[index] = 0
                index -= 1
            self._bytes[index] += 1
        self._bytes.append(self._low >> _TOP)
        self._low = (self._low & _BELOW_TOP) << 8


class RangeDecoder:
    """Bytes in, symbols out: `find` the target, then `take` the symbol that holds it."""

    def __init__(self, data: bytes) -> None:
        self._bytes = data
        self._next = _BITS // 8
        self._offset = int.from_bytes(data[: self._next].ljust(self._next, b"\0"), "big")
        self._width = _WHOLE
        self._share = 0

    def find(self, total: int) -> int:
        """Return a number below `total` that lies in the next symbol's span of the weights' running sum.

        Raises BitstreamError where no symbol can be.
        """
        self._share = self._width // total
        target = self._offset // self._share
        if target >= total:
            raise BitstreamError("an entropy-coded layer holds what no encoder writes")
        return target

    def take(self, start: int, weight: int) -> None:
        """Pass over the symbol whose span of the running sum is [start, start + weight)."""
        self._offset -= self._share * start
        self._width = self._share * weight
        while self._width < _LEAST_WIDTH:
            byte = self._bytes[self._next] if self._next < len(self._bytes) else 0
            self._next += 1
            self._offset = self._offset << 8 | byte
            self._width <<= 8
