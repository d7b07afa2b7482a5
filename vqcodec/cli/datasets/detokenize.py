"""vqcodec detokenize: tokens -> audio files."""

from pathlib import Path
from typing import Any

import click

from vqcodec.cli.common import MODEL_HELP, device_option, echo, force_option, limit_threads, progress

_FORMATS = ("wav", "flac", "ogg", "mp3", "opus")


@click.command()
@click.argument("out", type=click.Path(path_type=Path), metavar="TOKENS")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--format", "kind", type=click.Choice(_FORMATS), default="wav", show_default=True)
@click.option("--codebooks", type=click.IntRange(min=1), help="Decode only the first codebooks: a lower rate's sound.")
@click.option("--model", help=f"For tokens of a model that is not bundled. {MODEL_HELP}")
@device_option
@force_option
def detokenize(
    out: Path, folder: Path, kind: Any, codebooks: int | None, model: str | None, device: str, force: bool
) -> None:
    """Decode the output of vqcodec tokenize to audio: FOLDER/<id>.wav, of the original rate and length.

    An utterance that fails stops no other; each is told at the end, and the exit code is then 1.

    \b
    vqcodec detokenize tokens/ audio/
    vqcodec detokenize tokens/ low/ --codebooks 2 --format flac
    """
    limit_threads()
    from vqcodec.tokens.decoding import detokenize as run

    with progress(str(out)) as report:
        done = run(
            out,
            folder,
            format=kind,
            num_codebooks=codebooks,
            model=model,
            device=device,
            force=force,
            on_progress=report,
        )
    echo(f"{folder}: {done.utterances} utterances, {done.seconds / 3600:.2f} h", err=True)
    _tell_failures(done.failures)
    if done.failures:
        raise click.ClickException(f"{len(done.failures)} of {done.utterances + len(done.failures)} utterances failed")


def _tell_failures(failures: list[tuple[str, str]]) -> None:
    """A line for each error: what is wrong with a shard is the error of all its utterances."""
    ids: dict[str, list[str]] = {}
    for utterance_id, error in failures:
        ids.setdefault(error, []).append(utterance_id)
    for error, utterance_ids in ids.items():
        more = f" and {len(utterance_ids) - 1} more" if len(utterance_ids) > 1 else ""
        echo(f"Error: {utterance_ids[0]}{more}: {error}", err=True)
