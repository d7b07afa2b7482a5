"""Spectrograms of clips beside what a model makes of them, one row per rate: what to look at after a training.

python tools/pictures.py OUT.png CLIP... [--kbps 1.5 3 6] [--model NAME|PATH] [--seconds 3]
"""

import argparse
import io
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from vqcodec.audio.spectral import hz_to_mel
from vqcodec.evaluation.clips import read_clip
from vqcodec.evaluation.codecs.library import NeuralCodec
from vqcodec.evaluation.report.plots import spectrogram_levels
from vqcodec.models import zoo
from vqcodec.system.pipes import until_unread

_TICKS_HZ = (500, 1000, 2000, 4000, 8000, 16000)


def draw(clips: list[Path], model: str, kbps: list[float], seconds: float) -> Figure:
    """A column per clip; the original on top, then a row per rate, all of a column on one scale of 70 dB."""
    codec = NeuralCodec(model)
    figure = Figure(figsize=(4.5 * len(clips), 2 * (1 + len(kbps))), layout="constrained")
    grid = figure.subplots(1 + len(kbps), len(clips), squeeze=False, sharex="col", sharey="col")
    for column, clip in zip(grid.T, clips, strict=True):
        wave, rate_hz = read_clip(clip)
        wave = wave[: round(seconds * rate_hz)]
        coded = [codec.run(wave, rate_hz, rate) for rate in kbps]
        titles = [clip.stem, *(f"{8 * len(result.data) / len(wave) * rate_hz / 1000:.2f} kbps" for result in coded)]
        top_db = spectrogram_levels(wave, rate_hz).max()
        for axes, shown, title in zip(column, [wave, *(result.wave_hat for result in coded)], titles, strict=True):
            axes.imshow(
                spectrogram_levels(shown, rate_hz),
                **{"origin": "lower", "aspect": "auto", "extent": (0, len(shown) / rate_hz, 0, hz_to_mel(rate_hz / 2))},
                **{"vmin": top_db - 70, "vmax": top_db, "cmap": "magma", "interpolation": "nearest"},
            )
            axes.set(title=title)
            ticks_hz = [hz for hz in _TICKS_HZ if hz <= rate_hz / 2]
            axes.set_yticks([hz_to_mel(hz) for hz in ticks_hz], [str(hz) for hz in ticks_hz])
    return figure


def main() -> None:
    """Parse the options and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--kbps", nargs="+", type=float, default=[1.5, 3.0, 6.0])
    parser.add_argument("--model", default=zoo.DEFAULT_MODEL)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    figure = draw(options.clips, options.model, options.kbps, options.seconds)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=80)
    Image.open(file).convert("RGB").quantize(96).save(options.out, optimize=True)


if __name__ == "__main__":
    until_unread(main)
