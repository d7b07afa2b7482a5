"""Results on disk: JSON lines, one per clip, codec, rate and condition, appended as they come.

The last of its kind counts.
"""

import dataclasses
import json
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vqcodec.errors import ConfigError
from vqcodec.evaluation.conditions import CONDITION_COLUMNS, PLAIN, Condition
from vqcodec.output import output_errors
from vqcodec.texts import MOST_LIST_BYTES, parse_object, read_limited

RESULTS = "results.jsonl"

Key = tuple[str, str, float | None, *tuple[Condition, ...]]
"""Codec, clip and rate asked, and the condition unless it is the plain one."""


@dataclass(frozen=True)
class Result:
    """One clip through one codec at one rate under one condition. With an `error`, numbers are None, without scores.

    clip_hash tells clips of one name apart: the first digits of the SHA-256 of the file, and of its part.
    kbps is 8 times the bytes of the last coded file over the seconds in it; payload_kbps leaves headers out (None where
    the codec does not tell). delay_samples was taken out before scoring. A score that is not defined is NaN, and
    `undefined` says why, by metric; so is one whose computation broke off, and `failed` says how. trained_on names
    metrics that a loss of the codec's training is a model of.
    """

    codec: str
    version: str
    clip: str
    kbps_asked: float | None
    rate_hz: int | None = None
    seconds: float | None = None
    kbps: float | None = None
    payload_kbps: float | None = None
    encode_seconds: float | None = None
    decode_seconds: float | None = None
    delay_samples: int | None = None
    codebook_size: int | None = None
    clip_hash: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    undefined: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    condition: Condition = PLAIN
    trained_on: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """What a later result of the same replaces."""
        plain = self.codec, self.clip, self.kbps_asked
        return plain if self.condition == PLAIN else (*plain, self.condition)

    @property
    def failures(self) -> list[str]:
        """Tell what went wrong, a line each: the whole of it, or some metrics."""
        at = said_of(self.kbps_asked, self.condition)
        lines = [f"{self.clip}: {metric} of {self.codec}{at}: {how}" for metric, how in self.failed.items()]
        return lines if self.error is None else [f"{self.clip}: {self.error}"]


def said_of(kbps: float | None, condition: Condition) -> str:
    """Return what messages say behind the name of a codec: the rate that was asked, if any, and the condition."""
    at = "" if kbps is None else f" at {kbps:g} kbps"
    return f"{at} ({condition.label})" if condition.label else at


_REST = ("undefined", "failed", "columns", "error", "trained_on")
_NUMBERS = (
    *("kbps_asked", "rate_hz", "seconds", "kbps", "payload_kbps", "encode_seconds", "decode_seconds"),
    *("delay_samples", "codebook_size"),
)
_MOST_CODES = 1 << 16
"""Codes of a codebook: what is counted of it is held in memory."""
_FACTS = tuple(f.name for f in dataclasses.fields(Result) if f.name not in ("scores", "condition", *_REST))


def to_json(result: Result) -> str:
    """Write one line: facts, the condition, every score by its name (null: not defined), why, columns, error and such.

    Of the condition there is what is not as by default.
    """
    row: dict[str, Any] = {name: _rounded(getattr(result, name)) for name in _FACTS}
    row |= result.condition.columns()
    row |= {name: None if math.isnan(score) else _rounded(score) for name, score in result.scores.items()}
    row |= {name: value for name in _REST if (value := getattr(result, name))}
    return json.dumps(row, ensure_ascii=False, default=dict)


def from_json(line: str) -> Result:
    """Return the result of one line. Raises ValueError or TypeError for anything else."""
    row = parse_object(line)
    check_texts(row)
    facts = {name: row.pop(name) for name in (*_FACTS, *_REST) if name in row}
    asked = {name: row.pop(name) for name in CONDITION_COLUMNS if name in row}
    scores = {name: math.nan if score is None else _number(score) for name, score in row.items()}
    try:
        condition = Condition(**asked)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    facts["trained_on"] = tuple(_texts(facts.get("trained_on", [])))
    return _checked(Result(**facts, scores=scores, condition=condition))


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise TypeError(f"{value!r:.60} is no list of texts")
    return value


def _checked(result: Result) -> Result:
    """`result`, whose fields have the types that they should have. Raises ValueError or TypeError."""
    texts = (result.codec, result.version, result.clip)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{texts!r:.60} are no texts")
    if not all(text is None or isinstance(text, str) for text in (result.clip_hash, result.error)):
        raise TypeError(f"{result.error!r:.60} is no text")
    for name in _NUMBERS:
        value = getattr(result, name)
        if value is not None and (not math.isfinite(_number(value)) or (value < 0 and name != "delay_samples")):
            raise ValueError(f"{name} {value!r:.60} cannot be")
    if result.codebook_size is not None and not (
        type(result.codebook_size) is int and 1 <= result.codebook_size <= _MOST_CODES
    ):
        raise ValueError(f"codebook_size {result.codebook_size!r:.60} cannot be")
    if result.error is None and not (result.seconds and result.kbps is not None):
        raise ValueError("neither seconds and kbps nor an error")
    for mapping in (result.undefined, result.failed, result.columns):
        check_text_mapping(mapping)
    return result


def check_text_mapping(mapping: object) -> None:
    """Raise TypeError for anything but a mapping of texts to texts."""
    if not isinstance(mapping, Mapping) or not all(isinstance(text, str) for pair in mapping.items() for text in pair):
        raise TypeError(f"{mapping!r:.60} are no texts by name")


def check_texts(values: object) -> None:
    """Raise ValueError for texts that a page cannot hold: JSON can name one half of a pair of surrogates."""
    json.dumps(values, ensure_ascii=False).encode()


def _number(value: Any) -> float:
    if type(value) not in (int, float) or abs(value) > sys.float_info.max:
        raise TypeError(f"{value!r:.60} is no number")
    return float(value)


def read_results(path: Path) -> list[Result]:
    """Return the results of a file or of the folder of an evaluation, the last of each key, in order.

    A last line that was cut, as a kill leaves it, does not count. Raises ConfigError for a missing file or one that is
    of something else.
    """
    path = path / RESULTS if path.is_dir() else path
    try:
        text = read_limited(path, MOST_LIST_BYTES).decode("utf-8", "surrogateescape")  # a bad byte is a bad line
    except OSError as error:
        raise ConfigError(f"{path}: no results ({error.strerror}); vqcodec evaluate writes them") from None
    except ValueError as error:
        raise ConfigError(f"{path}: no results ({error}); give the folder of an evaluation") from None
    lines = text.split("\n")[:-1]  # what follows the last newline is empty or cut
    results: dict[Key, Result] = {}
    for line_number, line in enumerate(lines, start=1):
        try:
            result = from_json(line)
        except (ValueError, TypeError):
            raise ConfigError(f"{path}: line {line_number} is no result; remove it") from None
        results[result.key] = result
    return list(results.values())


class ResultsFile:
    """Appends results; each is on disk when `add` returns. A context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with output_errors(path):
            _cut_unfinished_line(path)
            self._file = path.open("a", encoding="utf-8")

    def add(self, result: Result) -> None:
        """Write one line. Raises OutputError on a full disk."""
        with output_errors(self._path):
            self._file.write(to_json(result) + "\n")
            self._file.flush()

    def __enter__(self) -> "ResultsFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def finished(results: Iterable[Result], metrics: Iterable[str]) -> dict[Key, Result]:
    """Select those without a failure that have every one of `metrics`, by key."""
    wanted = set(metrics)
    return {r.key: r for r in results if not r.failures and wanted <= r.scores.keys()}


def _rounded(value: Any) -> Any:
    """Numbers with six digits: what a metric means, and half the bytes."""
    return float(f"{value:.6g}") if isinstance(value, float) and math.isfinite(value) else value


def _cut_unfinished_line(path: Path) -> None:
    """Remove what a kill left of a last line, so that the next one begins on its own."""
    if path.exists():
        with path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)
