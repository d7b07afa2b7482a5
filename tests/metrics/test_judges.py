import builtins
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import soxr
import torch

from vqcodec.errors import ConfigError
from vqcodec.metrics import distill_mos

needs_distillmos = pytest.mark.skipif(find_spec("distillmos") is None, reason="distillmos is not installed")


def noisy(speech, snr_db):
    noise = np.random.default_rng(0).normal(0, np.sqrt(np.mean(speech**2)), len(speech))
    return (speech + noise / 10 ** (snr_db / 20)).astype(np.float32)


@needs_distillmos
def test_distill_mos_is_the_package(speech):
    import distillmos

    model = distillmos.ConvTransformerSQAModel().eval()
    coded = noisy(speech, 20)
    with torch.inference_mode():
        expected = [model(torch.from_numpy(wave)[None]).item() for wave in (coded, soxr.resample(coded, 16000, 8000))]
    assert distill_mos(speech, coded, 16000) == pytest.approx(expected[0], abs=1e-3)
    wave, wave_hat = (soxr.resample(x, 16000, 24000) for x in (speech, coded))
    assert distill_mos(wave, wave_hat, 24000) == pytest.approx(expected[0], abs=0.1)  # resampled to and fro


@needs_distillmos
def test_less_noise_is_better_and_the_original_does_not_count(speech):
    scores = [distill_mos(speech, noisy(speech, snr_db), 16000) for snr_db in (0, 10, 20, 30)]
    assert scores == sorted(scores)
    assert 1 <= scores[0] < scores[-1] - 1 < 4
    assert distill_mos(speech[::-1].copy(), noisy(speech, 20), 16000) == scores[2]


@needs_distillmos
def test_what_cannot_be_judged_says_why(speech):
    assert "a second" in distill_mos.measure(speech[:15999], speech[:15999], 16000).reason
    assert "wave_hat is silent" in distill_mos.measure(speech, np.zeros_like(speech), 16000).reason


@needs_distillmos
@pytest.mark.parametrize("error", [ImportError, OSError])
def test_a_torchaudio_that_does_not_load_is_not_needed(speech, monkeypatch, error):
    for name in [name for name in sys.modules if name.partition(".")[0] in ("distillmos", "xls_r_sqa", "torchaudio")]:
        monkeypatch.delitem(sys.modules, name)
    load = builtins.__import__

    def without(name, *arguments, **options):
        if name == "torchaudio" and name not in sys.modules:
            raise error("its library is of another torch")
        return load(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert 1 <= distill_mos(speech, speech, 16000) <= 5
    assert "torchaudio" not in sys.modules


def test_a_missing_package_names_the_extra(speech, monkeypatch):
    monkeypatch.setitem(sys.modules, "distillmos", None)
    with pytest.raises(ConfigError, match=r"needs distillmos; pip install .*\.\[judges\]"):
        distill_mos(speech, speech, 16000)
