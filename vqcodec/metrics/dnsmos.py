"""DNSMOS: networks that predict what listeners would say of a rendering alone. Extra `judges`.

Of P.808 they were asked how good it is, of P.835 how speech, background and both together are.
"""

import types
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vqcodec.arrays import Wave
from vqcodec.metrics.metric import Metric, UndefinedError, missing, resampled

_ANALYSIS_HZ = 16000


def _score(wave_hat: Wave, rate_hz: int, answer: str) -> float:
    """The original does not count."""
    if len(wave_hat) < rate_hz:
        raise UndefinedError("DNSMOS needs a second")
    if not wave_hat.any():
        raise UndefinedError("wave_hat is silent")
    return _answers(wave_hat.tobytes(), rate_hz)[answer]


@lru_cache(maxsize=1)
def _answers(samples: bytes, rate_hz: int) -> dict[str, float]:
    """What both networks say, of which each metric is a part."""
    wave = resampled(np.frombuffer(samples, np.float32), rate_hz, _ANALYSIS_HZ)
    said = _networks(_package())(np.clip(wave, -1, 1), _ANALYSIS_HZ, False)
    return {name: float(value) for name, value in said.items()}


@lru_cache(maxsize=1)
def _networks(package: types.ModuleType) -> Any:
    """The package's, on as many threads as torch has: by themselves they would take a thread per core."""
    import onnxruntime
    import torch

    folder = Path(str(package.__file__)).parent / "dnsmos_models"
    paths = [str(folder / name) for name in ("sig_bak_ovr.onnx", "model_v8.onnx")]
    networks = package.DNSMOS(*paths)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    networks.onnx_sess, networks.p808_onnx_sess = (onnxruntime.InferenceSession(path, options) for path in paths)
    return networks


def _package() -> types.ModuleType:
    try:
        from speechmos import dnsmos
    except ImportError as error:  # of the package, or of librosa or onnxruntime, which it does not declare
        raise missing((error.name or "speechmos").partition(".")[0], "judges") from None
    package: types.ModuleType = dnsmos
    return package


def _metric(name: str, title: str, answer: str, source: str) -> Metric:
    return Metric(
        name=f"dnsmos_{name}",
        title=f"DNSMOS {title}",
        unit="MOS",
        low=1.0,
        high=5.0,
        higher_is_better=True,
        rate="16 kHz",
        source=f"of the rendering alone; {source}, package speechmos; the mean over windows of 9 s",
        compute=lambda _wave, wave_hat, rate_hz: _score(wave_hat, rate_hz, answer),
    )


_P835 = "DNSMOS P.835, Reddy et al. 2022"
DNSMOS_METRICS = (
    _metric("p808", "P.808", "p808_mos", "DNSMOS, Reddy et al. 2021"),
    _metric("sig", "SIG", "sig_mos", f"the speech, {_P835}"),
    _metric("bak", "BAK", "bak_mos", f"the background, {_P835}"),
    _metric("ovrl", "OVRL", "ovrl_mos", f"all together, {_P835}"),
)
"""By P.808, and by P.835 the speech, the background and all together."""
