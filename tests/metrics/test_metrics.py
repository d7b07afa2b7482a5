"""Every metric: its value on known input, its limits, and what it refuses."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soxr

from vqcodec.errors import ConfigError
from vqcodec.metrics import (
    METRICS,
    estoi,
    f0_correlation,
    grid_50hz,
    grid_100hz,
    measure,
    pesq_nb,
    pesq_wb,
    si_sdr,
    stoi,
    visqol,
)
from vqcodec.metrics.dnsmos import DNSMOS_METRICS
from vqcodec.metrics.levels import LEVEL_METRICS
from vqcodec.metrics.pulses import PULSE_METRICS

JUDGES = {"distill_mos": "distillmos", "speaker_similarity": "resemblyzer"} | {
    metric.name: "speechmos" for metric in DNSMOS_METRICS
}
"""By a network each, and the package that it comes in."""
FAST = [name for name in METRICS if "visqol" not in name and name not in ("wer", "cer", *JUDGES)]
ALL = [
    pytest.param(name, marks=pytest.mark.skipif(needs is not None and find_spec(needs) is None, reason=f"no {needs}"))
    for name in METRICS
    for needs in [JUDGES.get(name)]
]
OVER_4_KHZ = ("_4_7khz", "grid_50hz", "grid_100hz")
"""Endings of the names of metrics that a clip at 8 kHz has no band for."""


def noisy(speech, snr_db):
    noise = np.random.default_rng(0).normal(0, 1, len(speech))
    gain = np.sqrt(np.mean(speech**2)) / 10 ** (snr_db / 20)
    return (speech + gain * noise).astype(np.float32)


@pytest.mark.parametrize("name", [name for name in FAST if METRICS[name].higher_is_better is not None])
def test_less_noise_scores_better(speech, name):
    scores = [METRICS[name](speech, noisy(speech, snr_db), 16000) for snr_db in (0, 10, 20, 30)]
    assert scores == sorted(scores, reverse=not METRICS[name].higher_is_better)
    assert scores[0] != scores[-1]


def test_perfect_copies_score_at_the_top(speech):
    assert pesq_wb(speech, speech, 16000) > 4.6
    assert pesq_nb(speech, speech, 16000) > 4.5
    assert stoi(speech, speech, 16000) == pytest.approx(1, abs=1e-6)
    assert estoi(speech, speech, 16000) == pytest.approx(1, abs=1e-6)
    assert si_sdr(speech, speech, 16000) == 140
    for name in ("lsd", "mel_distance", "f0_rmse", "voicing_error", "loudness_difference"):
        assert METRICS[name](speech, speech, 16000) == 0, name
    for metric in (*PULSE_METRICS, *LEVEL_METRICS, grid_50hz, grid_100hz):
        assert metric(speech, speech, 16000) == 0, metric.name
    assert f0_correlation(speech, speech, 16000) == pytest.approx(1)


@pytest.mark.parametrize("name", FAST)
def test_values_lie_in_the_range_that_is_told(speech, name):
    metric = METRICS[name]
    rng = np.random.default_rng(0)
    for wave_hat in (speech, 0.5 * speech, noisy(speech, -20), rng.normal(0, 0.1, len(speech)).astype(np.float32)):
        value = metric(speech, wave_hat, 16000)
        assert np.isnan(value) or (metric.low is None or value >= metric.low - 1e-6)
        assert np.isnan(value) or (metric.high is None or value <= metric.high + 1e-2)


@pytest.mark.parametrize("name", FAST)
def test_silence_and_what_is_no_audio_are_not_a_number_and_say_why(speech, name):
    silence = np.zeros_like(speech)
    for wave, wave_hat, why in (
        (silence, silence, "the original is silent"),
        (silence, speech, "the original is silent"),
        (speech, np.full_like(speech, np.nan), "NaN"),
        (speech, np.full_like(speech, np.inf), "NaN"),
        (speech[:0], speech, "no samples"),
    ):
        measured = measure(name, wave, wave_hat, 16000)
        assert np.isnan(measured.value)
        assert why in measured.reason


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("length", [1, 100, 1000, 4000])
def test_short_clips_have_a_value_or_a_reason(speech, name, length):
    wave = speech[20000 : 20000 + length]
    measured = measure(name, wave, noisy(wave, 20), 16000)
    assert np.isfinite(measured.value) == (measured.reason is None)


@pytest.mark.parametrize("name", ALL)
def test_a_silent_rendering_has_a_bad_value_or_a_reason(speech, name):
    measured = measure(name, speech, np.zeros_like(speech), 16000)
    assert np.isfinite(measured.value) == (measured.reason is None)
    if measured.reason is None and METRICS[name].higher_is_better:
        assert measured.value < METRICS[name](speech, noisy(speech, 10), 16000)


@pytest.mark.parametrize("name", FAST)
def test_a_rendering_of_another_length_is_cut_or_filled_with_silence(speech, name):
    cut = speech[:-8000]
    filled = np.concatenate([cut, np.zeros(8000, np.float32)])
    assert METRICS[name](speech, cut, 16000) == pytest.approx(METRICS[name](speech, filled, 16000), abs=1e-9)
    longer = np.concatenate([noisy(speech, 20), speech])
    expected = METRICS[name](speech, noisy(speech, 20), 16000)
    assert METRICS[name](speech, longer, 16000) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("rate_hz", [8000, 44100])
@pytest.mark.parametrize("name", FAST)
def test_other_rates_are_measured(speech, name, rate_hz):
    wave = soxr.resample(speech, 16000, rate_hz)
    measured = measure(name, wave, noisy(wave, 20), rate_hz)
    if rate_hz == 8000 and name.endswith(OVER_4_KHZ):
        assert measured.reason.startswith("a clip at 8000 Hz has nothing up to")
    else:
        assert np.isfinite(measured.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["visqol", "visqol_audio"])
def test_visqol_prefers_less_noise(speech, name):
    scores = [METRICS[name](speech, noisy(speech, snr_db), 16000) for snr_db in (0, 15, 30)]
    assert scores == sorted(scores)
    assert 1 <= scores[0] < scores[-1] <= 5


def test_a_missing_package_names_the_extra(speech, monkeypatch):
    for name, package in (("pesq_wb", "pesq"), ("stoi", "pystoi"), ("loudness_difference", "pyloudnorm")):
        monkeypatch.setitem(__import__("sys").modules, package, None)
        with pytest.raises(ConfigError, match=r"pip install .*\.\[eval\]"):
            METRICS[name](speech, speech, 16000)


def row_of(metric):
    low, high = ("" if bound is None else f"{bound:g}" for bound in (metric.low, metric.high))
    bounds = f"{low} to {high}" if high else f"{low} up" if low else "any"
    best = {True: "high", False: "low", None: "0"}[metric.higher_is_better]
    return f"| `{metric.name}` | {metric.unit} | {bounds} | {best} | {metric.rate} | {metric.source} |"


def test_the_page_has_the_facts_of_every_metric():
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    table = page.partition("| metric | unit | range | best | rate | source |\n")[2].splitlines()[1:]
    assert table == [row_of(metric) for metric in METRICS.values()]


def test_every_metric_tells_its_source_range_and_rate():
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.title
        assert metric.source
        assert metric.rate


def test_long_clips_of_many_utterances_are_scored_in_pieces(speech):
    """The package pesq ends the process at 50 utterances and more."""
    word = np.concatenate([speech[20000:23200], np.zeros(4000, np.float32)])
    long = np.tile(word, 140)
    assert 1 < pesq_wb(long, noisy(long, 20), 16000) < 4.64
    assert visqol.rate == "16 kHz"
