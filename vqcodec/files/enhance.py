"""Audio files -> audio files by way of codes: what an enhancer hears in them, and what comes back."""

import tempfile
from typing import Unpack

from vqcodec.bitstream import VqcReader
from vqcodec.files.convert import Summary, decode_file, encode_file
from vqcodec.files.request import EncodeOptions, EncodeRequest, Source, check_target
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
