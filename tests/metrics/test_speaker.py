import sys
import types
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from vqcodec.errors import ConfigError
from vqcodec.metrics import speaker_similarity
from vqcodec.metrics.metric import stand_in

needs_resemblyzer = pytest.mark.skipif(find_spec("resemblyzer") is None, reason="resemblyzer is not installed")


@pytest.fixture
def another():
    """Another speaker than the fixture speech, another sentence."""
    return soundfile.read(Path(__file__).parents[1] / "data" / "kerstin.flac", dtype="float32")[0]


@needs_resemblyzer
def test_it_is_the_package(speech, another):
    """With the volume that the package gives, and the pauses that it cuts out."""
    score = speaker_similarity(another, np.resize(speech, len(another)), 16000)
    import resemblyzer

    encoder = resemblyzer.VoiceEncoder("cpu", verbose=False)
    waves = [resemblyzer.preprocess_wav(wave) for wave in (another, np.resize(speech, len(another)))]
    expected = float(np.dot(*(encoder.embed_utterance(wave) for wave in waves)))
    assert score == pytest.approx(expected, abs=1e-3)
    assert 0 < score < 0.8


@needs_resemblyzer
def test_the_same_voice_is_alike_at_any_rate_and_another_is_not(speech, another):
    first, second = speech[:40000], speech[40000:80000]
    same, other = speaker_similarity(first, second, 16000), speaker_similarity(first, another[:40000], 16000)
    assert speaker_similarity(first, first, 16000) == pytest.approx(1, abs=1e-5)
    assert other < same - 0.1
    waves = [soxr.resample(wave, 16000, 24000) for wave in (first, second)]
    assert speaker_similarity(*waves, 24000) == pytest.approx(same, abs=0.05)


@needs_resemblyzer
def test_what_has_no_speaker_says_why(speech):
    noise = np.random.default_rng(0).normal(0, 1e-4, len(speech)).astype(np.float32)
    for wave_hat in (noise, np.zeros_like(speech)):
        assert "wave_hat has no 0.5 s of speech" in speaker_similarity.measure(speech, wave_hat, 16000).reason
    assert "the original has no 0.5 s" in speaker_similarity.measure(speech[:6000], speech[:6000], 16000).reason


@needs_resemblyzer
def test_the_way_in_which_webrtcvad_finds_its_version_is_not_needed(speech, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] in ("resemblyzer", "webrtcvad")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "pkg_resources", raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert speaker_similarity(speech[:32000], speech[:32000], 16000) == pytest.approx(1, abs=1e-5)
    assert "pkg_resources" not in sys.modules or find_spec("pkg_resources") is not None


def test_a_stand_in_is_there_for_a_while_and_never_instead_of_the_real_one():
    name = "vqcodec_stand_in"
    with stand_in(types.ModuleType(name)):
        assert sys.modules[name].__name__ == name
    assert name not in sys.modules
    for real in ("json", "pdb"):  # imported, or not yet
        with stand_in(types.ModuleType(real)):
            __import__(real)
            assert sys.modules[real].__spec__ is not None


def test_a_missing_package_is_named_with_its_way_in(speech, monkeypatch):
    """resemblyzer asks for a package that shadows a module of Python, so an extra cannot name it."""
    monkeypatch.setitem(sys.modules, "resemblyzer", None)
    with pytest.raises(ConfigError, match=r"needs resemblyzer; pip install --no-deps resemblyzer"):
        speaker_similarity(speech[5:], speech[5:], 16000)


@needs_resemblyzer
def test_what_the_package_needs_and_is_missing_is_named_with_the_extra(speech, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "resemblyzer"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    with pytest.raises(ConfigError, match=r"needs webrtcvad; pip install .*\.\[judges\]"):
        speaker_similarity(speech[6:], speech[6:], 16000)
