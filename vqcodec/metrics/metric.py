"""What a metric is: a number for two waves, or a reason why there is none."""

import contextlib
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import soxr

from vqcodec.arrays import Wave
from vqcodec.errors import ConfigError, how_to_install


@dataclass(frozen=True)
class Measured:
    """A value; NaN where the metric is not defined, and then the reason."""

    value: float
    reason: str | None = None


class UndefinedError(Exception):
    """A metric has no value for two waves; the text says why."""


@dataclass(frozen=True)
class Metric:
    """A metric by its facts; calling it gives the value, NaN where it is not defined.

    low, high: range of values, None where there is no bound
    higher_is_better: None where 0 is best
    rate:      at which sampling rate it is computed; waves are resampled to it
    source:    paper or standard
    """

    name: str
    title: str
    unit: str
    low: float | None
    high: float | None
    higher_is_better: bool | None
    rate: str
    source: str
    compute: Callable[[Wave, Wave, int], float]

    def __call__(self, wave: Wave, wave_hat: Wave, rate_hz: int) -> float:
        """The value for `wave_hat` [T'] against `wave` [T], float32 at `rate_hz`; see `measure`."""
        return self.measure(wave, wave_hat, rate_hz).value

    def measure(self, wave: Wave, wave_hat: Wave, rate_hz: int) -> Measured:
        """Return value or reason. `wave_hat` is cut, or filled with zeros, to T.

        Raises ConfigError if the package that computes it is not installed.
        """
        try:
            value = self.compute(*_comparable(wave, wave_hat), rate_hz)
        except UndefinedError as error:
            return Measured(float("nan"), str(error))
        return Measured(value, None if np.isfinite(value) else f"{self.title} gave {value}")


def missing(package: str, extra: str = "eval") -> ConfigError:
    """Make the error of a metric whose package is not installed."""
    return ConfigError(f"this metric needs {package}; {how_to_install(extra)}")


@contextlib.contextmanager
def stand_in(module: types.ModuleType) -> Iterator[None]:
    """Let packages import `module` by its name where there is none of that name, only for as long as this is open."""
    name = module.__name__
    if name in sys.modules or find_spec(name) is not None:
        yield
        return
    sys.modules[name] = module
    try:
        yield
    finally:
        del sys.modules[name]


def resampled(wave: Wave, rate_hz: int, target_hz: int) -> Wave:
    """Return `wave` [T] at `target_hz`, float32; itself where it has that rate."""
    return wave if rate_hz == target_hz else np.asarray(soxr.resample(wave, rate_hz, target_hz), dtype=np.float32)


def check_band(high_hz: float, rate_hz: int) -> None:
    """Raise UndefinedError where waves at `rate_hz` do not reach up to `high_hz`."""
    if high_hz > rate_hz / 2:
        raise UndefinedError(f"a clip at {rate_hz} Hz has nothing up to {high_hz:g} Hz")


def _comparable(wave: Wave, wave_hat: Wave) -> tuple[Wave, Wave]:
    """Both of the length of `wave`, and worth comparing."""
    if not len(wave):
        raise UndefinedError("the original has no samples")
    if not (np.isfinite(wave).all() and np.isfinite(wave_hat).all()):
        raise UndefinedError("samples are NaN or infinite")
    if not np.any(wave):
        raise UndefinedError("the original is silent")
    fitted = np.zeros(len(wave), np.float32)
    fitted[: len(wave_hat)] = wave_hat[: len(wave)]
    return np.asarray(wave, np.float32), fitted
