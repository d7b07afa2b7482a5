"""Trains one small model with every quantizer, at equal steps, and prints what they came to as a table.

python tools/quantizers.py RUNS TRAIN VALID [key=value ...] > table.md
RUNS gets a folder per quantizer; those that are finished are not trained again. What follows VALID overrides
recipes/quantizers.yaml, such as steps=300. The loss is that of the reconstruction, over the last tenth of the steps;
perplexity is that of the codes of the validation clips over the codebook size, the mean and the least of the codebooks.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vqcodec.models.codebook_usage import CodebookUsage
from vqcodec.models.codec import Codec
from vqcodec.models.weights import load_weights
from vqcodec.system.pipes import until_unread
from vqcodec.training.config import RunConfig, load_run_config
from vqcodec.training.monitoring.validation import load_clips
from vqcodec.training.trainer import Trainer

RECIPE = Path(__file__).parents[1] / "recipes" / "quantizers.yaml"

_MULTI_SCALE = [
    "model.strides=[4,4,4,4,2,2,2,2,2,2,1,1,1,1,1,1,1,1]",
    "model.total_codebooks=48",
    "model.hop_length=1280",
    "validate_codebooks=[12,24,48]",
]

VARIANTS: dict[str, list[str]] = {
    "VQ-VAE: one codebook, loss": [
        "model.codebook_kind=gradient",
        "model.total_codebooks=1",
        "validate_codebooks=[1]",
    ],
    "RVQ, running means": [],
    "RVQ, codebook loss": ["model.codebook_kind=gradient"],
    "RVQ, rotation trick": ["quantizer.estimator=rotation"],
    "RVQ, normal start instead of k-means": ["quantizer.start=normal"],
    "RVQ, blended in over 400 steps": ["quantizer.gradual=blend", "quantizer.gradual_steps=400"],
    "RVQ, entropies": ["model.codebook_kind=gradient", "loss.entropy=0.1"],
    "grouped RVQ, 2 groups": ["model.groups=2"],
    "multi-scale RVQ": _MULTI_SCALE,
    "factorised, cosine": ["model.codebook_kind=factorized"],
    "FSQ": ["model.codebook_kind=finite_scalar"],
    "LFQ": ["model.codebook_kind=lookup_free", "loss.entropy=0.1"],
    "SimVQ": ["model.codebook_kind=simvq"],
    "soft to hard": ["model.codebook_kind=soft"],
    "Gumbel": ["model.codebook_kind=gumbel"],
    "RVQ, attention over 25 frames": ["model.attention_window=25"],
}
"""What each row changes in the recipe."""


def main(runs: Path, train: str, valid: str, overrides: list[str]) -> None:
    """Train what is not trained yet, then print the table."""
    rows = []
    for name, changes in VARIANTS.items():
        run = runs / "".join(c if c.isalnum() else "-" for c in name.lower())
        data = [f"data.train=[{train}]", f"data.valid=[{valid}]", f"steps={_steps(overrides)}"]
        config = load_run_config(RECIPE, [*data, *overrides, *changes])
        if not (run / "model.safetensors").exists():
            Trainer(config, run).fit()
        rows.append(_row(name, config, run))
    print("| quantizer | M parameters | loss | perplexity | least | ESTOI 1.5 | 3 | 6 kbps |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    print("\n".join(rows))


def _steps(overrides: list[str]) -> int:
    return load_run_config(RECIPE, overrides).steps


def _row(name: str, config: RunConfig, run: Path) -> str:
    """One line of the table, from the log of a finished run."""
    log = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    train = [record for record in log if record["kind"] == "train"]
    last = train[-max(1, len(train) // 10) :]
    loss = sum(_reconstruction(record) for record in last) / len(last)
    estoi = next(record for record in reversed(log) if record["kind"] == "validation").get("estoi", [])
    scores = [f"{value:.3f}" for value in estoi] if len(estoi) == 3 else [f"{estoi[0]:.3f} (at 0.5)", "", ""]
    millions = _parameters(config) / 1e6
    codec = load_weights(run / "model.safetensors")
    shares = _perplexity(codec, config) / config.model.codebook_size
    use = [f"{shares.mean():.0%}", f"{shares.min():.0%}"]
    return "| " + " | ".join([name, f"{millions:.2f}", f"{loss:.3f}", *use, *scores]) + " |"


def _reconstruction(record: dict[str, Any]) -> float:
    names = ("mel", "magnitude", "complex", "compressed", "level")
    return float(sum(record[name] for name in names))


def _perplexity(codec: Codec, config: RunConfig) -> NDArray[np.float64]:
    """Of each codebook [K], counted over the validation clips."""
    used = CodebookUsage(codec.total_codebooks, codec.codebook_size)
    for clip in load_clips(config.data, codec.sample_rate_hz):
        used.add(codec.encode(torch.from_numpy(clip.wave)[None, None])[0].numpy())
    return used.perplexity


def _parameters(config: RunConfig) -> int:
    """Weights of the file, the codebooks included."""
    return sum(
        value.numel()
        for name, value in Codec(config.model).state_dict().items()
        if "count" not in name and "sums" not in name
    )


if __name__ == "__main__":
    if len(sys.argv) < 4:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    until_unread(lambda: main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]))
