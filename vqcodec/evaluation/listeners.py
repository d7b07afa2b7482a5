"""What listeners of the blind test said: their files, who of them is left out, and means with intervals.

The test is after ITU-R BS.1534-3 (2015), MUSHRA, and so is the screening (its section 4.1.2).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vqcodec.errors import ConfigError
from vqcodec.evaluation.results import check_texts
from vqcodec.texts import read_json_object

ORIGINAL = "original"
"""The codec of the hidden reference."""
ANCHOR = "3.5 kHz low-pass"
"""The codec of the anchor."""
_GOOD = 90
_MOST_SHARE = 0.15


@dataclass(frozen=True)
class Rating:
    """One score, 0 to 100, of one rendering of a clip; of the hidden reference and the anchor too."""

    clip: str
    codec: str
    condition: str
    kbps_asked: float | None
    score: float


@dataclass(frozen=True)
class Listener:
    """What one file holds; `name` is that of the file without its suffix."""

    name: str
    ratings: Sequence[Rating]

    @property
    def fault(self) -> str | None:
        """Tell why BS.1534-3 leaves this listener out, None where it does not."""
        for codec, is_wrong, said in (
            (ORIGINAL, lambda score: score < _GOOD, f"the hidden reference below {_GOOD}"),
            (ANCHOR, lambda score: score > _GOOD, f"the anchor above {_GOOD}"),
        ):
            scores = [rating.score for rating in self.ratings if rating.codec == codec]
            wrong = sum(map(is_wrong, scores))
            if wrong > _MOST_SHARE * len(scores):
                return f"rated {said} in {wrong} of {len(scores)} clips"
        if not any(rating.codec == ORIGINAL for rating in self.ratings):
            return "rated no hidden reference"
        return None


@dataclass(frozen=True)
class Opinion:
    """The mean score of a codec at a rate under a condition: over its listeners, of each the mean over clips.

    half: of the 95 % interval over listeners, by Student's t; NaN for one of them.
    """

    codec: str
    condition: str
    kbps_asked: float | None
    mean: float
    half: float
    listeners: int
    ratings: int


def read_listeners(folder: Path) -> list[Listener]:
    """Return a listener for each .json file of `folder`, as the page of an evaluation downloads them, by name.

    Raises ConfigError for a folder without any, for another kind of file, and for two files of the same scores.
    """
    listeners: list[Listener] = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            values = read_json_object(path)
            check_texts(values)
            listener = Listener(path.stem, _ratings(values))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{path}: no scores of a blind test ({error}); remove it from the folder") from None
        same = next((other for other in listeners if other.ratings == listener.ratings), None)
        if same is not None:
            raise ConfigError(f"{path}: has the scores of {same.name}.json; remove one of the two")
        listeners.append(listener)
    if not listeners:
        raise ConfigError(f"{folder}: no .json of a listener; the page's blind test downloads them")
    return listeners


def opinions(listeners: Iterable[Listener]) -> list[Opinion]:
    """Compute the mean of each codec, rate and condition over those listeners who are not left out, the best first."""
    scores: dict[tuple[str, str, float | None], dict[str, list[float]]] = {}
    for listener in listeners:
        for rating in listener.ratings if listener.fault is None else ():
            key = rating.codec, rating.condition, rating.kbps_asked
            scores.setdefault(key, {}).setdefault(listener.name, []).append(rating.score)
    found = []
    for key, by_listener in scores.items():
        means = np.array([np.mean(each) for each in by_listener.values()])
        count = sum(map(len, by_listener.values()))
        found.append(Opinion(*key, float(means.mean()), _half(means), len(means), count))
    return sorted(found, key=lambda opinion: -opinion.mean)


def _half(means: Any) -> float:
    """Half of the 95 % interval of a mean: t * S / sqrt(N), BS.1534-3 section 9.2."""
    from scipy.stats import t

    count = len(means)
    return float(t.ppf(0.975, count - 1) * np.std(means, ddof=1) / math.sqrt(count)) if count > 1 else math.nan


def _ratings(values: dict[str, Any]) -> list[Rating]:
    """The scores of a file that were given. Raises ValueError, TypeError, KeyError."""
    if values.get("method") != "MUSHRA" or not isinstance(values["scores"], list):
        raise ValueError("its method is not MUSHRA, or it has no list of scores")
    ratings = []
    for row in values["scores"]:
        score, kbps = row["score"], row.get("kbps_asked")
        if score is None:
            continue
        texts = row["clip"], row["codec"], row.get("condition", "")
        if not all(isinstance(text, str) for text in texts):
            raise TypeError(f"{texts!r:.60} are no texts")
        if type(score) not in (int, float) or not 0 <= score <= 100:
            raise ValueError(f"the score {score!r:.20} is none of 0 to 100")
        if kbps is not None and (type(kbps) not in (int, float) or not 0 < kbps < 1e6):
            raise ValueError(f"kbps_asked {kbps!r:.20} cannot be")
        ratings.append(Rating(*texts, kbps, float(score)))
    if not ratings:
        raise ValueError("nothing was rated")
    if len({(r.clip, r.codec, r.condition, r.kbps_asked) for r in ratings}) < len(ratings):
        raise ValueError("a rendering is rated twice")
    return ratings
