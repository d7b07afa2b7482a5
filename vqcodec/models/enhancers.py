"""The file of an enhancer: what makes the encoder of one model an `EnhancingEncoder`.

safetensors; one key of metadata has as JSON which weights it serves and the sizes of its net. Of the encoder inside it
holds the differences to that of the model, so that it is a start for other weights that are near. Any decoder of the
model plays what it encodes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from vqcodec.errors import ModelError
from vqcodec.models.codec import Codec
from vqcodec.nn.encoder import Encoder
from vqcodec.nn.enhancer import EnhancingEncoder
from vqcodec.output import atomic_output
from vqcodec.texts import parse_object

FORMAT = "vqcodec-enhancer-1"
_INNER = "encoder."
"""Start of the names of what is in the encoder itself."""
_MOST_CHANNELS, _MOST_KERNEL, _MOST_BLOCKS = 8192, 1000, 64


def add_enhancer(codec: Codec, *, channels: int, kernels: Sequence[int]) -> None:
    """Give `codec` an encoder with an untrained net in front, which changes nothing as yet; see `EnhancingEncoder`."""
    assert isinstance(codec.encoder, Encoder)
    codec.encoder = EnhancingEncoder(codec.encoder, channels=channels, kernels=kernels).to(codec.device)
    codec.is_enhancing = True


def save_enhancer(codec: Codec, encoder: Mapping[str, Tensor], original: Mapping[str, Tensor], path: str | Path) -> str:
    """Write the state of an EnhancingEncoder to `path` as float16, and return its SHA-256 in hex.

    codec:    whose weights, named by its `fingerprint`, and sizes these are
    original: the state of the encoder of those weights

    Raises ModelError for values that float16 cannot hold.
    """
    assert isinstance(codec.encoder, EnhancingEncoder) and codec.fingerprint is not None
    tensors = dict(encoder) | {_INNER + name: encoder[_INNER + name] - value for name, value in original.items()}
    tensors = {name: value.detach().to("cpu", torch.float16).contiguous() for name, value in tensors.items()}
    if (wrong := next((name for name, value in tensors.items() if not value.isfinite().all()), None)) is not None:
        raise ModelError(f"{path}: {wrong} has values beyond float16; train at a lower rate")
    facts = {
        "model": codec.model_name,
        "serves": codec.fingerprint.hex(),
        "channels": codec.encoder.channels,
        "kernels": codec.encoder.kernels,
    }
    data = save(tensors, metadata={FORMAT: json.dumps(facts)})
    with atomic_output(path, force=True) as temporary:
        Path(temporary).write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def load_enhancer(codec: Codec, path: str | Path, *, of_others: bool = False) -> None:
    """Give `codec` the enhancer in the file `path`.

    Raises ModelError where there is none, where it is damaged, and unless it serves these very weights or, as a start
    of training, those `of_others` that are built alike.
    """
    try:
        data = Path(path).read_bytes()
        tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        facts = parse_object(parse_object(data[8 : 8 + length].decode())["__metadata__"][FORMAT])
        channels, kernels, serves, model = (facts[name] for name in ("channels", "kernels", "serves", "model"))
        _check_sizes(channels, kernels)
    except OSError as error:
        raise ModelError(f"{path}: cannot read the enhancer ({error.strerror}); give a file that there is") from None
    except (SafetensorError, ValueError, KeyError, TypeError):
        raise ModelError(f"{path}: not an enhancer; give one that vqcodec train made of recipes/enhance.yaml") from None
    wanted = b"" if codec.fingerprint is None else codec.fingerprint
    if serves != wanted.hex() and not of_others:
        raise ModelError(
            f"{path}: an enhancer for {str(model)[:40]} (fingerprint {str(serves)[:8]}), not for {codec.model_name} "
            f"(fingerprint {wanted.hex()[:8]}); give that model, or fit the enhancer anew (enhancer.start in a recipe)"
        )
    original = codec.encoder.state_dict()
    add_enhancer(codec, channels=channels, kernels=kernels)
    state = {name: value.float() for name, value in tensors.items()}
    try:
        whole = {
            name: value + original[name.removeprefix(_INNER)] if _is_inner(name) else value
            for name, value in state.items()
        }
        codec.encoder.load_state_dict(whole)
    except (KeyError, RuntimeError):  # other names, or shapes
        raise ModelError(
            f"{path}: does not fit the encoder of {codec.model_name}; give one that was made for it"
        ) from None
    codec.encoder.eval()


def _is_inner(name: str) -> bool:
    return name.startswith(_INNER)


def _check_sizes(channels: object, kernels: object) -> None:
    """Raise ValueError for sizes that no net has."""
    if type(channels) is not int or not 1 <= channels <= _MOST_CHANNELS:
        raise ValueError("channels")
    if not isinstance(kernels, list) or not 1 <= len(kernels) <= _MOST_BLOCKS:
        raise ValueError("kernels")
    if not all(type(size) is int and 2 <= size <= _MOST_KERNEL for size in kernels):
        raise ValueError("kernels")
