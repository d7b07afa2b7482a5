"""The codes of a dataset in memory, and the segments of them that a step sees: a function of its number."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vqcodec.errors import TrainingError
from vqcodec.tokens.patterns import Delayed
from vqcodec.tokens.reader import TokenDataset
from vqcodec.tokens.streaming import collate
from vqcodec.tokens.utterances import TokenizedUtterance


@dataclass(frozen=True)
class CodesInMemory:
    """Utterances one after the other: codes [K, F] uint16, 2 bytes a code; `ends`: of each utterance, in frames."""

    codes: NDArray[np.uint16]
    ends: NDArray[np.int64]
    codebook_size: int

    @staticmethod
    def of(dataset: TokenDataset, num_codebooks: int) -> "CodesInMemory":
        """Read the first codebooks of all utterances. Raises TrainingError for none."""
        rows = [row.codes[:num_codebooks] for row in dataset if row.num_frames > 0]
        if not rows:
            raise TrainingError(f"{dataset.plan.folder}: has no codes to learn from; tokenize some speech")
        return CodesInMemory(
            np.concatenate(rows, axis=1), np.cumsum([row.shape[1] for row in rows]), dataset.codebook_size
        )

    def utterances(self) -> list[NDArray[np.uint16]]:
        """Return the codes of each, [K, F]."""
        return np.split(self.codes, self.ends[:-1], axis=1)

    def batch(self, size: int, segment_frames: int, seed: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Draw `size` segments as a batch of `collate`: tokens [B, K, T] of the delayed pattern, and where codes are.

        An utterance is drawn as often as it is long, and where in it any beginning is as likely.
        """
        random = np.random.default_rng(seed)
        drawn = random.integers(0, self.ends[-1], size)
        rows = [self._segment(int(frame), segment_frames, random) for frame in drawn]
        pattern = Delayed(len(self.codes), self.codebook_size)
        return collate([TokenizedUtterance("", row, 0, 1, "") for row in rows], pattern=pattern)

    def _segment(self, frame: int, segment_frames: int, random: np.random.Generator) -> NDArray[np.uint16]:
        index = int(np.searchsorted(self.ends, frame, side="right"))
        first, last = int(self.ends[index - 1]) if index else 0, int(self.ends[index])
        start = first + int(random.integers(0, max(0, last - first - segment_frames) + 1))
        return self.codes[:, start : min(last, start + segment_frames)]
