"""How much of speech is understood: STOI and its extension."""

import warnings

from vqcodec.arrays import Wave
from vqcodec.metrics.metric import Metric, UndefinedError, missing


def _stoi(wave: Wave, wave_hat: Wave, rate_hz: int, *, extended: bool) -> float:
    try:
        from pystoi import stoi as pystoi_stoi
    except ImportError:
        raise missing("pystoi") from None
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # pystoi warns, and returns 1e-5, for too little speech
        try:
            return float(pystoi_stoi(wave, wave_hat, rate_hz, extended=extended))
        except (RuntimeWarning, ValueError):
            raise UndefinedError("STOI needs 0.4 s of speech") from None


stoi = Metric(
    name="stoi",
    title="STOI",
    unit="",
    low=0.0,
    high=1.0,
    higher_is_better=True,
    rate="10 kHz",
    source="Taal et al. 2011, package pystoi",
    compute=lambda wave, wave_hat, rate_hz: _stoi(wave, wave_hat, rate_hz, extended=False),
)
estoi = Metric(
    name="estoi",
    title="ESTOI",
    unit="",
    low=0.0,
    high=1.0,
    higher_is_better=True,
    rate="10 kHz",
    source="Jensen and Taal 2016, package pystoi",
    compute=lambda wave, wave_hat, rate_hz: _stoi(wave, wave_hat, rate_hz, extended=True),
)
