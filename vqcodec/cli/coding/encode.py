"""vqcodec encode: audio files -> .vqc."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from vqcodec.cli.coding.live import LiveEncodeOptions, check_live, encode_stream, live_encode_options
from vqcodec.cli.common import (
    device_option,
    echo,
    effort_option,
    engine_option,
    force_option,
    limit_threads,
    on_truncated_option,
    progress,
    source_of,
    target_of,
)
from vqcodec.errors import OutputError, VqcodecError
from vqcodec.models.effort import Effort
from vqcodec.models.zoo import DEFAULT_MODEL, EngineName

if TYPE_CHECKING:
    from vqcodec.audio.extent import OnTruncated
    from vqcodec.files.request import EncodeOptions


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="INPUT... [OUTPUT]")
@click.option("--kbps", type=click.FloatRange(min=0, min_open=True), help="Highest nominal rate per channel.")
@click.option("--codebooks", type=click.IntRange(min=1), help="Number of codebooks, instead of --kbps.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Name of a bundled model or a weights file.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=TEXT", help="Tag to add; the input's title etc. are kept.")
@click.option("--out-dir", type=click.Path(path_type=Path), help="Folder for the .vqc of several inputs.")
@live_encode_options
@on_truncated_option
@effort_option
@engine_option
@device_option
@force_option
def encode(
    paths: tuple[str, ...],
    kbps: float | None,
    codebooks: int | None,
    model: str,
    tags: tuple[str, ...],
    out_dir: Path | None,
    on_truncated: "OnTruncated",
    effort: Effort,
    engine: EngineName,
    device: str,
    force: bool,
    **live: Unpack[LiveEncodeOptions],
) -> None:
    """Encode audio to .vqc, by default with all codebooks of the model.

    INPUT is a WAV, FLAC, Ogg or MP3 file, with PyAV also m4a and the like, of any rate from 4 to 192 kHz and any number
    of channels. With --out-dir there may be many, also folders, globs, and CSV or JSONL manifests. "-" is standard
    input or output. At most 4 threads compute; OMP_NUM_THREADS in the environment sets another number.

    With --live INPUT is a stream of WAV, its length unknown, or of raw samples; it ends with its input, Ctrl-C or
    SIGTERM, and OUTPUT then is complete. Chunks cost 64 bits each, 0.8 kbps at 80 ms and 3.2 at 20, and only
    multiples of 4 frames (80 ms) waste no bits of codes: all codebooks are 6.8 kbps at 80 ms and 12.8 at 20.

    \b
    vqcodec encode speech.wav speech.vqc --kbps 3
    vqcodec encode recordings/ --out-dir coded/
    arecord -f S16_LE -r 16000 | vqcodec encode --live - - | vqcodec decode --live - - | aplay
    """
    from vqcodec.models import zoo
    from vqcodec.models.engine import rate_note

    if kbps is not None and codebooks is not None:
        raise click.UsageError("give --kbps or --codebooks, not both")
    check_live(live)
    if live["live"] and out_dir is not None:
        raise click.UsageError("--live encodes one stream, not a folder")
    if out_dir is not None:
        jobs = _jobs(paths, out_dir)
    elif len(paths) == 2:
        jobs = [(paths[0], paths[1])]
    else:
        raise click.UsageError("give one INPUT and one OUTPUT, or inputs and --out-dir")
    limit_threads()
    codec = zoo.load_engine(model, engine=engine, device=device, effort=effort)
    codec.codebooks_for(kbps=kbps, num_codebooks=codebooks)
    if note := rate_note(codec, kbps):
        echo(note, err=True)
    options: EncodeOptions = {
        "model": codec,
        "kbps": kbps,
        "num_codebooks": codebooks,
        "tags": _parse_tags(tags),
        "on_truncated": on_truncated,
        "force": force,
    }
    if live["live"]:
        encode_stream(*jobs[0], live, **options)
    else:
        _encode_all(jobs, options)


def _encode_all(jobs: list[tuple[str, str]], options: "EncodeOptions") -> None:
    """Encode files by turns; one that fails keeps no other from it."""
    failures = 0
    for source, target in jobs:
        try:
            _encode_one(source, target, options)
        except VqcodecError as error:
            if len(jobs) == 1:
                raise
            failures += 1
            echo(f"Error: {error}", err=True)
    if failures:
        raise click.ClickException(f"{failures} of {len(jobs)} files failed")


def _encode_one(source: str, target: str, options: "EncodeOptions") -> None:
    """Encode one file and tell how it went."""
    from vqcodec.files.convert import encode_file

    started = time.monotonic()
    with progress(source) as report:
        summary = encode_file(source_of(source), target_of(target), on_progress=report, **options)
    seconds = summary.duration_seconds
    rate = "" if math.isnan(summary.kbps) else f", {summary.kbps:.2f} kbps"
    speed = seconds / max(1e-9, time.monotonic() - started)
    echo(f"{target}: {seconds:.2f} s, {summary.file_bytes} bytes{rate}, {speed:.0f} x real time", err=True)


def _parse_tags(tags: tuple[str, ...]) -> dict[str, str]:
    """Names and texts of NAME=TEXT."""
    pairs = [tag.partition("=") for tag in tags]
    if not all(equals for _, equals, _ in pairs):
        raise click.UsageError("a tag is NAME=TEXT, such as --tag title=Moon")
    return {name: text for name, _, text in pairs}


def _jobs(sources: tuple[str, ...], out_dir: Path) -> list[tuple[str, str]]:
    """Pairs of input and output; the tree below a folder is kept. Raises OutputError if two outputs are one file."""
    from vqcodec.audio.discover import find_audio

    inputs: dict[Path, Path] = {}
    for source in sources:
        for clip in find_audio([source]):
            root = Path(source) if Path(source).is_dir() else clip.path.parent
            target = out_dir / clip.path.relative_to(root).with_suffix(".vqc")
            if not inputs.setdefault(target, clip.path).samefile(clip.path):
                raise OutputError(f"{clip.path} and {inputs[target]} would both become {target}; rename one")
    try:
        for target in inputs:
            target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out_dir}: cannot make the folder ({error.strerror}); choose another") from None
    return [(str(source), str(target)) for target, source in inputs.items()]
