"""Models of how listeners judge: PESQ and ViSQOL."""

import contextlib
import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from vqcodec.arrays import Wave
from vqcodec.frames import ceil_div
from vqcodec.metrics.metric import Metric, UndefinedError, missing, resampled

_PESQ_HZ = 16000
_PESQ_MOST_SECONDS = 19
"""The package crashes at 50 utterances and more; none is shorter than 0.4 s with the pause after it."""


def _pesq(wave: Wave, wave_hat: Wave, rate_hz: int, mode: Literal["wb", "nb"]) -> float:
    """The mean over equal pieces of up to 19 s."""
    if not np.any(wave_hat):
        raise UndefinedError("wave_hat is silent")
    wave, wave_hat = resampled(wave, rate_hz, _PESQ_HZ), resampled(wave_hat, rate_hz, _PESQ_HZ)
    pieces = ceil_div(len(wave), _PESQ_MOST_SECONDS * _PESQ_HZ)
    pairs = zip(np.array_split(wave, pieces), np.array_split(wave_hat, pieces), strict=True)
    if pieces == 1:
        return _pesq_piece(*next(pairs), mode)
    scores = []
    for true, guess in pairs:
        try:
            scores.append(_pesq_piece(true, guess, mode))
        except UndefinedError as error:
            undefined = error
    if not scores:
        raise undefined
    return float(np.mean(scores))


def _pesq_piece(wave: Wave, wave_hat: Wave, mode: Literal["wb", "nb"]) -> float:
    try:
        from pesq import BufferTooShortError, NoUtterancesError, pesq
    except ImportError:
        raise missing("pesq") from None
    if not (np.any(wave) and np.any(wave_hat)):
        raise UndefinedError("PESQ finds no speech")
    try:
        return float(pesq(_PESQ_HZ, wave, wave_hat, mode))
    except NoUtterancesError:
        raise UndefinedError("PESQ finds no speech") from None
    except BufferTooShortError:
        raise UndefinedError("PESQ needs a quarter of a second") from None


def _visqol(wave: Wave, wave_hat: Wave, rate_hz: int, mode: Literal["speech", "audio"]) -> float:
    if not np.any(wave_hat):
        raise UndefinedError("wave_hat is silent")
    target_hz = 16000 if mode == "speech" else 48000
    waves = [resampled(x, rate_hz, target_hz).astype(np.float64) for x in (wave, wave_hat)]
    try:
        return float(_visqol_api(mode).measure_from_arrays(*waves, target_hz).moslqo)
    except (ValueError, IndexError):  # its ways to say that it finds no patch to compare
        raise UndefinedError("ViSQOL needs a second of sound") from None


@lru_cache(maxsize=2)
def _visqol_api(mode: Literal["speech", "audio"]) -> Any:
    try:
        from visqol import VisqolApi
    except ImportError:
        raise missing("visqol-python") from None
    api = VisqolApi()
    with _without_stderr():
        api.create(mode=mode, use_lattice_model=mode == "speech")
    return api


@contextlib.contextmanager
def _without_stderr() -> Iterator[None]:
    """Keep a line that TensorFlow Lite writes, past Python, from standard error."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


pesq_wb = Metric(
    name="pesq_wb",
    title="PESQ-WB",
    unit="MOS",
    low=1.0,
    high=4.64,
    higher_is_better=True,
    rate="16 kHz",
    source="ITU-T P.862.2 (2007), package pesq; the mean over pieces of up to 19 s",
    compute=lambda wave, wave_hat, rate_hz: _pesq(wave, wave_hat, rate_hz, "wb"),
)
pesq_nb = Metric(
    name="pesq_nb",
    title="PESQ-NB",
    unit="MOS",
    low=1.0,
    high=4.55,
    higher_is_better=True,
    rate="16 kHz, of which 300 to 3400 Hz count",
    source="ITU-T P.862 (2001) and P.862.1 (2003), package pesq; the mean over pieces of up to 19 s",
    compute=lambda wave, wave_hat, rate_hz: _pesq(wave, wave_hat, rate_hz, "nb"),
)
visqol = Metric(
    name="visqol",
    title="ViSQOL",
    unit="MOS",
    low=1.0,
    high=5.0,
    higher_is_better=True,
    rate="16 kHz",
    source="ViSQOL v3 in speech mode, Chinen et al. 2020, package visqol-python with the lattice model",
    compute=lambda wave, wave_hat, rate_hz: _visqol(wave, wave_hat, rate_hz, "speech"),
)
visqol_audio = Metric(
    name="visqol_audio",
    title="ViSQOL audio",
    unit="MOS",
    low=1.0,
    high=4.75,
    higher_is_better=True,
    rate="48 kHz",
    source="ViSQOL v3 in audio mode, Chinen et al. 2020, package visqol-python",
    compute=lambda wave, wave_hat, rate_hz: _visqol(wave, wave_hat, rate_hz, "audio"),
)
