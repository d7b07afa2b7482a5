"""Weights files: safetensors with the architecture as JSON in the header, named by their SHA-256. No pickle.

The fingerprint of a model is the SHA-256 of its file; a .vqc file carries the first bytes of it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vqcodec.atomic import atomic_output
from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.codec import Codec
from vqcodec.config import ModelConfig, validate
from vqcodec.errors import ModelError

FORMAT = "vqcodec-weights-1"
"""The one key in the metadata of a weights file (safetensors keeps no order of several); its value is the config."""

_ENTROPY = "entropy."
"""Start of the names of the entropy model's tensors, which are integers."""
_TRAINING_STATE = (".count", ".sums")
"""Ends of the names of codebook statistics, which only training needs."""


def save_weights(
    config: ModelConfig,
    state: dict[str, Tensor],
    path: str | Path,
    *,
    dtype: torch.dtype = torch.float16,
    entropy: Mapping[str, NDArray[Any]] | None = None,
) -> str:
    """Write the state of a Codec of `config` to `path` and return its SHA-256 in hex. Replaces an older file.

    `entropy`: the tensors of its EntropyModel.
    """
    tensors = {
        name: value.detach().to("cpu", dtype).contiguous()
        for name, value in state.items()
        if not name.endswith(_TRAINING_STATE)
    }
    tensors |= {_ENTROPY + name: torch.from_numpy(value) for name, value in (entropy or {}).items()}
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
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a weights file ({error}); give a .safetensors of vqcodec") from None
    codec = Codec(read_model_config(metadata, where=str(path)))
    state = {name: value.float() for name, value in tensors.items() if not name.startswith(_ENTROPY)}
    load_state(codec, state, where=str(path))
    codec.entropy = _entropy_model(tensors, codec.codebook_size, where=str(path))
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


def _entropy_model(tensors: dict[str, Tensor], codebook_size: int, *, where: str) -> EntropyModel | None:
    """The entropy model among the tensors of a weights file, if it has one. Raises ModelError for a wrong one."""
    own = {name.removeprefix(_ENTROPY): value.numpy() for name, value in tensors.items() if name.startswith(_ENTROPY)}
    if not own:
        return None
    try:
        model = EntropyModel(own)
    except ModelError as error:
        raise ModelError(f"{where}: {error}") from None
    if model.codebook_size != codebook_size:
        raise ModelError(f"{where}: the entropy model has {model.codebook_size} codes, the codec {codebook_size}")
    return model


def _sha256(path: str | Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the weights ({error.strerror}); give a model name or a file") from None
