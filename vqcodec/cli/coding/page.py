"""vqcodec page: a folder of static files that plays and encodes .vqc in a browser."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from vqcodec.cli.common import echo, model_option


@click.command()
@click.argument("files", nargs=-1, metavar="[FILES]...", type=click.Path(path_type=Path))
@click.option("--out", "folder", type=click.Path(path_type=Path), help="A new or empty folder for the page.")
@click.option("--serve", is_flag=True, help="Serve the page on this machine, to this machine alone, until Ctrl-C.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of --serve. [default: any that is free]")
@click.option("--runtime", type=click.Path(path_type=Path), help="Folder dist of onnxruntime-web.")
@model_option
def page(
    files: tuple[Path, ...], folder: Path | None, serve: bool, port: int, runtime: Path | None, model: str
) -> None:
    """Write a page that plays .vqc files in a browser, and encodes there, without a server that computes.

    FILES are .vqc files that it shows at once; others are dropped onto it. The folder is static: any web server gives
    it, and it asks nothing of any other. The model runs on onnxruntime-web, which is not part of vqcodec: "npm install
    onnxruntime-web" in the working folder brings it. Without --out, --serve serves a temporary folder.

    \b
    vqcodec page speech.vqc --out site/
    vqcodec page --serve
    """
    from vqcodec.web.folder import write_page

    if folder is None and not serve:
        raise click.UsageError("give --out FOLDER, --serve or both")
    with _folder(folder) as target:
        size = write_page(target, files, model=model, runtime=runtime)
        if folder is not None:
            echo(f"{folder}: {size / 1e6:.1f} MB, {len(files)} file(s)")
        if serve:
            _serve(target, port)


@contextlib.contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    """The folder that is asked for, or one that is removed at the end."""
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="vqcodec-page-") as temporary:
        yield Path(temporary)


def _serve(folder: Path, port: int) -> None:
    from vqcodec.web.server import server_of

    with server_of(folder, port) as (server, address):
        echo(f"{address} (Ctrl-C ends it)")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
