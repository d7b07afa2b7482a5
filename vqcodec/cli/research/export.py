"""vqcodec export: a model's weights -> ONNX graphs, or a folder for a model hub."""

import tempfile
from pathlib import Path

import click

from vqcodec.cli.common import echo, force_option, model_option


@click.command()
@click.option("--onnx", "onnx_folder", type=click.Path(path_type=Path), help="Folder for the ONNX graphs.")
@click.option("--hub", "hub_folder", type=click.Path(path_type=Path), help="Folder to upload to a model hub.")
@model_option
@click.option("--speaker", metavar="NAME", help="Of a model that is told who speaks: export it with this voice alone.")
@force_option
def export(onnx_folder: Path | None, hub_folder: Path | None, model: str, speaker: str | None, force: bool) -> None:
    """Write a model in the form that others take, beside a copy of its weights.

    --onnx: graphs of encoder (one for each effort) and decoder. They stream: what the layers remember is an input and
    an output. --engine onnx runs a weights file that has its graphs beside it, without torch; so does every runtime
    that reads ONNX.

    --hub: config.json and README.md, for the upload by huggingface_hub; "--model hf:USER/NAME" then loads it. Nothing
    is uploaded here.

    \b
    vqcodec export --model mine.safetensors --onnx mine/
    vqcodec encode speech.wav speech.vqc --engine onnx --model mine/mine.safetensors
    vqcodec export --model mine.safetensors --hub upload/
    vqcodec export --model voices.safetensors --speaker kerstin --onnx kerstin/
    """
    if onnx_folder is None and hub_folder is None:
        raise click.UsageError("give --onnx FOLDER or --hub FOLDER")
    with tempfile.TemporaryDirectory() as folder:
        for path in _export(_with_voice(model, speaker, folder), onnx_folder, hub_folder, force):
            echo(str(path))


def _with_voice(model: str, speaker: str | None, folder: str) -> str:
    """The model itself, or of its voices the one of a speaker, written to `folder`."""
    if speaker is None:
        return model
    from vqcodec.models import zoo
    from vqcodec.models.weights import save_voice

    weights = zoo.open_weights(model)
    zoo.check_speaker(weights, speaker)
    return str(save_voice(weights, speaker, folder))


def _export(model: str, onnx_folder: Path | None, hub_folder: Path | None, force: bool) -> list[Path]:
    paths: list[Path] = []
    if onnx_folder is not None:
        from vqcodec.models.export import export_onnx

        paths += export_onnx(model, onnx_folder, force=force)
    if hub_folder is not None:
        from vqcodec.models.publishing import export_hub

        paths += export_hub(model, hub_folder, force=force)
    return list(dict.fromkeys(paths))
