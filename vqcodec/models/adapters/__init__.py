"""Codecs of transformers behind the interface of ours, one file a family: EnCodec, DAC, X-Codec, Mimi,
X-Codec2, NeuCodec.

`adapter` has what all share. A new one is a file and a line in `ADAPTERS`.
"""

from importlib import import_module
from pathlib import Path

from vqcodec.errors import ModelError
from vqcodec.models.adapters.adapter import Adapter
from vqcodec.models.adapters.folder import ModelFolder
from vqcodec.system.plugins import PluginTable

__all__ = ["ADAPTERS", "Adapter", "open_adapter"]

ADAPTERS: PluginTable[str] = PluginTable(
    {
        "encodec": "vqcodec.models.adapters.encodec:EncodecAdapter",
        "dac": "vqcodec.models.adapters.dac:DacAdapter",
        "xcodec": "vqcodec.models.adapters.xcodec:XcodecAdapter",
        "mimi": "vqcodec.models.adapters.mimi:MimiAdapter",
        "xcodec2": "vqcodec.models.adapters.xcodec2:Xcodec2Adapter",
        "neucodec": "vqcodec.models.adapters.neucodec:NeucodecAdapter",
    }
)
"""Where each adapter is, by the "model_type" that config.json says."""


def open_adapter(folder: str | Path, *, name: str | None = None) -> Adapter:
    """Return the adapter of the model in `folder`, which loads when it first codes; `name` is what errors call it.

    Raises ModelError for a folder without config and safetensors, and for a model that has no adapter;
    UnavailableError where transformers is missing.
    """
    model = ModelFolder(Path(folder), name or str(folder))
    if model.model_type not in ADAPTERS:
        raise ModelError(f"{model.name}: a model of type {model.model_type!r}; there are {', '.join(ADAPTERS)}")
    module, _, kind = ADAPTERS[model.model_type].partition(":")
    adapter_class: type[Adapter] = getattr(import_module(module), kind)
    try:
        return adapter_class(model)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelError(f"{model.name}: its config.json is not that of a {model.model_type} ({error})") from None
