"""Weights files: safetensors with the architecture as JSON in the header, named by their SHA-256. No pickle.

The fingerprint of a model is the SHA-256 of its file; a .vqc file carries the first bytes of it.
"""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vqcodec.atomic import atomic_output
from vqcodec.codec import Codec
from vqcodec.config import ModelConfig, validate
from vqcodec.errors import ModelError

FORMAT = "vqcodec-weights-1"
"""The one key in the metadata of a weights file (safetensors keeps no order of several); its value is the config."""

_TRAINING_STATE = (".count", ".sums")
"""Ends of the names of codebook statistics, which only training needs."""


def save_weights(
    config: ModelConfig, state: dict[str, Tensor], path: str | Path, *, dtype: torch.dtype = torch.float16
) -> str:
    """Write the state of a Codec of `config` to `path` and return its SHA-256 in hex. Replaces an older file."""
    tensors = {
        name: value.detach().to("cpu", dtype).contiguous()
        for name, value in state.items()
        if not name.endswith(_TRAINING_STATE)
    }
    data = save(tensors, metadata={FORMAT: config.model_dump_json()})
    with atomic_output(path, force=True) as temporary:
        Path(temporary).write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def load_weights(path: str | Path, *, expected_sha256: str | None = None) -> Codec:
    """Build the Codec of a weights file, in evaluation mode, with its `fingerprint` set (32 bytes).

    Raises ModelError if the file is missing, no weights file, or its SHA-256 is not `expected_sha256`.
    """
    digest = _sha256(path)
    if expected_sha256 is not None and digest.hex() != expected_sha256:
        raise ModelError(f"{path}: SHA-256 is {digest.hex()}, expected {expected_sha256}; reinstall or fetch it again")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a weights file ({error}); give a .safetensors of vqcodec") from None
    codec = Codec(read_model_config(metadata, where=str(path)))
    load_state(codec, state, where=str(path))
    codec.fingerprint = digest
    return codec.eval()


def read_model_config(metadata: dict[str, str], *, where: str) -> ModelConfig:
    """The architecture in the header of a weights file. Raises ModelError for a foreign file."""
    if FORMAT not in metadata:
        raise ModelError(f"{where}: its metadata has no {FORMAT!r}; give weights that this vqcodec made")
    try:
        values = json.loads(metadata[FORMAT])
    except ValueError:
        raise ModelError(f"{where}: the header has no readable config; the file is damaged") from None
    return validate(ModelConfig, values, where=where)


def load_state(codec: Codec, state: dict[str, Tensor], *, where: str) -> None:
    """Load exported weights into `codec`; only training statistics may be absent. Raises ModelError."""
    try:
        missing, unexpected = codec.load_state_dict(state, strict=False)
    except RuntimeError as error:  # a tensor of another shape
        raise ModelError(f"{where}: weights do not fit the config ({' '.join(str(error).split())})") from None
    missing = [name for name in missing if not name.endswith(_TRAINING_STATE)]
    if missing or unexpected:
        raise ModelError(f"{where}: weights do not fit the config (missing {missing[:3]}, unknown {unexpected[:3]})")


def _sha256(path: str | Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the weights ({error.strerror}); give a model name or a file") from None
