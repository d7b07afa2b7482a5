"""Opus at the lowest rates of wide band, enhanced at the receiver by LACE or NoLACE of libopus 1.5.

The decoder is the package ogg-opus-decoder for node, from a folder of the user's.
"""

import hashlib
import shlex
from importlib import resources
from pathlib import Path

from vqcodec.errors import ConfigError, UnavailableError
from vqcodec.evaluation.codecs.programs import OPUSENC_WB, Program, ProgramCodec
from vqcodec.texts import read_json_object

ENHANCERS = {"opus-lace": "lace", "opus-nolace": "nolace"}
"""What the decoder calls them, by the name before the folder."""

_PACKAGE = "ogg-opus-decoder"


def open_enhanced(spec: str) -> ProgramCodec:
    """Open opus-lace:FOLDER or opus-nolace:FOLDER, where `npm install ogg-opus-decoder` has been run.

    Raises ConfigError without a folder, UnavailableError where node, opusenc or the package is not there.
    """
    name, _, folder = spec.partition(":")
    if not folder:
        raise ConfigError(f"{name} needs the folder that has {_PACKAGE} of npm; give {name}:FOLDER")
    try:
        facts = read_json_object(Path(folder) / "node_modules" / _PACKAGE / "package.json")
    except (OSError, ValueError):
        raise UnavailableError(
            f"{name} needs {_PACKAGE} in {folder}; npm install --prefix {folder} {_PACKAGE}"
        ) from None
    script = resources.files("vqcodec.evaluation.codecs.rivals") / "opus_ml.mjs"
    encode = OPUSENC_WB.template.partition(";")[0]
    paths = [shlex.quote(str(path)) for path in (script, folder)]
    decode = f"node {' '.join(paths)} {ENHANCERS[name]} {{rate}} {{bits}} {{out}}"
    codec = ProgramCodec(
        Program(
            name=name,
            template=f"{encode}; {decode}",
            package="opus-tools nodejs",
            rates_hz=OPUSENC_WB.rates_hz,
            limits_kbps=OPUSENC_WB.limits_kbps,
            suffix=OPUSENC_WB.suffix,
            payload_bytes=OPUSENC_WB.payload_bytes,
        )
    )
    parts = f"{encode} {facts.get('version')} {ENHANCERS[name]}", script.read_text(encoding="utf-8")
    codec.version = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return codec
