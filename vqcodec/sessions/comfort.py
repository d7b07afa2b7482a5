"""Discontinuous transmission (DTX): pauses as a few frames of the room's noise, and none for the rest of them.

A frame without codes, of depth 0, sounds like one of the last frames before it that have some: see "Pauses" in
`vqcodec.bitstream.spec`. One of four at random is noise; one and the same again and again would hum.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import Codes, Wave
from vqcodec.bitstream.spec import COMFORT_FRAMES
from vqcodec.errors import ConfigError
from vqcodec.models.engine import Engine
from vqcodec.sessions.depths import cut
from vqcodec.sessions.pauses import PauseDetector
from vqcodec.sessions.stream import EncodeSession

PAUSE_SECONDS = 0.8
"""After which a pause that goes on says again how the room sounds."""
_COMFORT_DEPTH = 2
"""Codebooks of a frame that says so: the noise of a room has no more to tell."""


@dataclass(frozen=True, eq=False)
class Run:
    """Frames that follow each other, of a pause or of none.

    codes: int64 [C, K, n], in a pause -1 above the depth of a frame, which is 0 for most of them
    """

    codes: Codes
    is_pause: bool


class PausingEncoder:
    """Codes of one wave of some channels, piece by piece; in pauses, when no channel speaks, few frames have any.

    A pause is found in a frame itself, which is given at once. Of each `pause_frames` of it the first four have two
    codes, the others none. Give the arguments as of `EncodeSession`. Raises ConfigError where no frame can have fewer.
    """

    def __init__(self, engine: Engine, *, num_codebooks: int | None = None, batch: int = 1) -> None:
        if not engine.has_depths:
            raise ConfigError(f"{engine.model_name} has as many codebooks in all frames; leave dtx out")
        self._session = EncodeSession(engine, num_codebooks=num_codebooks, batch=batch)
        self.pause_frames = max(2 * COMFORT_FRAMES, round(PAUSE_SECONDS * engine.frame_rate))
        self._start()

    def push(self, wave: Wave) -> list[Run]:
        """Take the next samples [C, n]; return the frames that are full. Any split gives the same frames."""
        return self._runs(self._session.push(wave), wave)

    def flush(self) -> list[Run]:
        """Return the rest, one frame or none. The next push starts anew."""
        missing = -self._waiting.shape[1] % self._session.engine.hop_length
        rest = np.zeros((len(self._waiting), missing), np.float32)
        runs = self._runs(self._session.flush(), rest)
        self._start()
        return runs

    def _start(self) -> None:
        engine, batch = self._session.engine, self._session.batch
        self._waiting = np.zeros((batch, 0), np.float32)
        self._detectors = [PauseDetector(engine.sample_rate_hz, engine.hop_length) for _ in range(batch)]
        self._place = 0  # of the next frame in its pause

    def _runs(self, codes: Codes, wave: Wave) -> list[Run]:
        channels, _, frames = codes.shape
        hop = self._session.engine.hop_length
        waiting = np.concatenate((self._waiting, wave), axis=1)
        self._waiting = waiting[:, frames * hop :]
        blocks = waiting[:, : frames * hop].reshape(channels, frames, hop)
        found = [detector.are_pauses(its) for detector, its in zip(self._detectors, blocks, strict=True)]
        are_pauses: NDArray[np.bool_] = np.all(np.array(found, bool).reshape(channels, frames), axis=0)
        depths = np.full(frames, codes.shape[1])
        for frame in range(frames):
            if are_pauses[frame]:
                depths[frame] = min(_COMFORT_DEPTH, codes.shape[1]) if self._place < COMFORT_FRAMES else 0
                self._place = (self._place + 1) % self.pause_frames
            else:
                self._place = 0
        kept = cut(codes, np.broadcast_to(depths, (channels, frames)))
        changes = np.flatnonzero(np.diff(are_pauses)) + 1
        pieces = zip(np.split(kept, changes, axis=2), np.split(are_pauses, changes), strict=True)
        return [Run(piece, bool(its[0])) for piece, its in pieces if its.size]
