"""The file of a prior: safetensors of float16; one key of metadata has as JSON whose codes it knows, and its sizes."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from vqcodec.errors import ModelError
from vqcodec.models import zoo
from vqcodec.output import atomic_output
from vqcodec.texts import parse_object
from vqcodec.tokens.prior.network import Prior, PriorSizes

if TYPE_CHECKING:
    from vqcodec.models.engine import Engine
    from vqcodec.tokens.plan import Settings

FORMAT = "vqcodec-prior-1"


@dataclass(frozen=True)
class LoadedPrior:
    """A prior, ready to use, and whose codes it knows: a model's name and the SHA-256 of its weights in hex."""

    network: Prior
    model: str
    fingerprint: str
    path: Path

    def check(self, codec: "Engine") -> None:
        """Raise ModelError unless the codes of `codec` are those that the prior knows."""
        self._check((codec.fingerprint or b"").hex(), codec.model_name)
        sizes = self.network.sizes
        if sizes.num_codebooks > codec.total_codebooks or sizes.codebook_size != codec.codebook_size:
            raise ModelError(f"{self.path}: contradicts the model that it names; train it again")

    def codec(self, model: str | Path | None = None, *, device: str = "cpu") -> "Engine":
        """Load the model whose codes these are: a bundled one by itself, another from `model`. Raises ModelError."""
        return codec_of_fingerprint(self.fingerprint, self.model, model, device=device)

    def check_tokens(self, settings: "Settings") -> None:
        """Raise ModelError unless tokens of these `settings` are of that model, and have as many codebooks."""
        self._check(settings.fingerprint, settings.model)
        if settings.num_codebooks < (wanted := self.network.sizes.num_codebooks):
            raise ModelError(f"{self.path}: knows {wanted} codebooks, and the tokens have {settings.num_codebooks}")

    def _check(self, fingerprint: str, model: str) -> None:
        if fingerprint != self.fingerprint:
            raise ModelError(
                f"{self.path}: a prior of the codes of {self.model} (fingerprint {self.fingerprint[:8]}), not of "
                f"{model} (fingerprint {fingerprint[:8]}); give that model, or train a prior of this one's tokens"
            )


def codec_of_fingerprint(
    fingerprint: str, name: str, model: str | Path | None = None, *, device: str = "cpu"
) -> "Engine":
    """Load the model with that SHA-256 in hex: a bundled one, or `model`. Raises ModelError for another or none."""
    cards = [card.name for card in zoo.MODELS.values() if card.sha256 == fingerprint]
    if model is None and not cards:
        raise ModelError(f"{name} (fingerprint {fingerprint[:8]}) is not bundled; give its weights file as --model")
    codec = zoo.load_engine(model or cards[0], device=device)
    if (found := (codec.fingerprint or b"").hex()) != fingerprint:
        raise ModelError(
            f"{model}: fingerprint {found[:8]}, but the codes are of {name} ({fingerprint[:8]}); give these weights"
        )
    return codec


def save_prior(
    sizes: PriorSizes, values: dict[str, Tensor], path: str | Path, *, model: str, fingerprint: str, force: bool = True
) -> None:
    """Write the state `values` of a Prior. Raises ModelError for values that float16 cannot hold, OutputError."""
    tensors = {name: value.detach().to("cpu", torch.float16).contiguous() for name, value in values.items()}
    if (wrong := next((name for name, value in tensors.items() if not value.isfinite().all()), None)) is not None:
        raise ModelError(f"{path}: {wrong} has values beyond float16; train at a lower rate")
    facts = {"model": model, "codes_of": fingerprint, **asdict(sizes)}
    with atomic_output(path, force=force) as temporary:
        Path(temporary).write_bytes(save(tensors, metadata={FORMAT: json.dumps(facts)}))


def load_prior(path: str | Path) -> LoadedPrior:
    """Load the prior in a file. Raises ModelError where there is none, or it is damaged."""
    try:
        data = Path(path).read_bytes()
        tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        facts = parse_object(parse_object(data[8 : 8 + length].decode())["__metadata__"][FORMAT])
        model, fingerprint = facts.pop("model"), facts.pop("codes_of")
        if not isinstance(model, str) or not isinstance(fingerprint, str):
            raise TypeError("names that are no text")
        sizes = PriorSizes(**facts)
        if not all(value.isfinite().all() for value in tensors.values()):
            raise ValueError("values that are no numbers")
    except OSError as error:
        raise ModelError(f"{path}: cannot read the prior ({error.strerror}); give a file that there is") from None
    except (SafetensorError, ValueError, KeyError, TypeError):
        raise ModelError(f"{path}: not a prior; give one that vqcodec prior train made") from None
    with torch.device("meta"):  # so that sizes that the tensors do not have take no memory
        network = Prior(sizes)
    try:
        network.load_state_dict({name: value.float() for name, value in tensors.items()}, assign=True)
    except RuntimeError:
        raise ModelError(f"{path}: its tensors do not have the sizes that it names; train it again") from None
    return LoadedPrior(network.requires_grad_(False).eval(), model[:40], fingerprint, Path(path))
