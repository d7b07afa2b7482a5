"""Whether a rendering sounds like the same speaker: how alike two embeddings are.

Extra `judges`, and resemblyzer without what it asks for besides: `pip install --no-deps resemblyzer`.
"""

import types
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import Wave
from vqcodec.errors import ConfigError
from vqcodec.metrics.metric import Metric, UndefinedError, missing, resampled, stand_in

_ANALYSIS_HZ = 16000
_LEAST_SAMPLES = _ANALYSIS_HZ // 2
"""Speech that there must be, once pauses are cut out."""


def _similarity(wave: Wave, wave_hat: Wave, rate_hz: int) -> float:
    """The cosine: embeddings have length 1 and no number below 0."""
    embeddings = [
        _embedding(x.tobytes(), rate_hz, whose) for x, whose in ((wave, "the original"), (wave_hat, "wave_hat"))
    ]
    return float(embeddings[0] @ embeddings[1])


@lru_cache(maxsize=4)
def _embedding(samples: bytes, rate_hz: int, whose: str) -> NDArray[np.float32]:
    """Embed an original once for many codecs."""
    wave = np.clip(resampled(np.frombuffer(samples, np.float32), rate_hz, _ANALYSIS_HZ), -1, 1)
    package = _package()
    speech = package.preprocess_wav(wave) if wave.any() else wave[:0]
    if len(speech) < _LEAST_SAMPLES:
        raise UndefinedError(f"{whose} has no 0.5 s of speech to know a speaker by")
    embedding: NDArray[np.float32] = _encoder(package).embed_utterance(speech)
    return embedding


@lru_cache(maxsize=1)
def _encoder(package: types.ModuleType) -> Any:
    return package.VoiceEncoder("cpu", verbose=False)


def _package() -> types.ModuleType:
    """Resemblyzer, whose webrtcvad asks setuptools for its own version in a way that is gone from there."""
    asked = types.ModuleType("pkg_resources")
    asked.get_distribution = lambda name: types.SimpleNamespace(version="")  # type: ignore[attr-defined]
    try:
        with stand_in(asked), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # where it takes a function of scipy from
            import resemblyzer
    except ImportError as error:
        if (error.name or "resemblyzer").partition(".")[0] == "resemblyzer":
            raise ConfigError("this metric needs resemblyzer; pip install --no-deps resemblyzer") from None
        raise missing(str(error.name), "judges") from None
    package: types.ModuleType = resemblyzer
    return package


speaker_similarity = Metric(
    name="speaker_similarity",
    title="speaker similarity",
    unit="",
    low=0.0,
    high=1.0,
    higher_is_better=True,
    rate="16 kHz",
    source="cosine of embeddings by GE2E, Wan et al. 2018, package resemblyzer, pauses cut out",
    compute=_similarity,
)
