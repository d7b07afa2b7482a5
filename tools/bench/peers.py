"""The architectures of other codecs with random weights, from transformers: their time does not depend on them."""

from collections.abc import Callable
from typing import Any

import torch
from measure import speech
from transformers import DacConfig, DacModel, EncodecConfig, EncodecModel, MimiConfig, MimiModel
from transformers.utils import logging

PEERS = ("EnCodec 24 kHz", "Mimi", "DAC 16 kHz")


def peer_jobs(seconds: float) -> dict[str, Callable[[], object]]:
    """Encode and decode of each peer, "NAME encode" and "NAME decode", on `seconds` of audio at its rate."""
    logging.set_verbosity_error()
    dac = DacConfig(sampling_rate=16000, downsampling_ratios=[2, 4, 5, 8], n_codebooks=12)
    models = (EncodecModel(EncodecConfig()), MimiModel(MimiConfig()), DacModel(dac))
    jobs: dict[str, Callable[[], object]] = {}
    for name, model in zip(PEERS, models, strict=True):
        wave = torch.from_numpy(speech(model.config.sampling_rate, seconds))[None, None]
        jobs |= _jobs(name, model.eval(), wave)
    return jobs


def _jobs(name: str, model: Any, wave: torch.Tensor) -> dict[str, Callable[[], object]]:
    options = {"bandwidth": 6.0} if name.startswith("EnCodec") else {}

    def encode() -> Any:
        with torch.inference_mode():
            return model.encode(wave, **options)

    encoded = encode()
    inputs = {"audio_codes": encoded.audio_codes}
    if name.startswith("EnCodec"):
        inputs["audio_scales"] = encoded.audio_scales

    def decode() -> object:
        with torch.inference_mode():
            return model.decode(**inputs)

    return {f"{name} encode": encode, f"{name} decode": decode}
