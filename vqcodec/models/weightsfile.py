"""The file of a model's weights: safetensors with the architecture as JSON in the header, named by its SHA-256.

No torch here: `weights` makes a Codec of such a file, `OnnxCodec` lets onnxruntime read it. The fingerprint of a model
is the SHA-256 of its file; a .vqc carries the first bytes of it.
"""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.errors import ConfigError, ModelError
from vqcodec.models.architecture import ModelConfig
from vqcodec.texts import parse_object, read_json_object

FORMAT = "vqcodec-weights-1"
"""The one key in the metadata of a weights file (safetensors keeps no order of several); its value is the config."""
MODEL_TYPE = "vqcodec"
"""What config.json in a folder on a model hub calls a model of this package."""
ENTROPY_PREFIX = "entropy."
"""Start of the names of the entropy model's tensors, which are integers."""


_INTEGERS = {
    "I8": "<i1",
    "U8": "<u1",
    "I16": "<i2",
    "U16": "<u2",
    "I32": "<i4",
    "U32": "<u4",
    "I64": "<i8",
    "U64": "<u8",
}
_DTYPES = _INTEGERS | {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
"""Types of tensors that numpy has, by the names that safetensors has for them."""
_MOST_HEADER_BYTES = 100_000_000
"""safetensors' own limit."""


@dataclass(frozen=True)
class TensorPlace:
    """Where a tensor lies in the file: safetensors' name of its type, its shape, and its bytes."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    length: int


class WeightsFile:
    """A weights file: found, opened, hashed and read once, and handed on to whoever makes an engine of it.

    path:        where it was
    fingerprint: SHA-256 of the file, 32 bytes
    config:      the architecture
    """

    def __init__(self, path: str | Path, *, expected_sha256: str | None = None) -> None:
        """Read the file at `path`.

        Raises ModelError if it cannot be read, is no weights file of vqcodec or has another SHA-256 than the expected
        one (hex), ConfigError for impossible values in its config.
        """
        self.path = Path(path)
        try:
            with open(path, "rb") as file:
                if expected_sha256 is None:  # what is no weights file may be large
                    _read_header(path, file, os.fstat(file.fileno()).st_size)
                    file.seek(0)
                self.data = file.read()
        except OSError as error:
            raise _unreadable(path, error) from None
        self.fingerprint = hashlib.sha256(self.data).digest()
        if expected_sha256 is not None and self.sha256 != expected_sha256:
            raise ModelError(
                f"{path}: SHA-256 is {self.sha256}, expected {expected_sha256}; reinstall or fetch it again"
            )
        contents = BytesIO(self.data)
        header = _read_header(path, contents, len(self.data))
        metadata = header.pop("__metadata__", {})
        self.config = ModelConfig.from_dict(_config(path, metadata), where=str(path))
        self.places = _places(path, header, contents.tell(), len(self.data))

    @property
    def sha256(self) -> str:
        """The fingerprint in hex."""
        return self.fingerprint.hex()

    @cached_property
    def entropy(self) -> EntropyModel | None:
        """The entropy model, if the file has one. Raises ModelError for a wrong one."""
        names = [name for name in self.places if name.startswith(ENTROPY_PREFIX)]
        if not names:
            return None
        tensors = {name.removeprefix(ENTROPY_PREFIX): self.array(name) for name in names}
        try:
            model = EntropyModel(tensors)
        except ModelError as error:
            raise ModelError(f"{self.path}: {error}") from None
        size = self.config.codebook_size
        if model.codebook_size != size:
            raise ModelError(f"{self.path}: the entropy model has {model.codebook_size} codes, the codec {size}")
        return model

    def array(self, name: str) -> NDArray[Any]:
        """Return a copy of a tensor, in the type that it is stored in. Raises ModelError for a type of no array."""
        stored = self.places[name]
        if (dtype := _DTYPES.get(stored.dtype)) is None:
            raise ModelError(f"{self.path}: {name[:60]!r} is of type {stored.dtype[:20]!r}")
        values = np.frombuffer(self.data, np.uint8, stored.length, stored.offset).copy()
        try:
            return values.view(dtype).reshape(stored.shape)
        except ValueError:
            raise _no_weights_file(self.path, f"{name[:60]!r} has {stored.length} bytes") from None


def file_digest(path: str | Path) -> bytes:
    """Hash any file of weights: SHA-256, 32 bytes. Raises ModelError if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise _unreadable(path, error) from None


def find_beside(folder: Path, fingerprint: bytes) -> WeightsFile | None:
    """Open the weights file in `folder` that `fingerprint`, the first bytes of its SHA-256, names; None without one."""
    for path in sorted(folder.glob("*.safetensors")):
        with contextlib.suppress(ModelError, ConfigError, OSError):
            facts = path.stat()
            if _is_ours(path) and _known_digest(path, facts.st_size, facts.st_mtime_ns).startswith(fingerprint):
                return WeightsFile(path)
    return None


@lru_cache(maxsize=64)
def _known_digest(path: Path, size_bytes: int, modified_ns: int) -> bytes:
    """`file_digest`, once for a file that many .vqc lie beside."""
    return file_digest(path)


def find_in_folder(folder: Path) -> WeightsFile | None:
    """Open the weights file in a folder of `export_hub`, which must have the SHA-256 that its config.json names.

    Without a config.json of ours it is the one weights file in the folder. None if there is nothing of ours. Raises
    ModelError for a config.json of ours that is damaged or names what is not there.
    """
    facts = _published_facts(folder / "config.json")
    if facts is None:
        files = list(folder.glob("*.safetensors"))
        return WeightsFile(files[0]) if len(files) == 1 and _is_ours(files[0]) else None
    name, sha256 = facts.get("weights"), facts.get("sha256")
    if not isinstance(name, str) or Path(name).name != name or not isinstance(sha256, str):
        raise ModelError(f"{folder / 'config.json'}: names no weights and their SHA-256; export the folder again")
    if not os.path.isfile(folder / name):  # False as well for names that no path can have
        raise ModelError(f"{folder}: its config.json names {name[:60]!r}, which is not there; fetch the folder again")
    return WeightsFile(folder / name, expected_sha256=sha256)


def _published_facts(path: Path) -> dict[str, Any] | None:
    """What a config.json says, if there is one and it is of vqcodec."""
    if not path.is_file():
        return None
    try:
        facts = read_json_object(path)
    except (OSError, ValueError):
        raise ModelError(f"{path}: no readable JSON; fetch the folder again") from None
    return facts if facts.get("model_type") == MODEL_TYPE else None


def _is_ours(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return FORMAT in _read_header(path, file, os.fstat(file.fileno()).st_size).get("__metadata__", {})
    except (ModelError, OSError):
        return False


def _read_header(path: str | Path, file: IO[bytes], size_bytes: int) -> dict[str, Any]:
    """The header of safetensors: its length in eight bytes, little-endian, and JSON. Raises ModelError."""
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(_MOST_HEADER_BYTES, size_bytes - 8):
        raise _no_weights_file(path, "no header")
    try:
        header = parse_object(file.read(length).decode("utf-8"))
        metadata = header.get("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError
    except ValueError:
        raise _no_weights_file(path, "no header") from None
    return header


def _config(path: str | Path, metadata: dict[str, str]) -> dict[str, Any]:
    """The architecture, as it was saved."""
    if FORMAT not in metadata:
        raise ModelError(f"{path}: its metadata has no {FORMAT!r}; give weights that this vqcodec made")
    try:
        return parse_object(metadata[FORMAT])
    except ValueError:
        raise ModelError(f"{path}: the header has no readable config; the file is damaged") from None


def _places(path: str | Path, header: Mapping[str, Any], start: int, size_bytes: int) -> dict[str, TensorPlace]:
    """Where each tensor lies; offsets in the header count from `start`, and leave no gaps. Raises ModelError."""
    places = {}
    for name, entry in header.items():
        try:
            (first, end), shape, dtype = entry["data_offsets"], entry["shape"], entry["dtype"]
            numbers = [first, end, *shape]
        except (KeyError, TypeError, ValueError):
            raise _no_weights_file(path, f"{name[:60]!r} has no place") from None
        if not all(type(value) is int and value >= 0 for value in numbers) or not isinstance(dtype, str):
            raise _no_weights_file(path, f"{name[:60]!r} has no place")
        places[name] = TensorPlace(dtype, tuple(shape), start + first, end - first)
    expected = start
    for tensor in sorted(places.values(), key=lambda tensor: (tensor.offset, tensor.length)):
        if tensor.offset != expected or tensor.length < 0:
            raise _no_weights_file(path, "its tensors overlap or leave gaps")
        expected += tensor.length
    if expected != size_bytes:
        raise _no_weights_file(path, f"its tensors end at byte {expected} of {size_bytes}")
    return places


def _unreadable(path: str | Path, error: OSError) -> ModelError:
    return ModelError(f"{path}: cannot read the weights ({error.strerror}); give a model name or a file")


def _no_weights_file(path: str | Path, why: str) -> ModelError:
    return ModelError(f"{path}: not a weights file ({why}); give a .safetensors of vqcodec")
