"""A folder to upload to a model hub: the weights as they are, config.json that names them, README.md to read there.

No network and no torch here: `huggingface_hub` uploads the folder, `zoo.load("hf:user/name")` loads what was uploaded.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vqcodec.errors import OutputError
from vqcodec.frames import codebook_kbps
from vqcodec.models import zoo
from vqcodec.models.architecture import ModelConfig
from vqcodec.models.weightsfile import FORMAT, MODEL_TYPE, file_digest
from vqcodec.output import atomic_output, check_output, make_folder

_TAGS = ("audio", "neural-audio-codec", "speech-codec", "tokenizer", "vector-quantization")
_BUNDLED_LICENSE = "apache-2.0"


def export_hub(model: str | Path, folder: str | Path, *, force: bool = False) -> list[Path]:
    """Write NAME.safetensors, config.json and README.md of a model to `folder`; returns their paths.

    The weights are copied byte by byte, since their SHA-256 is what files of the model name. Raises ModelError as
    `zoo.load`, ConfigError for an impossible architecture, and OutputError, also where `folder` has other weights.
    """
    weights = zoo.open_weights(model)
    config, sha256, name = weights.config, weights.sha256, weights.path.name
    folder = make_folder(folder)
    copy, facts, card = folder / name, folder / "config.json", folder / "README.md"
    others = [path.name for path in folder.glob("*.safetensors") if path != copy]
    if others:
        raise OutputError(f"{folder}: has other weights, {others[0]}; choose a folder for this model alone")
    is_there = copy.is_file() and file_digest(copy).hex() == sha256
    for target in (facts, card) if is_there else (copy, facts, card):
        check_output(target, force=force)
    if not is_there:
        with atomic_output(copy, force=force) as temporary:
            temporary.write_bytes(weights.data)
    _write(facts, json.dumps(_facts(config, name, sha256), indent=2) + "\n", force=force)
    _write(card, _card(config, zoo.MODELS.get(str(model)), sha256), force=force)
    return [copy, facts, card]


def _facts(config: ModelConfig, weights_name: str, sha256: str) -> dict[str, Any]:
    """What config.json says. `model_type` and `library_name` are the hub's words."""
    return {
        "model_type": MODEL_TYPE,
        "library_name": "vqcodec",
        "name": config.name,
        "format": FORMAT,
        "weights": weights_name,
        "sha256": sha256,
        "architecture": asdict(config),
    }


def _card(config: ModelConfig, bundled: zoo.ModelCard | None, sha256: str) -> str:
    """The text of README.md: the hub's front matter, how to use the model, and its own card where it has one."""
    lines = ["---", "library_name: vqcodec", "pipeline_tag: audio-to-audio"]
    if bundled is not None:
        lines.append(f"license: {_BUNDLED_LICENSE}")
    lines += ["tags:", *(f"- {tag}" for tag in _TAGS), "---", ""]
    about = f"# {config.name}\n\nA neural audio codec of vqcodec.\n"
    if bundled is not None:
        about = (Path(zoo.__file__).parent / "bundled" / f"{bundled.name}.md").read_text(encoding="utf-8")
    return "\n".join(lines) + "\n" + about + "\n" + _usage(config, sha256)


def _usage(config: ModelConfig, sha256: str) -> str:
    step_kbps = codebook_kbps(config.sample_rate_hz, config.hop_length, config.codebook_size)
    return f"""## Use

{config.sample_rate_hz} Hz, {config.total_codebooks} codebooks of {config.codebook_size}, {config.hop_length} samples \
a frame: {step_kbps:g} to {step_kbps * config.total_codebooks:g} kbps. USER/NAME is the name of this repository.

```python
import vqcodec

codec = vqcodec.load("hf:USER/NAME")
```

```sh
vqcodec encode speech.wav speech.vqc --model hf:USER/NAME
vqcodec decode speech.vqc speech.wav --model hf:USER/NAME
```

Files of this model carry the fingerprint {sha256[:8]}, the beginning of the SHA-256 of its weights:
`{sha256}`.
"""


def _write(path: Path, text: str, *, force: bool) -> None:
    with atomic_output(path, force=force) as temporary:
        temporary.write_text(text, encoding="utf-8")
