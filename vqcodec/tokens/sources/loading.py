"""The audio of an utterance as mono blocks: from a file, an excerpt, a tar member, a `datasets` folder, a command."""

import functools
import io
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from vqcodec.arrays import Wave
from vqcodec.audio import OnTruncated
from vqcodec.audio.discover import spelled
from vqcodec.audio.downmix import Downmix
from vqcodec.audio.excerpt import Excerpt
from vqcodec.audio.reader import AudioReader
from vqcodec.audio.resample import Resampler
from vqcodec.errors import AudioError
from vqcodec.system.workers import ending
from vqcodec.tokens.utterances import Utterance


@dataclass
class Loaded:
    """An utterance being read: `blocks` of mono at the model's rate [1, n]; `samples` read so far, at the original."""

    rate_hz: int
    blocks: Iterator[Wave]
    samples: int = 0


def load(
    utterance: Utterance, sample_rate_hz: int, *, block_seconds: float, on_truncated: OnTruncated = "refuse"
) -> Loaded:
    """Open an utterance. Raises AudioError, also while its blocks are read: every problem of its audio is one.

    The blocks are the same samples whatever `block_seconds` is: ceil(samples * sample_rate_hz / rate_hz) in all.
    `on_truncated` as in AudioReader.
    """
    source = _source_of(utterance)
    audio = AudioReader(source, name=None if isinstance(source, Path) else utterance.source, on_truncated=on_truncated)
    loaded = Loaded(audio.rate_hz, iter(()))
    loaded.blocks = _blocks(audio, utterance, loaded, sample_rate_hz, round(block_seconds * audio.rate_hz))
    return loaded


def _blocks(
    audio: AudioReader, utterance: Utterance, loaded: Loaded, sample_rate_hz: int, block_samples: int
) -> Iterator[Wave]:
    resampler = Resampler(audio.rate_hz, sample_rate_hz, channels=1)
    downmix = Downmix(utterance.source)
    with audio:
        excerpt = Excerpt(utterance.start_seconds, utterance.duration_seconds, utterance.channel)
        for wave in excerpt.read(audio, block_samples, utterance.source):
            loaded.samples += wave.shape[1]
            yield resampler.push(downmix.push(wave))
        downmix.check()
    yield resampler.flush()


def _source_of(utterance: Utterance) -> Path | BinaryIO:
    if utterance.command is not None:
        return _output_of(utterance)
    if utterance.member is not None:
        return _member_of(utterance, *utterance.member)
    if utterance.row is not None:
        return _row_of(utterance, utterance.row)
    return _regular(spelled(Path(utterance.path)))


def _regular(path: Path) -> Path:
    """`path`, unless opening it would wait for ever, as that of a named pipe, or never end, as that of a device."""
    if path.is_dir():
        raise AudioError(f"{path}: is a folder; give the path of a file")
    if path.exists() and not path.is_file():
        raise AudioError(f"{path}: is not a regular file but a pipe or device; leave it out")
    return path


def _output_of(utterance: Utterance) -> BinaryIO:
    assert utterance.command is not None
    done = subprocess.run(utterance.command, shell=True, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"it {ending(done.returncode)}"]
        raise AudioError(f"{utterance.source}: the command failed ({why[0]})")
    return io.BytesIO(done.stdout)


def _member_of(utterance: Utterance, offset: int, length_bytes: int) -> BinaryIO:
    try:
        with Path(utterance.path).open("rb") as archive:
            if offset + length_bytes > archive.seek(0, os.SEEK_END):
                raise AudioError(f"{utterance.source}: {utterance.path} ends before it does; copy the archive again")
            archive.seek(offset)
            return io.BytesIO(archive.read(length_bytes))
    except OSError as error:
        raise AudioError(f"{utterance.source}: cannot read ({error.strerror})") from None


def _row_of(utterance: Utterance, row: int) -> Path | BinaryIO:
    """The audio of a row of a saved dataset: bytes inside it, or a file that it names."""
    try:
        value = _saved_dataset(utterance.path)[row]["audio"]
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise AudioError(f"{utterance.source}: cannot read ({error})") from None
    return io.BytesIO(value["bytes"]) if value["bytes"] is not None else _regular(Path(value["path"]))


@functools.lru_cache(maxsize=8)
def _saved_dataset(path: str) -> Any:
    """A dataset of `datasets.save_to_disk`, memory-mapped, whose only column is the undecoded `audio`."""
    from vqcodec.tokens.sources.huggingface import open_saved

    dataset, name = open_saved(path)
    return dataset.select_columns([name]).rename_column(name, "audio") if name != "audio" else dataset
