"""Quality of `wave_hat` against `wave`: functions of two waves [T] at `rate_hz`. Needs the extra `eval` or `train`.

A metric that is not defined on a clip (silence, too short) is NaN.
"""

from collections.abc import Callable

import numpy as np
import soxr
from numpy.typing import NDArray

from vqcodec.errors import ConfigError

Samples = NDArray[np.float32]
_PESQ_HZ = 16000


def pesq_wb(wave: Samples, wave_hat: Samples, rate_hz: int) -> float:
    """Wide-band PESQ (ITU-T P.862.2), 1.0 to 4.64; at other rates than 16 kHz both are resampled to it."""
    try:
        from pesq import BufferTooShortError, NoUtterancesError, pesq
    except ImportError:
        raise _missing("pesq") from None
    wave, wave_hat = _at_16_khz(wave, rate_hz), _at_16_khz(wave_hat, rate_hz)
    if not np.any(wave_hat):
        return float("nan")
    try:
        return float(pesq(_PESQ_HZ, wave, wave_hat, "wb"))
    except (NoUtterancesError, BufferTooShortError):
        return float("nan")


def stoi(wave: Samples, wave_hat: Samples, rate_hz: int) -> float:
    """Short-time objective intelligibility (Taal et al. 2011), about 0 to 1; NaN under 0.4 s of speech."""
    return _stoi(wave, wave_hat, rate_hz, extended=False)


def estoi(wave: Samples, wave_hat: Samples, rate_hz: int) -> float:
    """Extended STOI (Jensen and Taal 2016), about 0 to 1; NaN under 0.4 s of speech."""
    return _stoi(wave, wave_hat, rate_hz, extended=True)


def si_sdr(wave: Samples, wave_hat: Samples, rate_hz: int) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019); NaN for silence."""
    true, guess = wave.astype(np.float64), wave_hat.astype(np.float64)
    energy = float(true @ true)
    if energy == 0 or not np.any(guess):
        return float("nan")
    target = (guess @ true) / energy * true
    noise = guess - target
    with np.errstate(divide="ignore"):
        return float(10 * np.log10((target @ target) / (noise @ noise)))


def visqol(wave: Samples, wave_hat: Samples, rate_hz: int) -> float:
    """ViSQOL in speech mode (Chinen et al. 2020), MOS 1 to 5, at 16 kHz."""
    try:
        from visqol import VisqolApi
    except ImportError:
        raise _missing("visqol-python") from None
    api = VisqolApi()
    api.create(mode="speech")
    result = api.measure_from_arrays(
        _at_16_khz(wave, rate_hz).astype(np.float64),
        _at_16_khz(wave_hat, rate_hz).astype(np.float64),
        _PESQ_HZ,
    )
    return float(result.moslqo)


METRICS: dict[str, Callable[[Samples, Samples, int], float]] = {
    "pesq_wb": pesq_wb,
    "stoi": stoi,
    "estoi": estoi,
    "si_sdr": si_sdr,
    "visqol": visqol,
}
"""Every metric by its name in logs and results."""


def _stoi(wave: Samples, wave_hat: Samples, rate_hz: int, *, extended: bool) -> float:
    try:
        from pystoi import stoi as pystoi_stoi
    except ImportError:
        raise _missing("pystoi") from None
    import warnings

    if not np.any(wave):
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # pystoi warns, and returns 1e-5, for too little speech
        try:
            return float(pystoi_stoi(wave, wave_hat, rate_hz, extended=extended))
        except (RuntimeWarning, ValueError):
            return float("nan")


def _at_16_khz(wave: Samples, rate_hz: int) -> Samples:
    return wave if rate_hz == _PESQ_HZ else np.asarray(soxr.resample(wave, rate_hz, _PESQ_HZ), dtype=np.float32)


def _missing(package: str) -> ConfigError:
    return ConfigError(f"this metric needs {package}; install it with: pip install 'vqcodec[eval]'")
