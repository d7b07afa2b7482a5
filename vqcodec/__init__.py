"""vqcodec: neural audio compression. Names load on first use, so that importing the package needs no torch."""

import sys
import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any, cast

from vqcodec.errors import VqcodecError

if TYPE_CHECKING:
    from vqcodec.files.convert import compress, decode_file, decompress, encode_file
    from vqcodec.files.enhance import convert_file, enhance_file
    from vqcodec.files.foreign.importing import import_codes
    from vqcodec.files.live import decode_live, encode_live
    from vqcodec.models.codec import Codec
    from vqcodec.models.zoo import load, load_onnx
    from vqcodec.sessions.depacketizer import Depacketizer, depacketize
    from vqcodec.sessions.packetizer import Packetizer, packetize
    from vqcodec.sessions.stream import DecodeSession, EncodeSession
    from vqcodec.tokens.prior.generating import generate_file

__version__ = "0.2.0"

__all__ = [
    "Codec",
    "DecodeSession",
    "Depacketizer",
    "EncodeSession",
    "Packetizer",
    "VqcodecError",
    "__version__",
    "compress",
    "convert_file",
    "decode_file",
    "decode_live",
    "decompress",
    "depacketize",
    "encode_file",
    "encode_live",
    "enhance_file",
    "generate_file",
    "import_codes",
    "load",
    "load_onnx",
    "packetize",
]

_HOMES = {
    "Codec": "vqcodec.models.codec",
    "DecodeSession": "vqcodec.sessions.stream",
    "Depacketizer": "vqcodec.sessions.depacketizer",
    "EncodeSession": "vqcodec.sessions.stream",
    "Packetizer": "vqcodec.sessions.packetizer",
    "compress": "vqcodec.files.convert",
    "convert_file": "vqcodec.files.enhance",
    "decode_file": "vqcodec.files.convert",
    "decode_live": "vqcodec.files.live",
    "decompress": "vqcodec.files.convert",
    "depacketize": "vqcodec.sessions.depacketizer",
    "encode_file": "vqcodec.files.convert",
    "encode_live": "vqcodec.files.live",
    "enhance_file": "vqcodec.files.enhance",
    "generate_file": "vqcodec.tokens.prior.generating",
    "import_codes": "vqcodec.files.foreign.importing",
    "load": "vqcodec.models.zoo",
    "load_onnx": "vqcodec.models.zoo",
    "packetize": "vqcodec.sessions.packetizer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vqcodec' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__


_MOVED = {
    "vqcodec.adapters": "vqcodec.models.adapters",
    "vqcodec.architecture": "vqcodec.models.architecture",
    "vqcodec.config": "vqcodec.training.config",
}


class _FormerModules:
    """Imports modules that have moved by their former names, with a warning, until version 0.3."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Say that this imports `name`, if it is a former name; see importlib.abc.MetaPathFinder."""
        # An importlib.abc.Loader in all but its base, which takes longer to import than all this.
        return ModuleSpec(name, cast(Any, self)) if name in _MOVED else None

    def create_module(self, _spec: ModuleSpec) -> None:
        """Leave making the module to importlib."""

    def exec_module(self, module: Any) -> None:
        """Fill the module with what stands in its present one, and warn."""
        now = _MOVED[module.__name__]
        warnings.warn(f"{module.__name__} is {now} now", DeprecationWarning, stacklevel=2)
        names = vars(import_module(now)).items()
        vars(module).update({name: value for name, value in names if not name.startswith("__")})


sys.meta_path.append(_FormerModules())
