"""detokenize: the utterances of a token dataset as audio files again."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from vqcodec.bitstream import VqcReader
from vqcodec.errors import AudioError, BitstreamError, ConfigError, OutputError, TokensError
from vqcodec.files.convert import decode_file
from vqcodec.files.request import Engines, codec_of
from vqcodec.models.engine import Engine
from vqcodec.output import check_output, output_errors
from vqcodec.tokens.formats.blobs import codes_to_vqc
from vqcodec.tokens.reader import TokenDataset, open_tokens
from vqcodec.tokens.utterances import TokenizedUtterance, check_id

AudioFormat = Literal["wav", "flac", "ogg", "mp3", "opus"]
AUDIO_FORMATS: tuple[AudioFormat, ...] = get_args(AudioFormat)


@dataclass
class Detokenized:
    """What was written; `failures`: id and error of each utterance that was not."""

    utterances: int = 0
    seconds: float = 0.0
    failures: list[tuple[str, str]] = field(default_factory=list)


def detokenize(
    tokens: str | Path,
    folder: str | Path,
    *,
    format: AudioFormat = "wav",
    num_codebooks: int | None = None,
    model: str | Path | None = None,
    device: str = "cpu",
    force: bool = False,
    on_progress: Callable[[float, float], None] | None = None,
) -> Detokenized:
    """Write `folder`/<id>.wav for each utterance of the output `tokens`, with the rate and length of its original.
    A .opus has the next rate that there is.

    The samples are those that `vqcodec decode` makes of the same codes; `num_codebooks` uses the first ones only.
    `on_progress` hears of the seconds done and in all. One utterance that is damaged, or whose rate the format cannot
    hold, stops no other. Raises before any work ConfigError, ModelError, TokensError, and OutputError for a file that
    exists, without `force`; and OutputError where nothing more can be written.
    """
    if format not in AUDIO_FORMATS:
        raise ConfigError(f"format {format!r} is none of {', '.join(AUDIO_FORMATS)}")
    dataset = open_tokens(tokens, model=model)
    if num_codebooks is not None and not 1 <= num_codebooks <= dataset.num_codebooks:
        raise ConfigError(f"{num_codebooks} codebooks are not in 1..{dataset.num_codebooks}, what the tokens have")
    ids = dataset.ids
    targets = [Path(folder) / f"{utterance_id}.{format}" for utterance_id in ids]
    _check_targets(ids, targets, force=force)
    codec = _codec(dataset, model, device)
    with output_errors(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
    done = Detokenized()
    files = frozenset(targets)
    for position, target in enumerate(targets):
        try:
            if not files.isdisjoint(target.parents):
                raise TokensError("another id has a file where this one needs a folder; rename one")
            seconds = _write(dataset[position], target, dataset, codec, num_codebooks)
        except (AudioError, BitstreamError, TokensError) as error:
            done.failures.append((ids[position], str(error)))
            continue
        done.utterances += 1
        done.seconds += seconds
        if on_progress is not None:
            on_progress(done.seconds, dataset.totals.seconds)
    return done


def _check_targets(ids: list[str], targets: list[Path], *, force: bool) -> None:
    """Raise AudioError for an id that leads out of the folder, OutputError for a file that exists without `force`."""
    for utterance_id in ids:
        check_id(utterance_id, where="the tokens")
    existing = [] if force else [target for target in targets if target.exists()]
    if existing:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise OutputError(f"{existing[0]}{more}: exists already; use --force to replace, or another folder")


def _codec(dataset: TokenDataset, model: str | Path | None, device: str) -> Engine:
    """The model that made the tokens, as a .vqc of no frames names it."""
    settings = dataset.settings
    nothing = TokenizedUtterance("", np.zeros((settings.num_codebooks, 0), np.uint16), 0, settings.sample_rate_hz, "")
    header = VqcReader(io.BytesIO(codes_to_vqc(nothing, settings, None))).header
    return codec_of(header, model, Engines(device=device))


def _write(
    row: TokenizedUtterance, target: Path, dataset: TokenDataset, codec: Engine, num_codebooks: int | None
) -> float:
    """Write one file; returns its seconds. Raises TokensError for a length that the codes do not have."""
    try:
        data = codes_to_vqc(row, dataset.settings, None)
    except (ValueError, BitstreamError) as error:
        raise TokensError(f"the row contradicts itself ({error})") from None
    with output_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    check_output(target, force=True)
    return decode_file(io.BytesIO(data), target, model=codec, num_codebooks=num_codebooks, force=True).duration_seconds
