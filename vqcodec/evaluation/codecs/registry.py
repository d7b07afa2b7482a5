"""Codecs by what a user calls them: a name of the table, a weights file, `hf:FOLDER`, or an external's name.

`fixed:` before one of our models leaves entropy coding out, `abr:` lets its rate follow the sound; `opus-lace:` stands
before a folder of npm, `lyra:` before one of its graphs.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from vqcodec.errors import ConfigError, ModelError, UnavailableError
from vqcodec.evaluation.codecs.codec_under_test import CodecUnderTest
from vqcodec.evaluation.codecs.library import FlacCodec, Mp3Codec, NeuralCodec, OpusCodec, PcmCodec
from vqcodec.evaluation.codecs.programs import CODEC2, LC3, OPUSENC, OPUSENC_WB, SPEEX, Program, ProgramCodec
from vqcodec.evaluation.codecs.rivals.amrwb import AmrWbCodec
from vqcodec.evaluation.codecs.rivals.lyra import LYRA, open_lyra
from vqcodec.evaluation.codecs.rivals.opus_ml import ENHANCERS, open_enhanced
from vqcodec.models.hub import PREFIX
from vqcodec.models.zoo import MODELS
from vqcodec.system.plugins import PluginTable

CODECS: PluginTable[Callable[[], CodecUnderTest]] = PluginTable(
    {
        **{name: partial(NeuralCodec, name) for name in MODELS},
        "opus": OpusCodec,
        "mp3": Mp3Codec,
        "flac": FlacCodec,
        "pcm": PcmCodec,
        "opusenc": partial(ProgramCodec, OPUSENC),
        "opusenc-wb": partial(ProgramCodec, OPUSENC_WB),
        "codec2": partial(ProgramCodec, CODEC2),
        "speex": partial(ProgramCodec, SPEEX),
        "lc3": partial(ProgramCodec, LC3),
        "amr-wb": AmrWbCodec,
    }
)
"""Every codec that has a name of its own; a new one is a line here."""

_OF_FOLDERS: Mapping[str, Callable[[str], CodecUnderTest]] = {
    **dict.fromkeys(ENHANCERS, open_enhanced),
    LYRA: open_lyra,
}
"""What opens NAME:FOLDER, by the name."""

_FIXED_WIDTH, _AVERAGE = "fixed:", "abr:"


def open_codec(spec: str, externals: Mapping[str, str] | None = None) -> CodecUnderTest:
    """Return the codec that `spec` names; the same arguments open it in another process as well.

    externals: templates of command lines (see `templates`) by name. Raises UnavailableError for what is not installed
    here, ModelError for damaged weights, ConfigError for a name that is none, with those that are.
    """
    externals = externals or {}
    if spec in externals:
        if spec in CODECS:
            raise ConfigError(f"{spec} is a codec already; give the external another name")
        return ProgramCodec(Program(name=spec, template=externals[spec]))
    if spec in CODECS:
        return CODECS[spec]()
    if (open_folder := _OF_FOLDERS.get(spec.partition(":")[0])) is not None:
        return open_folder(spec)
    if spec.startswith(PREFIX):
        return _of_a_hub(spec)
    if spec.startswith(_FIXED_WIDTH) and _is_ours(spec.removeprefix(_FIXED_WIDTH)):
        return NeuralCodec(spec.removeprefix(_FIXED_WIDTH), fixed_width=True)
    if spec.startswith(_AVERAGE) and _is_ours(spec.removeprefix(_AVERAGE)):
        return NeuralCodec(spec.removeprefix(_AVERAGE), average=True)
    if _is_ours(spec):
        return NeuralCodec(spec)
    names = ", ".join([*CODECS, *(f"{name}:FOLDER" for name in _OF_FOLDERS), *externals])
    raise ConfigError(f"{spec!r} is no codec: give one of {names}, a weights file or {PREFIX}FOLDER")


def _of_a_hub(spec: str) -> CodecUnderTest:
    """Raises UnavailableError where it cannot be had: the other codecs of a run need not wait for it."""
    try:
        return NeuralCodec(spec)
    except ModelError as error:
        raise UnavailableError(str(error)) from None


def _is_ours(spec: str) -> bool:
    return spec in MODELS or Path(spec).suffix == ".safetensors" or (Path(spec) / "model.safetensors").is_file()


def parse_spec(text: str) -> tuple[str, list[float] | None]:
    """Parse `SPEC@RATE/RATE` -> the spec and its rates in kbps; None without "@". Raises ConfigError for a bad rate."""
    spec, at, rates = text.rpartition("@")
    if not at or Path(text.removeprefix(PREFIX)).exists():
        return text, None
    try:
        kbps = [float(rate) for rate in rates.split("/")]
    except ValueError:
        kbps = []
    if not spec or not kbps or not all(0 < rate < math.inf for rate in kbps):
        raise ConfigError(f"{text!r}: after @ stand rates in kbps, as in opus@6/8/12")
    return spec, kbps
