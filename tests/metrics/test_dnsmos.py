from importlib.util import find_spec

import numpy as np
import pytest
import soxr

from vqcodec.errors import ConfigError
from vqcodec.metrics import METRICS
from vqcodec.metrics.dnsmos import DNSMOS_METRICS

needs_speechmos = pytest.mark.skipif(find_spec("speechmos") is None, reason="speechmos is not installed")
ANSWERS = {"dnsmos_p808": "p808_mos", "dnsmos_sig": "sig_mos", "dnsmos_bak": "bak_mos", "dnsmos_ovrl": "ovrl_mos"}


def noisy(speech, snr_db):
    noise = np.random.default_rng(0).normal(0, np.sqrt(np.mean(speech**2)), len(speech))
    return (speech + noise / 10 ** (snr_db / 20)).astype(np.float32)


@needs_speechmos
@pytest.mark.parametrize("seconds", [3, 11])
def test_each_is_the_package(speech, seconds):
    """Shorter than a window, and longer than two."""
    from speechmos import dnsmos

    coded = np.resize(noisy(speech, 20), seconds * 16000)
    expected = dnsmos.run(coded, 16000)
    for name, answer in ANSWERS.items():
        assert METRICS[name](coded, coded, 16000) == pytest.approx(float(expected[answer]), abs=1e-3), name


@needs_speechmos
def test_another_rate_is_resampled_to_that_of_the_package(speech):
    from speechmos import dnsmos

    wave = soxr.resample(speech, 16000, 24000)
    expected = dnsmos.run(soxr.resample(wave, 24000, 16000), 16000)["p808_mos"]
    assert METRICS["dnsmos_p808"](wave, wave, 24000) == pytest.approx(float(expected), abs=1e-3)


@needs_speechmos
def test_less_noise_is_better_and_the_original_does_not_count(speech):
    for metric in DNSMOS_METRICS:
        worse, better = (metric(speech, noisy(speech, snr_db), 16000) for snr_db in (0, 40))
        assert 1 <= worse < better - 0.5 < 4.5, metric.name
        assert metric(speech[::-1].copy(), noisy(speech, 40), 16000) == better


@needs_speechmos
def test_what_cannot_be_judged_says_why(speech):
    for metric in DNSMOS_METRICS:
        assert "a second" in metric.measure(speech[:15999], speech[:15999], 16000).reason
        assert "wave_hat is silent" in metric.measure(speech, np.zeros_like(speech), 16000).reason


@needs_speechmos
def test_a_rendering_beyond_full_scale_is_heard_clipped(speech):
    loud = 4 * speech / np.abs(speech).max()
    scores = [DNSMOS_METRICS[0](speech, wave, 16000) for wave in (loud, np.clip(loud, -1, 1))]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("package", ["speechmos", "librosa"])
def test_a_missing_package_names_the_extra(speech, monkeypatch, package):
    import sys

    if package == "librosa" and find_spec("speechmos") is None:
        pytest.skip("speechmos is not installed")
    for name in [name for name in sys.modules if name.partition(".")[0] == "speechmos"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"needs {package}; pip install .*\.\[judges\]"):
        DNSMOS_METRICS[0](speech[::-1].copy(), speech[::-1].copy(), 16000)
