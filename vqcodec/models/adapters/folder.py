"""A folder of transformers: its config, the hash of its weights, and the model, with transformers kept quiet."""

import hashlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from vqcodec.errors import ModelError, UnavailableError, how_to_install
from vqcodec.models.weightsfile import file_digest
from vqcodec.texts import read_json_object

_SPARE_VALUES = 1 << 20
"""What a model may make beside its weights, such as tables of angles."""


class ModelFolder:
    """config.json and *.safetensors in `path`; `name` is what a user calls it. Raises ModelError where they are not."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        try:
            facts = read_json_object(path / "config.json")
        except FileNotFoundError:
            raise ModelError(f"{name}: no config.json in {path}; give a folder of vqcodec or transformers") from None
        except (OSError, ValueError):
            raise ModelError(f"{path / 'config.json'}: no readable JSON; fetch the folder again") from None
        self.model_type = str(facts.get("model_type"))[:60]
        self.weights = sorted(path.glob("model*.safetensors"))
        if not self.weights:
            raise ModelError(f"{name}: no model.safetensors in {path}; convert its weights (pickles are not read)")

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of the weights file, 32 bytes; of several, that of their hashes in order of their names."""
        digests = [file_digest(path) for path in self.weights]
        return digests[0] if len(digests) == 1 else hashlib.sha256(b"".join(digests)).digest()

    @cached_property
    def config(self) -> Any:
        """transformers' config. Raises ModelError, and UnavailableError without transformers."""
        return self._load("AutoConfig")

    def model(self, **changes: Any) -> Any:
        """Load transformers' model, in evaluation mode, with `changes` of the config. Raises as `config`."""
        self._check_size()
        model, info = self._load("AutoModel", use_safetensors=True, output_loading_info=True, **changes)
        if info["missing_keys"]:
            missing = ", ".join(sorted(info["missing_keys"])[:3])
            raise ModelError(f"{self.name}: its weights lack {missing}; fetch the folder again")
        return model.eval()

    def _check_size(self) -> None:
        """Raise ModelError for a config of more values than the weights have bytes, which transformers would make."""
        import torch

        config = self.config

        def values(transformers: Any) -> int:
            with torch.device("meta"):  # shapes without memory
                model = transformers.AutoModel.from_config(config)
            return sum(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))

        claimed, present_bytes = self._quietly(values), sum(path.stat().st_size for path in self.weights)
        if claimed > present_bytes + _SPARE_VALUES:
            raise ModelError(
                f"{self.name}: its config is of a model of {claimed:,} values, its weights have {present_bytes:,} "
                "bytes; fetch the folder again"
            )

    def _load(self, kind: str, **options: Any) -> Any:
        return self._quietly(
            lambda transformers: getattr(transformers, kind).from_pretrained(
                str(self.path), local_files_only=True, **options
            )
        )

    def _quietly(self, use: Callable[[Any], Any]) -> Any:
        """What `use` makes of transformers. Raises ModelError for whatever it raises."""
        try:
            import transformers
        except ImportError:
            raise UnavailableError(f"{self.name}: needs transformers; {how_to_install('hf')}") from None
        messages: Any = transformers.utils.logging
        had_bar, verbosity = messages.is_progress_bar_enabled(), messages.get_verbosity()
        messages.disable_progress_bar()  # both would write into the caller's output
        messages.set_verbosity_error()
        try:
            return use(transformers)
        except Exception as error:  # of damaged files: KeyError, RuntimeError, SafetensorError and others
            first = str(error).strip().partition("\n")[0][:200]
            raise ModelError(f"{self.name}: transformers cannot load it ({first or type(error).__name__})") from None
        finally:
            messages.set_verbosity(verbosity)
            if had_bar:
                messages.enable_progress_bar()
