"""vqcodec export: a model's weights -> ONNX graphs."""

from pathlib import Path

import click

from vqcodec.cli.common import force_option
from vqcodec.zoo import DEFAULT_MODEL


@click.command()
@click.option("--onnx", "folder", type=click.Path(path_type=Path), required=True, help="Folder for the ONNX graphs.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Name of a bundled model or a weights file.")
@force_option
def export(folder: Path, model: str, force: bool) -> None:
    """Write a model as two ONNX graphs, encoder and decoder, beside a copy of its weights.

    They stream: what the layers remember is an input and an output. --engine onnx runs a weights file that has its
    graphs beside it, without torch; so does every runtime that reads ONNX.

    \b
    vqcodec export --model mine.safetensors --onnx mine/
    vqcodec encode speech.wav speech.vqc --engine onnx --model mine/mine.safetensors
    """
    from vqcodec.export import export_onnx

    for path in export_onnx(model, folder, force=force):
        click.echo(str(path))
