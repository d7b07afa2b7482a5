"""Integer arithmetic of samples, frames, bits and rates: the only place that rounds up; and how times are written.

Floats appear only where a user gives kbps or reads them; counts inside the package are integers
(a float frame count broke EnCodec's decoder, its issue 35).
"""

from fractions import Fraction
from operator import index
from typing import SupportsIndex


def whole_number(value: SupportsIndex, name: str) -> int:
    """Return a count as an integer. Raises the TypeError that names it for anything else, also for 2.0."""
    try:
        return index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}, expected a whole number") from None


def ceil_div(numerator: int, denominator: int) -> int:
    """Return the smallest integer that is not below `numerator / denominator` (both integers, denominator > 0)."""
    return -(-numerator // denominator)


def num_frames(length_samples: int, hop_length: int) -> int:
    """Count the frames that cover `length_samples`: ceil(length / hop)."""
    return ceil_div(length_samples, hop_length)


def bits_per_code(codebook_size: int) -> int:
    """Count the bits of one fixed-width code: ceil(log2(codebook_size))."""
    return (codebook_size - 1).bit_length()


def resampled_length(length_samples: int, from_hz: int, to_hz: int) -> int:
    """Count the samples after resampling: ceil(length * to / from), so that no input sample is lost."""
    return ceil_div(length_samples * to_hz, from_hz)


def clock(seconds: float, *, decimals: int = 2) -> str:
    """Write a time as people read it, h:mm:ss with `decimals` of the second: 3725.5 is "1:02:05.50"."""
    if not 0 <= seconds < float("inf"):  # what a message calls no time
        return f"{seconds:g} s"
    ticks = round(seconds * 10**decimals)
    whole, part = divmod(ticks, 10**decimals)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" + (f".{part:0{decimals}}" if decimals else "")


def codebook_kbps(sample_rate_hz: int, hop_length: int, codebook_size: int) -> float:
    """Return the nominal kbps of one codebook: frame rate times bits of a code."""
    return bits_per_code(codebook_size) * sample_rate_hz / hop_length / 1000


def codebooks_for_kbps(
    kbps: float, *, sample_rate_hz: int, hop_length: int, codebook_size: int, total_codebooks: int
) -> int:
    """Return the most codebooks whose nominal rate is not above `kbps`; at least 1, at most `total_codebooks`.

    Decimal input such as 1.5 counts as the exact decimal number, so 0.1 + 0.2 surprises do not drop a codebook.
    """
    asked_bits = Fraction(str(kbps)) * 1000
    one_codebook = Fraction(bits_per_code(codebook_size) * sample_rate_hz, hop_length)
    return max(1, min(total_codebooks, int(asked_bits / one_codebook)))
