"""Networks that predict what listeners would say of a rendering alone. Training must never see them. Extra `judges`."""

import contextlib
import io
import sys
import types
from functools import lru_cache
from typing import Any

from vqcodec.arrays import Wave
from vqcodec.metrics.metric import Metric, UndefinedError, missing, resampled

_DISTILL_MOS_HZ = 16000


def _distill_mos(wave: Wave, wave_hat: Wave, rate_hz: int) -> float:
    """The original does not count."""
    import torch

    if len(wave_hat) < rate_hz:
        raise UndefinedError("Distill-MOS needs a second")
    if not wave_hat.any():
        raise UndefinedError("wave_hat is silent")
    model = _distill_mos_model(_distillmos())
    with torch.inference_mode():
        return float(model(torch.from_numpy(resampled(wave_hat, rate_hz, _DISTILL_MOS_HZ))[None]))


@lru_cache(maxsize=1)
def _distill_mos_model(package: types.ModuleType) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):  # it says where its weights are
        return package.ConvTransformerSQAModel().eval()


def _distillmos() -> types.ModuleType:
    """The package, also where torchaudio, with which it reads files, does not fit this torch or is not there."""
    if "distillmos" not in sys.modules and not _has_torchaudio():
        had = sys.modules.get("torchaudio")
        sys.modules["torchaudio"] = types.ModuleType("torchaudio")
        try:
            return _distillmos_itself()
        finally:
            sys.modules.pop("torchaudio")
            if had is not None:
                sys.modules["torchaudio"] = had
    return _distillmos_itself()


def _distillmos_itself() -> types.ModuleType:
    try:
        import distillmos
    except ImportError:
        raise missing("distillmos", "judges") from None
    package: types.ModuleType = distillmos
    return package


def _has_torchaudio() -> bool:
    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError):  # OSError: its library is of another torch
        return False
    return True


distill_mos = Metric(
    name="distill_mos",
    title="Distill-MOS",
    unit="MOS",
    low=1.0,
    high=5.0,
    higher_is_better=True,
    rate="16 kHz",
    source="of the rendering alone; Stahl and Gamper 2025, package distillmos",
    compute=_distill_mos,
)
