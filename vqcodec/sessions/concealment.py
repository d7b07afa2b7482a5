"""What stands in for the frames that one stream lost: the last one goes on and fades, and the next one fades in."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import Wave

# Measured at 5 to 20 % loss: in bursts a shorter fade costs PESQ and a longer one ESTOI; random loss hardly cares.
FADE_FRAMES = 10

MOST_FRAMES = 512
"""Frames that are computed at once: more are no faster, and memory must not grow with the length of a push."""


@dataclass
class Listener:
    """Where a stream that is decoded stands.

    ahead_samples: before the beginning of its sound that are still to come
    next_frame:    number of its next frame
    last:          the last frame, [K, 1], as long as it is heard
    lost_frames:   since the last one that came, up to the end of the fade
    """

    ahead_samples: int
    next_frame: int = 0
    last: NDArray[Any] | None = None
    lost_frames: int = 0

    @property
    def gain(self) -> float:
        """The factor of the next sample."""
        return 1 - self.lost_frames / FADE_FRAMES

    @property
    def has_faded(self) -> bool:
        """Whether the fade has ended, and what the decoder remembers is of no more use."""
        return self.lost_frames == FADE_FRAMES

    def is_silent(self, lost: NDArray[np.bool_]) -> bool:
        """Tell whether the next frames begin with silence, which costs no decoding."""
        return bool(lost[0]) and self.last is None

    def frames_at_once(self, codes: NDArray[Any] | None, lost: NDArray[np.bool_]) -> int:
        """Count the next frames, of codes [K, n] and lost [n], that are decoded in one go, or silent together.

        That is up to where a fade ends, where silence does, and where the number of codebooks changes.
        """
        if not lost.any():
            return min(len(lost), MOST_FRAMES)
        leading = len(lost) if lost.all() else int(np.argmin(lost))
        if self.is_silent(lost):
            return leading
        if leading and codes is not None and self.last is not None and len(self.last) != len(codes):
            return min(leading, FADE_FRAMES - self.lost_frames)
        run = self.lost_frames
        for frame, is_lost in enumerate(lost[:MOST_FRAMES], 1):
            run = run + 1 if is_lost else 0
            if run == FADE_FRAMES:
                return frame
        return min(len(lost), MOST_FRAMES)

    def take(self, codes: NDArray[Any] | None, lost: NDArray[np.bool_]) -> tuple[NDArray[Any], list[float]]:
        """Take the frames of `frames_at_once`: what to decode, [K, n], and the gains for `fade`.

        None of these where all is as loud as ever.
        """
        if not lost.any() and not self.lost_frames:
            assert codes is not None
            self.last = codes[:, -1:].copy()
            return codes, []
        frames, gains = [], [self.gain]
        for frame, is_lost in enumerate(lost):
            if not is_lost:
                assert codes is not None
                self.last = codes[:, frame : frame + 1].copy()
            assert self.last is not None
            self.lost_frames = self.lost_frames + 1 if is_lost else 0
            frames.append(self.last)
            gains.append(self.gain)
        return np.concatenate(frames, axis=1), gains


def fade(wave: Wave, gains: list[float], hop_length: int) -> None:
    """Multiply a wave [n * hop_length] by `gains`: that of its beginning, then those where each frame ends."""
    for frame, (before, after) in enumerate(pairwise(gains)):
        if before < 1 or after < 1:
            ramp = np.linspace(before, after, hop_length, endpoint=False, dtype=np.float32)
            wave[frame * hop_length : (frame + 1) * hop_length] *= ramp
