"""ABX: X is A or B, and the listener says which. Whether two renderings can be told apart at all.

The trials of a test are as many as were settled before it, and nobody is told the answers on the way: a test that goes
on until it pleases has another p-value than the one computed here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vqcodec.evaluation.listening.stimulus import REFERENCE_ROLE, Stimulus, parse_stimulus


@dataclass(frozen=True)
class Trial:
    """One question about a clip: what X was, "A" or "B", and the answer; None: there was none."""

    clip: str
    x: str
    answer: str | None


@dataclass(frozen=True)
class AbxTest:
    """The trials of one sitting about a pair of renderings; seed and time tell two sittings apart."""

    a: Stimulus
    b: Stimulus
    trials: Sequence[Trial]
    seed: int
    time: str

    @property
    def fault(self) -> str | None:
        """Tell why this test does not count, None where it does."""
        answered = sum(trial.answer is not None for trial in self.trials)
        return None if answered == len(self.trials) else f"answered {answered} of {len(self.trials)} ABX trials"


@dataclass(frozen=True)
class Discrimination:
    """How often X was named right, over all tests of a pair, whichever of the two was called A.

    p_value: of the one-sided binomial test: how likely as many or more are right when nothing is heard
    low, high: 95 % interval of the share that is right (Clopper and Pearson 1934), as if all listeners heard alike
    """

    a: Stimulus
    b: Stimulus
    correct: int
    trials: int
    tests: int
    p_value: float
    low: float
    high: float


def discriminations(tests: Iterable[AbxTest]) -> list[Discrimination]:
    """Compute what the tests that count say of each pair, in the order of the names."""
    pairs: dict[tuple[Stimulus, Stimulus], list[AbxTest]] = {}
    for test in tests:
        if test.fault is None:
            a, b = sorted((test.a, test.b), key=_order)
            pairs.setdefault((a, b), []).append(test)
    return [_discrimination(*pair, pairs[pair]) for pair in sorted(pairs, key=lambda pair: [*map(_order, pair)])]


def parse_abx(values: Mapping[str, Any]) -> AbxTest:
    """Read what a page wrote. Raises KeyError, TypeError and ValueError for what no page writes."""
    a, b = (parse_stimulus(values[name]) for name in ("a", "b"))
    if a == b:
        raise ValueError("A and B are the same")
    seed, time, trials = values["seed"], values["time"], [_trial(row) for row in values["trials"]]
    if type(seed) is not int or not isinstance(time, str):
        raise TypeError(f"seed {seed!r:.20} and time {time!r:.40} are no number and text")
    if not any(trial.answer for trial in trials):
        raise ValueError("nothing was answered")
    return AbxTest(a, b, trials, seed, time)


def _trial(row: Mapping[str, Any]) -> Trial:
    clip, x, answer = row["clip"], row["x"], row["answer"]
    if not isinstance(clip, str) or x not in ("A", "B") or answer not in ("A", "B", None):
        raise ValueError(f"{row!r:.80} is no trial")
    return Trial(clip, x, answer)


def _discrimination(a: Stimulus, b: Stimulus, tests: Sequence[AbxTest]) -> Discrimination:
    from scipy.stats import binomtest

    trials = [trial for test in tests for trial in test.trials]
    correct = sum(trial.answer == trial.x for trial in trials)
    interval = binomtest(correct, len(trials)).proportion_ci(0.95, method="exact")
    p_value = binomtest(correct, len(trials), 0.5, alternative="greater").pvalue
    facts = correct, len(trials), len(tests), float(p_value), float(interval.low), float(interval.high)
    return Discrimination(a, b, *facts)


def _order(stimulus: Stimulus) -> tuple[bool, str, str, float, str]:
    """The reference first, then by name, condition, rate and role."""
    is_other = stimulus.role != REFERENCE_ROLE
    return is_other, stimulus.codec, stimulus.condition, stimulus.kbps_asked or 0.0, stimulus.role
