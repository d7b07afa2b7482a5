"""Audio files -> audio files by way of codes: what an enhancer hears in them, or with another's voice."""

import tempfile
from typing import Unpack

from vqcodec.bitstream import VqcReader
from vqcodec.errors import ConfigError
from vqcodec.files.convert import Summary, decode_file, encode_file
from vqcodec.files.request import EncodeOptions, EncodeRequest, Engines, Source, check_target
from vqcodec.models.effort import DEFAULT_EFFORT
from vqcodec.models.engine import Engine
from vqcodec.output import Target


def enhance_file(
    source: Source, target: Target, *, rate_hz: int | None = None, **options: Unpack[EncodeOptions]
) -> Summary:
    """Write the speech in an audio file, without noise, echo and clipping and with all bands that the model has.

    It is encoded with an enhancer and decoded. `rate_hz`: of the output; without it that of the input, and at least
    the model's. `options` as in `EncodeOptions`, where `enhance` is True without being said. Raises as `encode_file`
    and `decode_file`; a failing call leaves no file.
    """
    options["enhance"] = options.get("enhance") or True
    return _through_codes(source, target, rate_hz, options)


def convert_file(
    source: Source, target: Target, *, speaker: str, rate_hz: int | None = None, **options: Unpack[EncodeOptions]
) -> Summary:
    """Write what is said in an audio file in the voice of a `speaker`, one of those that the decoder of a model knows.

    It is encoded and decoded: the fewer codes in between, the less is left of who spoke, and of the words. `rate_hz` as
    in `enhance_file`; `options` as in `EncodeOptions`, where `model` is a name or a file, since a loaded one has its
    voice already. Raises as `encode_file` and `decode_file`, ModelError for a model that is not told who speaks,
    ConfigError for a speaker that it does not have; a failing call leaves no file.
    """
    request = EncodeRequest(**options)
    if isinstance(request.model, Engine):
        raise ConfigError("convert: this model is loaded; give its name or its file, or load it with the speaker")
    effort = DEFAULT_EFFORT if request.effort is None else request.effort
    options["engines"] = Engines(request.engine, request.device, effort, request.enhance, speaker)
    return _through_codes(source, target, rate_hz, options)


def _through_codes(source: Source, target: Target, rate_hz: int | None, options: EncodeOptions) -> Summary:
    """Encode and decode with one model, which `options` name."""
    request = EncodeRequest(**options)
    check_target(source, target, force=request.force)
    options["engines"] = engines = request.loader
    with tempfile.TemporaryFile(suffix=".vqc") as coded:
        encode_file(source, coded, **options)
        coded.seek(0)
        header = VqcReader(coded).header
        coded.seek(0)
        rate_hz = rate_hz or max(header.original_rate_hz, header.sample_rate_hz)
        return decode_file(coded, target, model=request.model, engines=engines, rate_hz=rate_hz, force=request.force)
