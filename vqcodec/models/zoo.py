"""Trained models by name. Their weights ship in `bundled`, each with a card that says what it was trained on.

Importing this needs no torch; loading does.
"""

import contextlib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args, overload

from vqcodec.bitstream.spec import FINGERPRINT_BYTES
from vqcodec.errors import ConfigError, ModelError, how_to_install
from vqcodec.models.architecture import TOLD_NO_SPEAKER
from vqcodec.models.effort import DEFAULT_EFFORT, Effort, check_effort
from vqcodec.models.hub import PREFIX, resolve
from vqcodec.models.weightsfile import WeightsFile, find_beside, find_in_folder

if TYPE_CHECKING:
    from vqcodec.models.adapters import Adapter
    from vqcodec.models.codec import Codec
    from vqcodec.models.engine import Engine
    from vqcodec.models.onnx_codec import OnnxCodec

DEFAULT_MODEL = "speech-16k"

EngineName = Literal["torch", "onnx"]
"""What computes: torch, or onnxruntime without torch."""
Enhance = bool | str | Path
"""Whether speech is encoded without noise: False, True, or the file of the enhancer that does."""
ENGINES: tuple[EngineName, ...] = get_args(EngineName)


@dataclass(frozen=True)
class ModelCard:
    """What `vqcodec models` tells of a bundled model; `sha256` is that of its weights file, in hex.

    is_scaled, inputs_per_model: as those of an `Engine`
    is_searched: beams are searched for its codes (see `effort`)
    losses: names of what its training made small, as recipes have them
    """

    name: str
    sha256: str
    description: str
    sample_rate_hz: int
    hop_length: int
    total_codebooks: int
    codebook_size: int
    is_scaled: bool = False
    is_searched: bool = True
    inputs_per_model: int = 1
    losses: tuple[str, ...] = ()

    @property
    def model_name(self) -> str:
        """What an Engine calls its name."""
        return self.name

    @property
    def fingerprint(self) -> bytes:
        """The 4 bytes that .vqc files of this model carry."""
        return bytes.fromhex(self.sha256)[:FINGERPRINT_BYTES]


MODELS: dict[str, ModelCard] = {
    card.name: card
    for card in [
        ModelCard(
            name="speech-16k",
            sha256="07e8b5b1de96794fb93f10aa39e99882d72a67fbbfd6c4ff2e46b07bc5affe32",
            description="speech in any language, 0.5 to 6 kbps; 6.4 M parameters, causal",
            sample_rate_hz=16000,
            hop_length=320,
            total_codebooks=12,
            codebook_size=1024,
            losses=("mel", "complex", "compressed", "level", "loudness", "grid", "perceptual"),
        ),
    ]
}
"""Every bundled model by name."""


FORMER_WEIGHTS: dict[str, str] = {
    "a5f6873ad5062172186c7528e01fc7a7f5754ba281c915f3e35a2c214a6eabf5": "090d6dc",
    "df3de4dd848b4f3182ca71933673ab01e0e017b0d9369f5b987fe9c24af23356": "32856ff",
    "5edf43639dc80a4480d5f0d795cfa48aef38fd0bba38e8f2605727c02c5ead79": "5d59ce6",
    "d539f26f804fb78bc32a3c1b7663751628bc9fa8b673b9db16a9c91b9a14c7c6": "5a607b4",
    "1fec197e02f9bcd8e9730cccedd5d4465f291fbb56e9bb0c4edc1a2055bd97f5": "532623d",
    "33189ab627fbf25ac7755c67a0d319a4d678c3a5fa2c63f7d8febd15cdf04ba7": "9b319e3",
    "357013857266db67c8e0573a0dfbc56a1c1da9d482e141a9e93974cf2c531c0c": "dafe52e",
    "8d0d97f1646c1690c2eef9d554b6c0ba191771ab679cf0b32377c5001401d609": "af2100d",
    "6118986f10f44cb9f0cefacac0e9945ed03053aaf9f181d316cc300985e84b47": "810d38e",
}
"""SHA-256 of earlier weights of `DEFAULT_MODEL`, and the revision of vqcodec that bundled them, its card included."""


def unknown_weights(fingerprint: bytes, beside: Path | None = None) -> str:
    """Explain what became of weights that are not bundled (any more), with the remedy.

    beside: a folder in which they may lie
    """
    if beside is not None and (found := find_beside(beside, fingerprint)) is not None:
        name = found.config.name
        return f"written by {name} (fingerprint {fingerprint.hex()}), which lies beside it; give --model {found.path}"
    for sha256, revision in FORMER_WEIGHTS.items():
        if sha256.startswith(fingerprint.hex()):
            return (
                f"written by earlier weights of {DEFAULT_MODEL} (fingerprint {fingerprint.hex()}), which are not "
                f"bundled any more; install revision {revision} of vqcodec, or give its weights file as --model"
            )
    unknown = f"written by a model that is not bundled (fingerprint {fingerprint.hex()})"
    return f"{unknown}; give its weights file as --model, or hf:USER/NAME"


def find(fingerprint: bytes) -> ModelCard | None:
    """Return the bundled model whose weights `fingerprint` (4 bytes) names, if any."""
    return next((card for card in MODELS.values() if card.fingerprint == fingerprint), None)


def card_of(model: str | Path) -> ModelCard:
    """Describe any model that `load` takes, its weights hashed but not loaded. Raises as `load`."""
    return card_for(open_model(model))


def card_for(found: "WeightsFile | Adapter") -> ModelCard:
    """Describe a model that `open_model` has opened."""
    if not isinstance(found, WeightsFile):
        return ModelCard(
            name=found.model_name,
            sha256=(found.fingerprint or b"").hex(),
            description=f"{found.folder.model_type} of transformers",
            sample_rate_hz=found.sample_rate_hz,
            hop_length=found.hop_length,
            total_codebooks=found.total_codebooks,
            codebook_size=found.codebook_size,
            is_scaled=found.is_scaled,
            inputs_per_model=found.inputs_per_model,
            is_searched=False,
        )
    if (bundled := next((card for card in MODELS.values() if card.sha256 == found.sha256), None)) is not None:
        return bundled
    config = found.config
    return ModelCard(
        name=config.name,
        sha256=found.sha256,
        description="a weights file",
        sample_rate_hz=config.sample_rate_hz,
        hop_length=config.hop_length,
        total_codebooks=config.total_codebooks,
        codebook_size=config.codebook_size,
        is_searched=config.is_searched,
    )


@overload
def load(
    model: str | Path = DEFAULT_MODEL,
    *,
    device: str = "cpu",
    engine: Literal["torch"] | None = None,
    effort: Effort = DEFAULT_EFFORT,
    enhance: Enhance = False,
    speaker: str | None = None,
) -> "Codec | Adapter": ...


@overload
def load(
    model: str | Path = DEFAULT_MODEL,
    *,
    device: str = "cpu",
    engine: Literal["onnx"],
    effort: Effort = DEFAULT_EFFORT,
    enhance: Literal[False] = False,
    speaker: None = None,
) -> "OnnxCodec": ...


def load(
    model: str | Path = DEFAULT_MODEL,
    *,
    device: str = "cpu",
    engine: EngineName | None = None,
    effort: Effort = DEFAULT_EFFORT,
    enhance: Enhance = False,
    speaker: str | None = None,
) -> "Codec | Adapter | OnnxCodec":
    """Load a bundled model by name, a weights file or a folder with one, or with "hf:" a folder or USER/NAME on a hub.

    It is ready to encode and decode on `device`. On a hub are models of this package, and EnCodec, DAC, X-Codec, Mimi,
    X-Codec2 and NeuCodec as transformers has them (`vqcodec.models.adapters`). `engine` "onnx" is `load_onnx`; None is
    "torch", and where torch is not installed "onnx", whose OnnxCodec is for sessions, files and `compress`.

    `effort`: how long it searches for codes, 1 ("fast"), 4 ("normal") or 16 ("best") beams; decoding is the same.
    `enhance`: it encodes speech without the noise around it, by the enhancer beside its weights (see `enhancer_of`) or
    in the file that is given, on torch only; any decoder plays that.
    `speaker`: who speaks in all that it decodes, of a model that is told (`Codec.config.speakers`), on torch only.

    Raises ModelError if there is no such model or enhancer or its weights are damaged, ConfigError for impossible
    values in its config, for an unusable device, for an engine that is none or not installed, and for an effort or a
    speaker that the model does not have.
    """
    loaded = engine_for(
        open_model(model), engine=engine, device=device, effort=effort, enhance=enhance, speaker=speaker
    )
    # What torch computes is a Codec or an Adapter, which have more than an Engine.
    return cast("Codec | Adapter | OnnxCodec", loaded)


def load_own(model: str | Path = DEFAULT_MODEL, *, device: str = "cpu") -> "Codec":
    """Load, as `load` does, a model of this package: what can be trained further. Raises ModelError for another one."""
    return _on_torch(open_weights(model), device)


def load_onnx(
    model: str | Path = DEFAULT_MODEL, *, threads: int | None = None, effort: Effort = DEFAULT_EFFORT
) -> "OnnxCodec":
    """Load a bundled model by name, or a weights file with the graphs of `vqcodec export` beside it, on onnxruntime.

    Imports no torch. `threads`: as in OnnxCodec; `effort`: as in `load`. Raises ModelError as `load` and for missing
    graphs, ConfigError as `load` and where onnxruntime is missing.
    """
    from vqcodec.models.onnx_codec import OnnxCodec

    return OnnxCodec(open_weights(model), threads=threads, effort=effort)


def load_engine(
    model: str | Path = DEFAULT_MODEL,
    *,
    engine: EngineName | None = None,
    device: str = "cpu",
    effort: Effort = DEFAULT_EFFORT,
) -> "Engine":
    """Load a model as `load` does, for what takes any engine. Raises as `load`."""
    return engine_for(open_model(model), engine=engine, device=device, effort=effort)


def engine_for(
    found: "WeightsFile | Adapter",
    *,
    engine: EngineName | None = None,
    device: str = "cpu",
    effort: Effort = DEFAULT_EFFORT,
    enhance: Enhance = False,
    speaker: str | None = None,
) -> "Engine":
    """Load what `open_model` has opened. Raises as `load`."""
    if engine not in (None, *ENGINES):
        raise ConfigError(f"engine {engine!r} is none of {', '.join(ENGINES)}")
    if isinstance(found, WeightsFile):
        check_effort(effort, model=found.config.name, is_searched=found.config.is_searched)
    else:
        check_effort(effort, model=found.model_name, is_searched=False)
    enhancer = enhancer_of(found, enhance) if enhance else None
    if speaker is not None:
        check_speaker(found, speaker)
    if (engine or installed_engine()) == "onnx" and isinstance(found, WeightsFile):
        if enhancer is not None:
            raise ConfigError(f"the onnx engine does not enhance; {_torch_instead()}")
        if found.config.speakers:
            raise ConfigError(
                f"the onnx engine does not run {found.config.name}, whose decoder is told who speaks; "
                f"{_torch_instead()}, or export it with one voice (vqcodec export --speaker NAME)"
            )
        if device != "cpu":
            raise ConfigError(f"the onnx engine runs on cpu, not on {device}; {_torch_instead()}")
        from vqcodec.models.onnx_codec import OnnxCodec

        return OnnxCodec(found, effort=effort)
    if isinstance(found, WeightsFile):
        codec = _on_torch(found, device)
        codec.effort = effort
        if enhancer is not None:
            from vqcodec.models.enhancers import load_enhancer

            load_enhancer(codec, enhancer)
        if speaker is not None:
            codec.speak_as(speaker)
        return codec
    if engine == "onnx":
        raise ModelError(
            f"{found.model_name}: no model of vqcodec, and the onnx engine runs only such; {_torch_instead()}"
        )
    check_device(device)
    return found.to(device)


def _torch_instead() -> str:
    """What to do where only torch can: it may be that it was not chosen, or that it is not there to choose."""
    return "use the torch engine" if find_spec("torch") else f"that needs torch; {how_to_install()}"


def enhancer_of(found: "WeightsFile | Adapter", enhance: Enhance = True) -> Path:
    """Find the file of an enhancer: `enhance` itself, or NAME.enhancer.safetensors beside NAME.safetensors of a model.

    Raises ModelError for none.
    """
    if not isinstance(found, WeightsFile):
        raise ModelError(f"{found.model_name}: no model of vqcodec, and only such have enhancers; leave that out")
    if not isinstance(enhance, bool):
        return Path(enhance)
    path = found.path.with_suffix(".enhancer.safetensors")
    if not path.is_file():
        raise ModelError(f"{found.config.name} has no enhancer ({path.name} beside its weights); give the file of one")
    return path


def check_speaker(found: "WeightsFile | Adapter", speaker: str) -> None:
    """Raise ModelError for a model that is not told who speaks, ConfigError for a speaker that it does not have."""
    if not isinstance(found, WeightsFile) or not found.config.speakers:
        name = found.config.name if isinstance(found, WeightsFile) else found.model_name
        raise ModelError(f"{name} {TOLD_NO_SPEAKER}")
    found.config.speaker_index(speaker)


def installed_engine() -> EngineName:
    """Tell what computes where nobody chose: torch, or onnxruntime where that is installed and torch is not."""
    return "torch" if find_spec("torch") or not find_spec("onnxruntime") else "onnx"


def open_model(model: str | Path) -> "WeightsFile | Adapter":
    """Find and open a model by its name: weights of this package, or the adapter of one of transformers, not loaded.

    Raises as `load`.
    """
    if str(model) in MODELS or not _is_folder(model):
        return open_weights(model)
    folder = resolve(str(model))
    if (found := find_in_folder(folder)) is not None:
        return found
    if not str(model).startswith(PREFIX) and not (folder / "config.json").is_file():
        raise ModelError(f"{model}: a folder without weights of vqcodec, or with several; give one weights file")
    try:
        from vqcodec.models.adapters import open_adapter
    except ModuleNotFoundError as error:
        raise ConfigError(f"{model} needs {error.name}; {how_to_install('hf')}") from None
    return open_adapter(folder, name=str(model))


def open_weights(model: str | Path) -> WeightsFile:
    """Find and open the weights file of a model of this package; where its SHA-256 is known it is checked.

    Raises ModelError where there is none, ConfigError for impossible values in its config.
    """
    if (card := MODELS.get(str(model))) is not None:
        path = Path(__file__).parent / "bundled" / f"{card.name}.safetensors"
        return WeightsFile(path, expected_sha256=card.sha256)
    if _is_folder(model):
        folder = resolve(str(model))
        if (found := find_in_folder(folder)) is not None:
            return found
        raise ModelError(f"{model}: {folder} holds no model of vqcodec, which is needed here")
    if not os.path.isfile(str(model)):  # which is false also of a name that no file can have
        raise ModelError(
            f"{model}: no such model, weights file or folder; bundled models are: {', '.join(MODELS)}; "
            f"those of a hub begin with {PREFIX}"
        )
    return WeightsFile(model)


def _is_folder(model: str | Path) -> bool:
    """Whether a model lies in a folder, here or on a hub."""
    return str(model).startswith(PREFIX) or os.path.isdir(model)


def _on_torch(weights: WeightsFile, device: str) -> "Codec":
    try:
        from vqcodec.models.weights import load_weights
    except ModuleNotFoundError as error:
        remedy = f"{how_to_install()}, or use --engine onnx" + ("" if find_spec("onnxruntime") else " with onnxruntime")
        raise ConfigError(f"the torch engine needs {error.name}; {remedy}") from None
    check_device(device)
    return load_weights(weights).to(device)


def check_device(device: str) -> None:
    """Raise ConfigError for a device that this machine cannot compute on."""
    import torch

    with contextlib.suppress(RuntimeError, AssertionError, NotImplementedError):
        torch.empty(1, device=device)
        return
    raise ConfigError(f"device {device!r} is not usable here; choose cpu" + _others())


def _others() -> str:
    """The accelerators of this machine, to complete a message."""
    import torch

    if torch.cuda.is_available():
        return " or cuda"
    return " or mps" if torch.backends.mps.is_available() else ""
