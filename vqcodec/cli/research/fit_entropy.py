"""vqcodec fit-entropy: weights with an entropy model, fitted to speech."""

from pathlib import Path

import click

from vqcodec.cli.common import device_option, echo, force_option, model_option


@click.command("fit-entropy")
@click.argument("inputs", nargs=-1, required=True, metavar="AUDIO...")
@click.option("--out", "target", required=True, type=click.Path(path_type=Path), help="Weights file to write.")
@model_option
@click.option("--valid", multiple=True, metavar="AUDIO", help="Held-out audio, to tell what the model saves.")
@click.option(
    "--codebooks", type=click.IntRange(min=1), default=8, show_default=True, help="Codebooks to fit, from the first."
)
@click.option("--epochs", type=click.IntRange(min=1), default=2, show_default=True, help="Passes over the codes.")
@click.option("--hidden", type=click.IntRange(min=1), default=200, show_default=True, help="Units of the first layer.")
@click.option(
    "--shifts",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Encodings of each clip, each begun a part of a frame later.",
)
@device_option
@force_option
def fit_entropy(
    inputs: tuple[str, ...],
    target: Path,
    model: str,
    valid: tuple[str, ...],
    codebooks: int,
    epochs: int,
    hidden: int,
    shifts: int,
    device: str,
    force: bool,
) -> None:
    """Fit the entropy model of a codec to speech, and write its weights with that model inside.

    AUDIO are files, folders, globs, or CSV or JSONL manifests: best the data that the codec was trained on. Files of
    the new weights are smaller; their fingerprint differs, so files of the old weights still need the old ones.

    \b
    vqcodec fit-entropy speech/train --valid speech/valid --model runs/mine/model.safetensors --out mine.safetensors
    """
    from vqcodec.audio.discover import find_audio
    from vqcodec.frames import bits_per_code
    from vqcodec.models import zoo
    from vqcodec.models.weights import save_weights
    from vqcodec.output import check_output
    from vqcodec.training.entropy import EntropyFit, collect_codes, fit_entropy, measured_bits

    check_output(target, force=force)
    codec = zoo.load_own(model, device=device)
    clips = find_audio(inputs)
    held_out = find_audio(valid) if valid else []
    codes = list(collect_codes(codec, clips, shifts=[shift / shifts for shift in range(shifts)]))
    echo(f"{len(clips)} clips, {sum(clip.shape[1] for clip in codes)} frames of codes", err=True)
    config = EntropyFit(layers=codebooks, epochs=epochs, hidden=hidden)
    tensors = fit_entropy(codec, codes, config, report=lambda line: echo(line, err=True))
    if held_out:
        width = bits_per_code(codec.codebook_size)
        bits = measured_bits(tensors, list(collect_codes(codec, held_out)))
        echo("codebook  bits per code  saving of all so far")
        for codebook, code_bits in enumerate(bits):
            saving = 1 - sum(bits[: codebook + 1]) / width / (codebook + 1)
            echo(f"{codebook + 1:8}  {code_bits:13.3f}  {saving:.1%}")
    save_weights(codec.config, codec.state_dict(), target, entropy=tensors)
    echo(f"{target}: {target.stat().st_size} bytes", err=True)
