"""The pictures of docs/vqvae.md, from a run of recipes/vqvae.yaml and a clip that it has not seen.

python tools/walkthrough.py RUN CLIP OUT writes losses.png, usage.png and reconstruction.png to the folder OUT.
"""

import io
import json
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from vqcodec.evaluation.clips import read_clip
from vqcodec.evaluation.report.plots import spectrogram_levels
from vqcodec.models.architecture import ModelConfig
from vqcodec.models.codebook_usage import CodebookUsage
from vqcodec.models.codec import Codec
from vqcodec.models.weights import load_weights
from vqcodec.system.pipes import until_unread
from vqcodec.training.config import DataConfig, validate
from vqcodec.training.monitoring.validation import load_clips


def losses(run: Path) -> Figure:
    """Both halves of the loss per epoch."""
    records = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    epochs = [record for record in records if record["kind"] == "epoch"]
    figure = Figure(figsize=(7, 2.5), layout="constrained")
    for axes, half in zip(figure.subplots(1, 2), ("reconstruction", "latent"), strict=True):
        axes.plot([record["epoch"] for record in epochs], [record[half] for record in epochs], marker=".")
        axes.set(title=f"{half} loss", xlabel="epoch")
    return figure


def usage(codec: Codec, run: Path) -> Figure:
    """How often the validation clips of a run use each code, the most used first, with the perplexity."""
    data = validate(DataConfig, json.loads((run / "config.json").read_text(encoding="utf-8"))["data"], where=str(run))
    used = CodebookUsage(codec.total_codebooks, codec.codebook_size)
    for clip in load_clips(data, codec.sample_rate_hz):
        used.add(codec.encode(torch.from_numpy(clip.wave)[None, None])[0].numpy())
    shares = np.sort(used.counts[0])[::-1] / used.counts[0].sum()
    figure = Figure(figsize=(7, 2.5), layout="constrained")
    axes = figure.add_subplot()
    axes.fill_between(np.arange(codec.codebook_size), shares, step="mid")
    axes.axhline(1 / codec.codebook_size, color="black", linewidth=0.8, linestyle="--")
    title = f"perplexity {used.perplexity[0]:.0f} of {codec.codebook_size}; dashed: all used alike"
    axes.set(title=title, xlabel="code, most used first", ylabel="share of frames")
    return figure


def reconstruction(codec: Codec, wave: NDArray[np.float32]) -> Figure:
    """Spectrograms of the clip, of what an untrained codec makes of it, and of what the trained one does."""
    torch.manual_seed(0)
    untrained = Codec(codec.config).eval()
    shown = {"original": wave, "before training": _through(untrained, wave), "after training": _through(codec, wave)}
    figure = Figure(figsize=(7, 6), layout="constrained")
    rate_hz = codec.sample_rate_hz
    top_db = spectrogram_levels(wave, rate_hz).max()
    for axes, (title, shown_wave) in zip(figure.subplots(3, 1, sharex=True), shown.items(), strict=True):
        extent = (0, len(wave) / rate_hz, 0, 1)
        levels = np.asarray(spectrogram_levels(shown_wave, rate_hz))
        options = {"origin": "lower", "aspect": "auto", "cmap": "magma", "vmin": top_db - 70, "vmax": top_db}
        axes.imshow(levels, extent=extent, **options)
        axes.set(title=title, yticks=[], ylabel="mel")
    axes.set(xlabel="seconds")
    return figure


def _through(codec: Codec, wave: NDArray[np.float32]) -> NDArray[np.float32]:
    decoded: NDArray[np.float32] = codec.decode(codec.encode(torch.from_numpy(wave)[None, None]))[0, 0].numpy()
    return decoded[: len(wave)]


def main(run: Path, clip: Path, out: Path) -> None:
    """Write the pictures."""
    codec = load_weights(run / "model.safetensors")
    wave, rate_hz = read_clip(clip)
    if rate_hz != ModelConfig().sample_rate_hz:
        sys.exit(f"{clip}: {rate_hz} Hz; give a clip of {ModelConfig().sample_rate_hz} Hz")
    figures = {
        "losses": losses(run),
        "usage": usage(codec, run),
        "reconstruction": reconstruction(codec, wave[: 3 * rate_hz]),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=80)
        Image.open(file).convert("RGB").quantize(64).save(out / f"{name}.png", optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    until_unread(lambda: main(*map(Path, sys.argv[1:])))
