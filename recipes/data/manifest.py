"""What the recipes here share: options, errors of one line, torchaudio's lists of files, and writing the manifest."""

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from vqcodec.errors import AudioError, ConfigError, VqcodecError
from vqcodec.output import atomic_output

Row = dict[str, Any]
"""An utterance: `id`, `path` (absolute), `speaker`, `text`, `language`, and what else its dataset says of it."""

download_option = click.option("--download", is_flag=True, help="Let torchaudio fetch what is missing into ROOT first.")


def manifest_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add what every recipe takes: ROOT, --out and --force."""
    root = click.argument("root", type=click.Path(path_type=Path, resolve_path=True))
    out = click.option("--out", type=click.Path(path_type=Path), required=True, help="The manifest, JSON lines.")
    force = click.option("--force", is_flag=True, help="Replace an existing manifest.")
    return root(out(force(command)))


def run(command: click.Command) -> None:
    """Run a recipe; bad input ends it with one line on stderr and exit code 1."""
    try:
        command()
    except VqcodecError as error:
        sys.exit(f"Error: {error}")


def note(message: str) -> None:
    """Tell on stderr what a user should know of the result."""
    click.echo(message, err=True)


def write_manifest(rows: Iterable[Row], out: Path, *, force: bool) -> None:
    """Write `rows` to `out`, complete or not at all; those whose audio is missing are left out and counted.

    A path below the folder of `out` is written relative to it, so that they can move together. Raises AudioError if
    no row is left, OutputError if `out` exists (without `force`) or cannot be written.
    """
    folder = out.parent.resolve()
    written, missing = 0, list[Path]()
    with atomic_output(out, force=force) as temporary, temporary.open("w", encoding="ascii") as file:
        for row in rows:
            path: Path = row["path"]
            if not os.path.isfile(path):
                missing.append(path)
                continue
            relative = path.relative_to(folder) if path.is_relative_to(folder) else path
            file.write(json.dumps({**row, "path": str(relative)}) + "\n")
            written += 1
        if not written:
            example = f" ({len(missing)} recordings are missing, first {missing[0]})" if missing else ""
            raise AudioError(f"{out}: would be empty, no utterance found{example}; is the dataset unpacked?")
    if missing:
        note(f"{len(missing)} utterances left out, their audio is missing, first {missing[0]}")
    note(f"{out}: {written} utterances")


def open_dataset(name: str, root: Path, *arguments: str, folder: str, download: bool) -> Any:
    """The dataset `name` of torchaudio, for its list of what lies in `folder` of `root`; indexing it would read audio.

    Raises AudioError if it is not there and cannot be fetched, ConfigError if there is no torchaudio that works.
    """
    if not download and not (root / folder).is_dir():
        raise AudioError(f"{root / folder}: no such folder; ROOT is what holds {folder}, --download fetches it")
    try:
        from torchaudio import datasets
    except (ImportError, OSError) as error:  # OSError: built for another torch
        raise ConfigError(f"torchaudio cannot be imported ({_line(error)}); install the one of your torch") from None
    try:
        if download:
            root.mkdir(parents=True, exist_ok=True)
        return getattr(datasets, name)(root, *arguments, download=download)
    except Exception as error:  # of the network, an archive, a listing: torchaudio does not say which
        doing = "fetch or list" if download else "list"
        raise AudioError(
            f"{root / folder}: torchaudio cannot {doing} it ({_line(error)}); delete it, get it again"
        ) from None


def transcript(path: Path) -> str:
    """The text of a file, without the space around it. Raises AudioError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AudioError(f"{path}: cannot read the text ({_line(error)}); unpack the dataset again") from None


def speaker_lines(path: Path) -> list[str]:
    """The lines of a table of speakers, none if it is missing, for audio is worth having without."""
    if path.is_file():
        return transcript(path).splitlines()
    note(f"{path}: missing, so what it says of the speakers stays empty")
    return []


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
