"""Levels by band, in loud frames and in pauses: what is dull, what is thin, and what hisses where nobody speaks."""

import numpy as np

from vqcodec.arrays import Wave
from vqcodec.metrics.metric import Metric, UndefinedError, check_band
from vqcodec.metrics.signal import magnitudes

_LOUD_DB, _PAUSE_DB = -30, -45
"""Below the level that one frame in twenty exceeds: loud frames are above the one, pauses below the other."""

_FEWEST_FRAMES = 10
_FLOOR = 1e-12
"""Power that is added to each bin, -120 dB of a full-scale tone: what rounding to 16 bits leaves in one."""


def _level_difference(wave: Wave, wave_hat: Wave, rate_hz: int, band: tuple[int, int], *, in_pauses: bool) -> float:
    """Frames of 32 ms every 8 ms, chosen by the original; dB of the power in the band over all of them."""
    check_band(band[1], rate_hz)
    window = round(0.032 * rate_hz)
    if window < 4:
        raise UndefinedError(f"a clip at {rate_hz} Hz has no bands")
    true, guess = (np.square(magnitudes(x, window)) for x in (wave, wave_hat))
    levels = 10 * np.log10(true.sum(axis=1) + _FLOOR)
    top = np.percentile(levels, 95)
    chosen = levels < top + _PAUSE_DB if in_pauses else levels > top + _LOUD_DB
    if chosen.sum() < _FEWEST_FRAMES:
        raise UndefinedError("no 0.1 s of pauses" if in_pauses else "no 0.1 s of speech")
    hz = np.fft.rfftfreq(window, 1 / rate_hz)
    bins = (hz >= band[0]) & (hz < band[1])
    sums = [float((power[chosen][:, bins] + _FLOOR).sum()) for power in (guess, true)]
    return float(10 * np.log10(sums[0] / sums[1]))


def _level_metric(band: tuple[int, int], *, in_pauses: bool) -> Metric:
    low, high = band[0] // 1000, band[1] // 1000
    kind, where = (
        ("pause", "frames more than 45 dB below the loudest twentieth")
        if in_pauses
        else ("level", "frames less than 30 dB below the loudest twentieth")
    )
    return Metric(
        name=f"{kind}_{low}_{high}khz",
        title=f"{kind} {low}-{high} kHz",
        unit="dB",
        low=None,
        high=None,
        higher_is_better=None,
        rate="of the clip",
        source=f"power of the band in {where} of the original, against the original's there; from -120 dB a bin up",
        compute=lambda wave, wave_hat, rate_hz: _level_difference(wave, wave_hat, rate_hz, band, in_pauses=in_pauses),
    )


LEVEL_METRICS = (
    *(_level_metric(band, in_pauses=False) for band in ((0, 1000), (1000, 2000), (2000, 4000), (4000, 7000))),
    *(_level_metric(band, in_pauses=True) for band in ((0, 4000), (4000, 7000))),
)
"""Levels of 0-1, 1-2, 2-4 and 4-7 kHz in loud frames, and of 0-4 and 4-7 kHz in pauses, against the original's."""
