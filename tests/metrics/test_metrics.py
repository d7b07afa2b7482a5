import numpy as np
import pytest

from vqcodec.errors import ConfigError
from vqcodec.metrics import METRICS, estoi, pesq_wb, si_sdr, stoi


def noisy(speech, snr_db):
    noise = np.random.default_rng(0).normal(0, 1, len(speech))
    gain = np.sqrt(np.mean(speech**2)) / 10 ** (snr_db / 20)
    return (speech + gain * noise).astype(np.float32)


@pytest.mark.parametrize("name", ["pesq_wb", "stoi", "estoi", "si_sdr"])
def test_less_noise_scores_better(speech, name):
    scores = [METRICS[name](speech, noisy(speech, snr_db), 16000) for snr_db in (0, 10, 20, 30)]
    assert scores == sorted(scores)
    assert scores[0] < scores[-1]


def test_perfect_copies_score_at_the_top(speech):
    assert pesq_wb(speech, speech, 16000) > 4.6
    assert stoi(speech, speech, 16000) == pytest.approx(1, abs=1e-6)
    assert estoi(speech, speech, 16000) == pytest.approx(1, abs=1e-6)


def test_si_sdr_is_its_definition_and_ignores_the_level(speech):
    assert si_sdr(speech, noisy(speech, 10), 16000) == pytest.approx(10, abs=0.1)
    assert si_sdr(speech, 0.1 * noisy(speech, 10), 16000) == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize("name", ["pesq_wb", "stoi", "estoi", "si_sdr"])
def test_silence_is_not_a_number_rather_than_an_error(speech, name):
    silence = np.zeros_like(speech)
    assert np.isnan(METRICS[name](silence, silence, 16000))


@pytest.mark.slow
def test_visqol_prefers_less_noise(speech):
    pytest.importorskip("visqol")
    assert METRICS["visqol"](speech, noisy(speech, 5), 16000) < METRICS["visqol"](speech, noisy(speech, 30), 16000)


def test_a_missing_package_names_the_extra(speech, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pesq", None)
    with pytest.raises(ConfigError, match=r"vqcodec\[eval\]"):
        pesq_wb(speech, speech, 16000)
