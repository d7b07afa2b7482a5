"""Codecs to and from weights files. No pickle; `weightsfile` says what is in such a file."""

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.overrides import TorchFunctionMode
from typing_extensions import override

from vqcodec.errors import ModelError
from vqcodec.models.architecture import ModelConfig
from vqcodec.models.codec import Codec
from vqcodec.models.weightsfile import ENTROPY_PREFIX, FORMAT, WeightsFile
from vqcodec.nn.quantizers.codebook import Codebook
from vqcodec.output import atomic_output

_TRAINING_STATE = (".count", ".sums")
"""Ends of the names of codebook statistics, which only training needs."""
_SPARE_VALUES = 1 << 22
"""What a model may hold beside twice its weights: windows, and statistics of use."""
_MAKERS: dict[Callable[..., Any], Callable[..., int]] = {
    torch.full: lambda size, _value: math.prod(size),
    torch.eye: lambda rows, columns=None: rows * (rows if columns is None else columns),
    **dict.fromkeys(
        (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn),
        lambda *size: math.prod(size if len(size) != 1 or isinstance(size[0], int) else size[0]),
    ),
}
"""What makes the tensors of layers, and how many values from what it is called with."""


def save_weights(
    config: ModelConfig,
    state: dict[str, Tensor],
    path: str | Path,
    *,
    dtype: torch.dtype = torch.float16,
    entropy: Mapping[str, NDArray[Any]] | None = None,
) -> str:
    """Write the state of a Codec of `config` to `path` and return its SHA-256 in hex. Replaces an older file.

    `entropy`: the tensors of its EntropyModel. Raises ModelError for values that `dtype` cannot hold.
    """
    tensors = {
        name: value.detach().to("cpu", dtype).contiguous()
        for name, value in state.items()
        if not name.endswith(_TRAINING_STATE)
    }
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise ModelError(
                f"{path}: {name} has values beyond {str(dtype).removeprefix('torch.')}; train at a lower rate"
            )
    tensors |= {ENTROPY_PREFIX + name: torch.from_numpy(value) for name, value in (entropy or {}).items()}
    data = save(tensors, metadata={FORMAT: config.to_json()})
    with atomic_output(path, force=True) as temporary:
        Path(temporary).write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def save_voice(weights: WeightsFile, speaker: str, folder: str | Path) -> Path:
    """Write the model of `weights` with the voice of one of its speakers alone to `folder`, and return the file.

    It is a model like any other, of its own name and fingerprint: what it encodes and decodes again is converted.
    Raises ConfigError for a speaker that the model does not have.
    """
    codec = load_weights(weights)
    codec.speak_as(speaker)
    config = replace(codec.config, name=re.sub(r"[^\w.+-]", "_", f"{codec.config.name}-{speaker}")[:64])
    names = [name for name in weights.places if name.startswith(ENTROPY_PREFIX)]
    entropy = {name.removeprefix(ENTROPY_PREFIX): weights.array(name) for name in names}
    path = Path(folder) / f"{config.name}.safetensors"
    save_weights(config, codec.state_dict(), path, entropy=entropy)
    return path


def load_weights(weights: WeightsFile | str | Path) -> Codec:
    """Build the Codec of a weights file, in evaluation mode, with its `fingerprint` set (32 bytes).

    Raises ModelError if the file is missing or no weights file, ConfigError for impossible values in its config.
    """
    file = weights if isinstance(weights, WeightsFile) else WeightsFile(weights)
    try:
        tensors = load(file.data)
    except SafetensorError as error:
        raise ModelError(f"{file.path}: not a weights file ({error}); give a .safetensors of vqcodec") from None
    state = {name: tensor for name, tensor in tensors.items() if not name.startswith(ENTROPY_PREFIX)}
    if (other := next((name for name, tensor in state.items() if not tensor.is_floating_point()), None)) is not None:
        raise ModelError(f"{file.path}: weights do not fit the config ({other} is of {state[other].dtype}, no floats)")
    state = {name: tensor.float() for name, tensor in state.items()}
    with _Building(sum(tensor.numel() for tensor in state.values()), where=str(file.path)):
        codec = Codec(file.config)
    load_state(codec, state, where=str(file.path))
    codec.entropy = file.entropy
    codec.fingerprint = file.fingerprint
    return codec.eval()


class _Building(TorchFunctionMode):
    """Makes a model for weights of `num_values`, and none that is much larger, whatever its config claims.

    It leaves layers without the random weights that nobody would see: a tenth of the time that loading takes. (torch's
    meta device would tell the shapes, but its first use takes ten times as long as all of loading.)
    """

    def __init__(self, num_values: int, *, where: str) -> None:
        super().__init__()
        self._num_values, self._where = num_values, where
        self._made = 0

    @override
    def __torch_function__(
        self, func: Callable[..., Any], _types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Pass over the functions of torch.nn.init. Raises ModelError before more is made than the weights can fill."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        if func in _MAKERS:
            self._made += _MAKERS[func](*args)
            if self._made > 2 * self._num_values + _SPARE_VALUES:
                raise ModelError(
                    f"{self._where}: weights do not fit the config (its model has {self._made:,} values and more, the "
                    f"file {self._num_values:,}); give a weights file that vqcodec wrote"
                )
        return func(*args, **kwargs)


def load_state(codec: Codec, state: dict[str, Tensor], *, where: str) -> None:
    """Load exported weights into `codec`; only training statistics may be absent. Raises ModelError."""
    broken = next((name for name, tensor in state.items() if not tensor.isfinite().all()), None)
    if broken is not None:
        raise ModelError(f"{where}: {broken} has values that are NaN or infinite; take an earlier checkpoint")
    try:
        missing, unexpected = codec.load_state_dict(state, strict=False)
    except RuntimeError as error:  # a tensor of another shape
        raise ModelError(f"{where}: weights do not fit the config ({' '.join(str(error).split())})") from None
    if any(name.endswith(_TRAINING_STATE) for name in missing):
        for layer in codec.quantizer.modules():
            if isinstance(layer, Codebook):
                layer.forget_use()
    missing = [name for name in missing if not name.endswith(_TRAINING_STATE)]
    if missing or unexpected:
        raise ModelError(f"{where}: weights do not fit the config (missing {missing[:3]}, unknown {unexpected[:3]})")
