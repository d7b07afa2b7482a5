"""What listeners of the blind test said: their files, who of them is left out, and means with intervals.

The tests are after ITU-R BS.1534-3 (2015), MUSHRA, and so are the limits of the screening. MUSHRA 1S has one codec in a
trial, with the reference and an anchor that are in every trial (draft-lechler-mlcodec-test-battery-00, 2025).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vqcodec.errors import ConfigError
from vqcodec.evaluation.listening.abx import AbxTest, parse_abx
from vqcodec.evaluation.listening.stimulus import ANCHOR_ROLE, REFERENCE_ROLE, Stimulus, parse_stimulus
from vqcodec.evaluation.results import check_texts
from vqcodec.texts import read_json_object

MUSHRA, ONE_SYSTEM = "MUSHRA", "MUSHRA 1S"
"""The methods, as files name them."""
_GOOD = 90
_MOST_SHARE = 0.15


@dataclass(frozen=True)
class Rating:
    """One score, 0 to 100, of one rendering of a clip; of the hidden reference and the anchors too."""

    clip: str
    stimulus: Stimulus
    score: float


@dataclass(frozen=True)
class Listener:
    """What one file holds: ratings, or an ABX test. `name` is that of the file without its suffix.

    person: who is meant to have listened, of whom there may be several files; the page asks for it
    is_trained: whether everything was heard with its name before; None: the file does not say
    method: MUSHRA or ONE_SYSTEM, of ratings
    """

    name: str
    person: str
    ratings: Sequence[Rating] = ()
    abx: AbxTest | None = None
    is_trained: bool | None = None
    method: str = MUSHRA

    @property
    def fault(self) -> str | None:
        """Tell why this listener is left out, by BS.1534-3 or `AbxTest.fault`; None where that is not so."""
        if self.abx is not None:
            return self.abx.fault
        for role, is_wrong, said in (
            (REFERENCE_ROLE, lambda score: score < _GOOD, f"the hidden reference below {_GOOD}"),
            (ANCHOR_ROLE, lambda score: score > _GOOD, f"the anchor above {_GOOD}"),
        ):
            scores = [rating.score for rating in self.ratings if rating.stimulus.role == role]
            wrong = sum(map(is_wrong, scores))
            if wrong > _MOST_SHARE * len(scores):
                return f"rated {said} in {wrong} of {len(scores)} {'clips' if self.method == MUSHRA else 'trials'}"
        if not any(rating.stimulus.role == REFERENCE_ROLE for rating in self.ratings):
            return "rated no hidden reference"
        return None


@dataclass(frozen=True)
class Opinion:
    """The mean score of a codec at a rate under a condition: over its listeners, of each the mean over clips.

    half: of the 95 % interval over listeners, by Student's t; NaN for one of them.
    """

    stimulus: Stimulus
    mean: float
    half: float
    listeners: int
    ratings: int


def read_listeners(folder: Path) -> list[Listener]:
    """Return a listener for each .json file of `folder`, as the page of an evaluation downloads them, by name.

    Raises ConfigError for a folder without any, for another kind of file, for two files of the same test, and where
    some were asked by MUSHRA and some by MUSHRA 1S: what a codec was heard beside changes its scores.
    """
    listeners: list[Listener] = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            values = read_json_object(path)
            check_texts(values)
            listener = _listener(path.stem, values)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{path}: no scores of a blind test ({error}); remove it from the folder") from None
        said = listener.ratings, listener.abx
        same = next((other for other in listeners if (other.ratings, other.abx) == said), None)
        if same is not None:
            raise ConfigError(f"{path}: has the scores of {same.name}.json; remove one of the two")
        listeners.append(listener)
    if not listeners:
        raise ConfigError(f"{folder}: no .json of a listener; the page's blind test downloads them")
    if len({listener.method for listener in listeners if listener.ratings}) > 1:
        raise ConfigError(f"{folder}: has scores of {MUSHRA} and of {ONE_SYSTEM}, which do not compare; part them")
    return listeners


def opinions(listeners: Iterable[Listener]) -> list[Opinion]:
    """Compute the mean of each codec, rate and condition over those listeners who are not left out, the best first."""
    scores: dict[Stimulus, dict[str, list[float]]] = {}
    for listener in listeners:
        for rating in listener.ratings if listener.fault is None else ():
            scores.setdefault(rating.stimulus, {}).setdefault(listener.person, []).append(rating.score)
    found = []
    for stimulus, by_listener in scores.items():
        means = np.array([np.mean(each) for each in by_listener.values()])
        count = sum(map(len, by_listener.values()))
        found.append(Opinion(stimulus, float(means.mean()), _half(means), len(means), count))
    return sorted(found, key=lambda opinion: -opinion.mean)


def _half(means: Any) -> float:
    """Half of the 95 % interval of a mean: Student's t times S / sqrt(N)."""
    from scipy.stats import t

    count = len(means)
    return float(t.ppf(0.975, count - 1) * np.std(means, ddof=1) / math.sqrt(count)) if count > 1 else math.nan


def _listener(name: str, values: dict[str, Any]) -> Listener:
    """What the values of a file say. Raises ValueError, TypeError, KeyError."""
    is_trained, person = values.get("trained"), values.get("listener") or name
    if not isinstance(person, str):
        raise TypeError(f"the listener {person!r:.60} is no text")
    if not isinstance(is_trained, bool | None):
        raise TypeError(f"trained {is_trained!r:.20} is none of true and false")
    if values.get("method") == "ABX" and isinstance(values.get("trials"), list):
        return Listener(name, person, abx=parse_abx(values), is_trained=is_trained)
    return Listener(name, person, _ratings(values), is_trained=is_trained, method=values["method"])


def _ratings(values: dict[str, Any]) -> list[Rating]:
    """The scores of a file that were given. Raises ValueError, TypeError, KeyError."""
    if values.get("method") not in (MUSHRA, ONE_SYSTEM) or not isinstance(values["scores"], list):
        raise ValueError("its method is not MUSHRA or MUSHRA 1S with a list of scores, or ABX with one of trials")
    ratings, heard = [], set()
    for row in values["scores"]:
        clip, score = row["clip"], row["score"]
        if score is None:
            continue
        if not isinstance(clip, str):
            raise TypeError(f"{clip!r:.60} is no text")
        stimulus, trial = parse_stimulus(row), row.get("trial", 1)
        if type(trial) is not int:
            raise TypeError(f"the trial {trial!r:.20} is no integer")
        if type(score) not in (int, float) or not 0 <= score <= 100:
            raise ValueError(f"the score {score!r:.20} is none of 0 to 100")
        ratings.append(Rating(clip, stimulus, float(score)))
        heard.add((clip, trial, stimulus))
    if not ratings:
        raise ValueError("nothing was rated")
    if len(heard) < len(ratings):
        raise ValueError("a rendering is rated twice")
    return ratings
