"""Rates that were asked for -> rates that a codec has, in kbps."""

from collections.abc import Sequence

from vqcodec.errors import ConfigError
from vqcodec.evaluation.codecs.codec_under_test import CodecUnderTest


def clamped(asked: list[float], low: float, high: float) -> list[float | None]:
    """Move `asked` into low..high, each once, sorted."""
    return [*sorted({min(max(kbps, low), high) for kbps in asked})]


def nearest(asked: list[float], modes: Sequence[float]) -> list[float | None]:
    """Find for each of `asked` the mode nearest to it (the lower of two), each once, sorted."""
    return [*sorted({min(sorted(modes), key=lambda mode: abs(mode - kbps)) for kbps in asked})]


def settled(codec: CodecUnderTest, kbps: float | None) -> float:
    """Find what a codec that has rates runs at when `kbps` is asked. Raises ConfigError for None."""
    rate = None if kbps is None else codec.rates_kbps([kbps])[0]
    if rate is None:
        raise ConfigError(f"{codec.name} needs a rate in kbps")
    return rate
