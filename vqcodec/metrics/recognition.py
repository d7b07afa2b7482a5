"""Word error rate by a recogniser that the user has: any program that prints what a WAV file says."""

import shlex
import subprocess
import tempfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from vqcodec.arrays import Wave
from vqcodec.errors import ConfigError
from vqcodec.metrics.metric import Metric, UndefinedError
from vqcodec.system.workers import ending

_PLACE = "{wav}"


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


def wer_by(template: str, text: str | None = None) -> Metric:
    """Make `wer` by the command `template`, such as `recognise {wav}`, against `text` or what it hears in the original.

    No shell runs it. Raises ConfigError for a template without {wav}.
    """
    if _PLACE not in template:
        raise ConfigError(f"{template!r} has no {_PLACE}, the place of the file to recognise")

    def compute(wave: Wave, wave_hat: Wave, rate_hz: int) -> float:
        said = words_of(_heard(template, wave.tobytes(), rate_hz) if text is None else text)
        if not said:
            raise UndefinedError("no words are said")
        return edit_distance(said, words_of(_heard(template, wave_hat.tobytes(), rate_hz))) / len(said)

    return replace(wer, compute=compute)


def words_of(text: str) -> list[str]:
    """Return the words in lower case without punctuation, which recognisers write each in their own way."""
    kept = (c if c.isalnum() or c in "'\u2019" else " " for c in text.lower())
    return "".join(kept).replace("\u2019", "'").split()


def edit_distance(words: list[str], words_hat: list[str]) -> int:
    """Return the fewest substitutions, deletions and insertions that lead from one to the other."""
    row = list(range(len(words_hat) + 1))
    for i, word in enumerate(words, 1):
        diagonal, row[0] = row[0], i
        for j, word_hat in enumerate(words_hat, 1):
            diagonal, row[j] = row[j], min(diagonal + (word != word_hat), row[j] + 1, row[j - 1] + 1)
    return row[-1]


@lru_cache(maxsize=16)
def _heard(template: str, samples: bytes, rate_hz: int) -> str:
    """What the program prints; the original is heard once for all codecs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.wav"
        soundfile.write(path, np.clip(np.frombuffer(samples, np.float32), -1, 1), rate_hz, subtype="PCM_16")
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
