"""vqcodec: neural audio compression. Names load on first use, so that importing the package needs no torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vqcodec.errors import VqcodecError

if TYPE_CHECKING:
    from vqcodec.files.convert import compress, decode_file, decompress, encode_file
    from vqcodec.files.foreign.importing import import_codes
    from vqcodec.files.live import decode_live, encode_live
    from vqcodec.models.codec import Codec
    from vqcodec.models.zoo import load, load_onnx
    from vqcodec.sessions.packets import Depacketizer, depacketize, packetize
    from vqcodec.sessions.stream import DecodeSession, EncodeSession

__version__ = "0.2.0"

__all__ = [
    "Codec",
    "DecodeSession",
    "Depacketizer",
    "EncodeSession",
    "VqcodecError",
    "__version__",
    "compress",
    "decode_file",
    "decode_live",
    "decompress",
    "depacketize",
    "encode_file",
    "encode_live",
    "import_codes",
    "load",
    "load_onnx",
    "packetize",
]

_HOMES = {
    "Codec": "vqcodec.models.codec",
    "DecodeSession": "vqcodec.sessions.stream",
    "Depacketizer": "vqcodec.sessions.packets",
    "EncodeSession": "vqcodec.sessions.stream",
    "compress": "vqcodec.files.convert",
    "decode_file": "vqcodec.files.convert",
    "decode_live": "vqcodec.files.live",
    "decompress": "vqcodec.files.convert",
    "depacketize": "vqcodec.sessions.packets",
    "encode_file": "vqcodec.files.convert",
    "encode_live": "vqcodec.files.live",
    "import_codes": "vqcodec.files.foreign.importing",
    "load": "vqcodec.models.zoo",
    "load_onnx": "vqcodec.models.zoo",
    "packetize": "vqcodec.sessions.packets",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vqcodec' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
