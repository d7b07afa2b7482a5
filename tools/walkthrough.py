"""The pictures of docs/vqvae.md, from what recipes/vqvae.yaml, prior.yaml and enhance.yaml train, and sounds not seen.

python tools/walkthrough.py RUN CLIP OUT writes losses.png, usage.png and reconstruction.png to the folder OUT;
python tools/walkthrough.py PRIOR ENHANCER CLIP NOISE OUT writes generation.png, enhancement.png and bandwidth.png.
"""

import io
import json
import sys
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

import vqcodec
from vqcodec.audio.excerpt import Excerpt
from vqcodec.audio.resample import resample
from vqcodec.evaluation.clips import read_clip
from vqcodec.evaluation.noise import Noise, mixed
from vqcodec.evaluation.report.plots import spectrogram_levels
from vqcodec.models.architecture import ModelConfig
from vqcodec.models.codebook_usage import CodebookUsage
from vqcodec.models.codec import Codec
from vqcodec.models.weights import load_weights
from vqcodec.system.pipes import until_unread
from vqcodec.tokens.prior.priorfile import load_prior
from vqcodec.tokens.prior.sampling import Sampler
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
    return spectrograms(shown, codec.sample_rate_hz)


def generation(prior: Path, wave: NDArray[np.float32]) -> Figure:
    """Spectrograms of what is drawn after the clip, which comes first, and of what is drawn from nothing."""
    loaded, codec = load_prior(prior), vqcodec.load()
    loaded.check(codec)
    prompt = codec.encode(torch.from_numpy(wave)[None, None])[0, : loaded.network.sizes.num_codebooks].numpy()

    def decoded(given: NDArray[np.int64], frames: int) -> NDArray[np.float32]:
        drawn = np.stack(list(islice(Sampler(loaded.network).frames(given), frames)), axis=1)
        codes = torch.from_numpy(np.concatenate((given, drawn), axis=1))
        spoken: NDArray[np.float32] = codec.decode(codes[None])[0, 0].numpy()
        return spoken

    frames = prompt.shape[1]
    shown = {"the second half is drawn": decoded(prompt, frames), "all is drawn": decoded(prompt[:, :0], 2 * frames)}
    return spectrograms(shown, codec.sample_rate_hz)


def enhancement(enhancer: Path, wave: NDArray[np.float32], noise: Path) -> Figure:
    """Spectrograms of the clip, and of what each encoder makes of it with noise 5 dB below."""
    noisy = mixed(wave, ModelConfig().sample_rate_hz, Noise(noise, Excerpt(), 0.0), 5.0)
    return _heard(enhancer, wave, "with noise", noisy)


def bandwidth(enhancer: Path, wave: NDArray[np.float32]) -> Figure:
    """Spectrograms of the clip, and of what each encoder makes of what sampling at 8 kHz leaves of it."""
    rate_hz = ModelConfig().sample_rate_hz
    narrow = resample(resample(wave[None], rate_hz, 8000), 8000, rate_hz)[0, : len(wave)]
    return _heard(enhancer, wave, "sampled at 8 kHz", np.clip(narrow, -1, 1))


def _heard(enhancer: Path, wave: NDArray[np.float32], what: str, heard: NDArray[np.float32]) -> Figure:
    shown = {"original": wave}
    encoders: dict[str, bool | Path] = {"coded": False, "enhanced": enhancer}
    for how, enhance in encoders.items():
        codec = vqcodec.load(enhance=enhance)
        assert isinstance(codec, Codec)
        shown[f"{what}, {how}"] = _through(codec, heard)
    return spectrograms(shown, ModelConfig().sample_rate_hz)


def spectrograms(shown: Mapping[str, NDArray[np.float32]], rate_hz: int) -> Figure:
    """Draw waves below each other by their titles, all on the scale of the first."""
    figure = Figure(figsize=(7, 1.7 * len(shown)), layout="constrained")
    levels = {title: np.asarray(spectrogram_levels(wave, rate_hz)) for title, wave in shown.items()}
    top_db = next(iter(levels.values())).max()
    for axes, (title, wave) in zip(figure.subplots(len(shown), 1, sharex=True), shown.items(), strict=True):
        extent = (0, len(wave) / rate_hz, 0, 1)
        options = {"origin": "lower", "aspect": "auto", "cmap": "magma", "vmin": top_db - 70, "vmax": top_db}
        axes.imshow(levels[title], extent=extent, **options)
        axes.set(title=title, yticks=[], ylabel="mel")
    axes.set(xlabel="seconds")
    return figure


def _through(codec: Codec, wave: NDArray[np.float32]) -> NDArray[np.float32]:
    decoded: NDArray[np.float32] = codec.decode(codec.encode(torch.from_numpy(wave)[None, None]))[0, 0].numpy()
    return decoded[: len(wave)]


def of_coding(run: Path, clip: Path) -> dict[str, Figure]:
    """Draw the pictures of the first half of the page."""
    codec = load_weights(run / "model.safetensors")
    wave = _read(clip)[: 3 * codec.sample_rate_hz]
    return {"losses": losses(run), "usage": usage(codec, run), "reconstruction": reconstruction(codec, wave)}


def of_uses(prior: Path, enhancer: Path, clip: Path, noise: Path) -> dict[str, Figure]:
    """Draw the pictures of the second half."""
    wave = _read(clip)[: 3 * ModelConfig().sample_rate_hz]
    return {
        "generation": generation(prior, wave),
        "enhancement": enhancement(enhancer, wave, noise),
        "bandwidth": bandwidth(enhancer, wave),
    }


def _read(clip: Path) -> NDArray[np.float32]:
    wave, rate_hz = read_clip(clip)
    if rate_hz != ModelConfig().sample_rate_hz:
        sys.exit(f"{clip}: {rate_hz} Hz; give a clip of {ModelConfig().sample_rate_hz} Hz")
    return wave


def main(figures: Mapping[str, Figure], out: Path) -> None:
    """Write the pictures."""
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=80)
        Image.open(file).convert("RGB").quantize(64).save(out / f"{name}.png", optimize=True)


if __name__ == "__main__":
    match [Path(argument) for argument in sys.argv[1:]]:
        case [run, clip, out]:
            until_unread(lambda: main(of_coding(run, clip), out))
        case [prior, enhancer, clip, noise, out]:
            until_unread(lambda: main(of_uses(prior, enhancer, clip, noise), out))
        case _:
            print(__doc__, file=sys.stderr)
            sys.exit(2)
