"""Quality of `wave_hat` against `wave`: functions of two waves [T] at `rate_hz`. Needs an extra.

That is `eval`; `train` for PESQ and STOI alone, `judges` for Distill-MOS, DNSMOS and the similarity of speakers.

A metric that is not defined on a clip (silence, too short) is NaN; `measure` says why.
"""

from vqcodec.arrays import Wave
from vqcodec.metrics.dnsmos import DNSMOS_METRICS
from vqcodec.metrics.grid import grid_50hz, grid_100hz, grid_lines
from vqcodec.metrics.intelligibility import estoi, stoi
from vqcodec.metrics.judges import distill_mos
from vqcodec.metrics.levels import LEVEL_METRICS
from vqcodec.metrics.metric import Measured, Metric
from vqcodec.metrics.perceptual import pesq_nb, pesq_wb, visqol, visqol_audio
from vqcodec.metrics.pitch import f0_correlation, f0_rmse, voicing_error
from vqcodec.metrics.pulses import PULSE_METRICS
from vqcodec.metrics.recognition import cer, cer_by, wer, wer_by
from vqcodec.metrics.signal import loudness_difference, lsd, mel_distance, si_sdr
from vqcodec.metrics.speaker import speaker_similarity
from vqcodec.system.plugins import PluginTable

METRICS: PluginTable[Metric] = PluginTable(
    {
        metric.name: metric
        for metric in (
            *(pesq_wb, pesq_nb, stoi, estoi, visqol, visqol_audio),
            *(distill_mos, *DNSMOS_METRICS, speaker_similarity),
            *(*PULSE_METRICS, grid_50hz, grid_100hz, *LEVEL_METRICS, f0_correlation),
            *(si_sdr, lsd, mel_distance, f0_rmse, voicing_error, loudness_difference, wer),
            cer,
        )
    }
)
"""Every metric by its name in logs and results."""


def measure(name: str, wave: Wave, wave_hat: Wave, rate_hz: int) -> Measured:
    """Measure `wave_hat` [T'] against `wave` [T] by `name`: value, or NaN and why. Raises KeyError, ConfigError."""
    return METRICS[name].measure(wave, wave_hat, rate_hz)


__all__ = [
    "METRICS",
    "Measured",
    "Metric",
    "cer",
    "cer_by",
    "distill_mos",
    "estoi",
    "f0_correlation",
    "f0_rmse",
    "grid_50hz",
    "grid_100hz",
    "grid_lines",
    "loudness_difference",
    "lsd",
    "measure",
    "mel_distance",
    "pesq_nb",
    "pesq_wb",
    "si_sdr",
    "speaker_similarity",
    "stoi",
    "visqol",
    "visqol_audio",
    "voicing_error",
    "wer",
    "wer_by",
]
