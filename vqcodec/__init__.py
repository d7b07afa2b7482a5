"""vqcodec: neural audio compression. Names load on first use, so that importing the package needs no torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vqcodec.errors import VqcodecError

if TYPE_CHECKING:
    from vqcodec.codec import Codec
    from vqcodec.convert import compress, decode_file, decompress, encode_file
    from vqcodec.foreign.importing import import_codes
    from vqcodec.live import decode_live, encode_live
    from vqcodec.packets import Depacketizer, depacketize, packetize
    from vqcodec.stream import DecodeSession, EncodeSession
    from vqcodec.zoo import load, load_onnx

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
    "Codec": "vqcodec.codec",
    "DecodeSession": "vqcodec.stream",
    "Depacketizer": "vqcodec.packets",
    "EncodeSession": "vqcodec.stream",
    "compress": "vqcodec.convert",
    "decode_file": "vqcodec.convert",
    "decode_live": "vqcodec.live",
    "decompress": "vqcodec.convert",
    "depacketize": "vqcodec.packets",
    "encode_file": "vqcodec.convert",
    "encode_live": "vqcodec.live",
    "import_codes": "vqcodec.foreign.importing",
    "load": "vqcodec.zoo",
    "load_onnx": "vqcodec.zoo",
    "packetize": "vqcodec.packets",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vqcodec' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
