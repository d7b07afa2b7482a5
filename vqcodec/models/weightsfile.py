"""The file of a model's weights: safetensors with the architecture as JSON in the header, named by its SHA-256.

No torch here: `weights` makes a Codec of such a file, `OnnxCodec` lets onnxruntime read it. The fingerprint of a model
is the SHA-256 of its file; a .vqc carries the first bytes of it.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.errors import ModelError

FORMAT = "vqcodec-weights-1"
"""The one key in the metadata of a weights file (safetensors keeps no order of several); its value is the config."""
MODEL_TYPE = "vqcodec"
"""What config.json in a folder on a model hub calls a model of this package."""
ENTROPY_PREFIX = "entropy."
"""Start of the names of the entropy model's tensors, which are integers."""


@dataclass(frozen=True)
class TensorPlace:
    """Where a tensor lies in the file: safetensors' name of its type, and its bytes."""

    dtype: str
    offset: int
    length: int


def file_digest(path: str | Path, *, expected_sha256: str | None = None) -> bytes:
    """SHA-256 of a file, 32 bytes. Raises ModelError if it cannot be read or is not the expected one (hex)."""
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise ModelError(f"{path}: cannot read the weights ({error.strerror}); give a model name or a file") from None
    if expected_sha256 is not None and digest.hexdigest() != expected_sha256:
        raise ModelError(
            f"{path}: SHA-256 is {digest.hexdigest()}, expected {expected_sha256}; reinstall or fetch it again"
        )
    return digest.digest()


def read_config(path: str | Path) -> dict[str, Any]:
    """The architecture in the header of a weights file, as it was saved. Raises ModelError for a foreign file."""
    with _opened(path) as file:
        metadata = file.metadata() or {}
    if FORMAT not in metadata:
        raise ModelError(f"{path}: its metadata has no {FORMAT!r}; give weights that this vqcodec made")
    try:
        config = json.loads(metadata[FORMAT])
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise ModelError(f"{path}: the header has no readable config; the file is damaged")
    return config


def find_in_folder(folder: Path) -> tuple[Path, str | None] | None:
    """The weights file in a folder of `export_hub` and the SHA-256 (hex) that its config.json names.

    Without a config.json of ours the one weights file in the folder, and None. None if there is nothing of ours.
    Raises ModelError for a config.json of ours that is damaged or names what is not there.
    """
    facts = _published_facts(folder / "config.json")
    if facts is None:
        files = list(folder.glob("*.safetensors"))
        return (files[0], None) if len(files) == 1 and _is_ours(files[0]) else None
    name, sha256 = facts.get("weights"), facts.get("sha256")
    if not isinstance(name, str) or Path(name).name != name or not isinstance(sha256, str):
        raise ModelError(f"{folder / 'config.json'}: names no weights and their SHA-256; export the folder again")
    if not os.path.isfile(folder / name):  # False as well for names that no path can have
        raise ModelError(f"{folder}: its config.json names {name[:60]!r}, which is not there; fetch the folder again")
    return folder / name, sha256


def _published_facts(path: Path) -> dict[str, Any] | None:
    """What a config.json says, if there is one and it is of vqcodec."""
    if not path.is_file():
        return None
    try:
        facts = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        raise ModelError(f"{path}: no readable JSON; fetch the folder again") from None
    return facts if isinstance(facts, dict) and facts.get("model_type") == MODEL_TYPE else None


def _is_ours(path: Path) -> bool:
    try:
        read_config(path)
    except ModelError:
        return False
    return True


def read_entropy(path: str | Path, codebook_size: int) -> EntropyModel | None:
    """The entropy model of a weights file, if it has one. Raises ModelError for a wrong one."""
    with _opened(path) as file:
        names = [name for name in file.keys() if name.startswith(ENTROPY_PREFIX)]  # noqa: SIM118 - not a dict
        tensors = {name.removeprefix(ENTROPY_PREFIX): file.get_tensor(name) for name in names}
    if not tensors:
        return None
    try:
        model = EntropyModel(tensors)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    if model.codebook_size != codebook_size:
        raise ModelError(f"{path}: the entropy model has {model.codebook_size} codes, the codec {codebook_size}")
    return model


def tensor_places(path: str | Path) -> Mapping[str, TensorPlace]:
    """Where the tensors of a weights file lie: after eight bytes of length and the JSON header of that length."""
    with open(path, "rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(header_bytes))
    header.pop("__metadata__", None)
    places = {}
    for name, entry in header.items():
        first, end = entry["data_offsets"]
        places[name] = TensorPlace(entry["dtype"], 8 + header_bytes + first, end - first)
    return places


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    """safetensors' view of the file, with arrays of numpy."""
    try:
        with safe_open(str(path), framework="numpy") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a weights file ({error}); give a .safetensors of vqcodec") from None
