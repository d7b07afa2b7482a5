"""Errors of words and characters by a recogniser that the user has.

It is any program that prints what a WAV file says, or a model of faster-whisper in a folder.
"""

import shlex
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from vqcodec.arrays import Wave
from vqcodec.errors import ConfigError
from vqcodec.metrics.metric import Metric, UndefinedError, resampled
from vqcodec.system.workers import ending

WHISPER = "whisper:"
"""Stands before a folder with a model of faster-whisper."""

_PLACE = "{wav}"
_WHISPER_HZ = 16000
_WHISPER_FILES = ("model.bin", "tokenizer.json")
"""Without the second, faster-whisper would fetch one."""


def _no_recogniser(wave: Wave, wave_hat: Wave, rate_hz: int) -> float:
    raise UndefinedError("no recogniser is given")


wer = Metric(
    name="wer",
    title="WER",
    unit="share of words",
    low=0.0,
    high=None,
    higher_is_better=False,
    rate="of the clip",
    source="words wrong, missing or added over words said; edit distance, Wagner and Fischer 1974",
    compute=_no_recogniser,
)


cer = replace(
    wer,
    name="cer",
    title="CER",
    unit="share of characters",
    source="characters wrong, missing or added over characters said, a space between words; edit distance as wer",
)


def wer_by(recogniser: str, text: str | None = None) -> Metric:
    """Make `wer` by a recogniser, against `text` or what it hears in the original.

    recogniser: a command such as `recognise {wav}`, which no shell runs, or whisper:FOLDER. Raises ConfigError for a
    command without {wav}, and for a folder without a model of faster-whisper.
    """
    return _counted(wer, recogniser, text, words_of)


def cer_by(recogniser: str, text: str | None = None) -> Metric:
    """Make `cer` as `wer_by` makes `wer`."""
    return _counted(cer, recogniser, text, lambda said: list(" ".join(words_of(said))))


RECOGNISED: dict[str, Callable[[str, str | None], Metric]] = {"wer": wer_by, "cer": cer_by}
"""Metrics that want a recogniser, by their names."""


def _counted(metric: Metric, recogniser: str, text: str | None, parts: Callable[[str], list[str]]) -> Metric:
    """`metric` by a recogniser: the errors of `parts` of what is said, words or characters."""
    _check(recogniser)

    def compute(wave: Wave, wave_hat: Wave, rate_hz: int) -> float:
        said = parts(_heard(recogniser, wave.tobytes(), rate_hz) if text is None else text)
        if not said:
            raise UndefinedError("no words are said")
        return edit_distance(said, parts(_heard(recogniser, wave_hat.tobytes(), rate_hz))) / len(said)

    return replace(metric, compute=compute)


def words_of(text: str) -> list[str]:
    """Return the words in lower case without punctuation, which recognisers write each in their own way."""
    kept = (c if c.isalnum() or c in "'\u2019" else " " for c in text.lower())
    return "".join(kept).replace("\u2019", "'").split()


def edit_distance(words: Sequence[str], words_hat: Sequence[str]) -> int:
    """Return the fewest substitutions, deletions and insertions that lead from one to the other."""
    row = list(range(len(words_hat) + 1))
    for i, word in enumerate(words, 1):
        diagonal, row[0] = row[0], i
        for j, word_hat in enumerate(words_hat, 1):
            diagonal, row[j] = row[j], min(diagonal + (word != word_hat), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def _check(recogniser: str) -> None:
    if not recogniser.startswith(WHISPER):
        if _PLACE not in recogniser:
            raise ConfigError(
                f"{recogniser!r} has no {_PLACE}, the place of the file to recognise, and is no {WHISPER}FOLDER"
            )
        return
    folder = Path(recogniser.removeprefix(WHISPER))
    lacking = [name for name in _WHISPER_FILES if not (folder / name).is_file()]
    if lacking:
        raise ConfigError(f"{folder}: has no {lacking[0]}; give a folder with a model of faster-whisper")
    if find_spec("faster_whisper") is None:
        raise ConfigError(f"{recogniser} needs faster-whisper; pip install faster-whisper")


@lru_cache(maxsize=16)
def _heard(recogniser: str, samples: bytes, rate_hz: int) -> str:
    """What it hears; the original is heard once for all codecs."""
    wave = np.clip(np.frombuffer(samples, np.float32), -1, 1)
    if recogniser.startswith(WHISPER):
        return _heard_by_whisper(recogniser.removeprefix(WHISPER), wave, rate_hz)
    return _heard_by_command(recogniser, wave, rate_hz)


def _heard_by_whisper(folder: str, wave: Wave, rate_hz: int) -> str:
    """The likeliest text: nothing is drawn, so that the same sound says the same."""
    given = resampled(wave, rate_hz, _WHISPER_HZ)
    segments, _ = _whisper(folder).transcribe(given, temperature=0.0, condition_on_previous_text=False)
    return " ".join(segment.text.strip() for segment in segments)


@lru_cache(maxsize=1)
def _whisper(folder: str) -> Any:
    import torch
    from faster_whisper import WhisperModel

    try:
        return WhisperModel(folder, cpu_threads=torch.get_num_threads(), local_files_only=True)
    except (RuntimeError, ValueError, OSError) as error:
        raise ConfigError(f"{folder}: faster-whisper cannot load it ({' '.join(str(error).split())})") from None


def _heard_by_command(template: str, wave: Wave, rate_hz: int) -> str:
    """What the program prints."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.wav"
        soundfile.write(path, wave, rate_hz, subtype="PCM_16")
        command = [part.replace(_PLACE, str(path)) for part in shlex.split(template)]
        try:
            result = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
            )
        except OSError as error:
            raise ConfigError(f"{command[0]}: the recogniser does not start ({error.strerror})") from None
    if result.returncode:
        last_line = (result.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise UndefinedError(f"the recogniser {ending(result.returncode)}: {last_line}")
    return result.stdout
