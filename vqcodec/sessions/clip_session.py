"""Push and flush for engines that take whole clips: what comes is collected and coded at once, or in long pieces.

Up to a minute (`most_seconds` of the engine) a clip is coded as a whole, as the model's own software does. A longer one
goes in pieces of that length, each coded with some seconds on either side that are thrown away: memory stays bounded,
and codes near the seams may differ from those of the whole. A model that codes chunks by itself has exact seams.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import Codes, Scales, Wave
from vqcodec.errors import BitstreamError
from vqcodec.frames import ceil_div
from vqcodec.models.engine import ClipEngine

CONTEXT_SECONDS = 2
_MOST_SCALE = 1e4
SCALES_TAG = "scales"
"""Tag of a .vqc that holds the levels of chunks: float32, little-endian, inputs by chunks, in base64."""


def piece_frames(engine: ClipEngine) -> tuple[int, int]:
    """Return the frames of a piece that is kept, and of its context on either side."""
    whole = int(engine.most_seconds * engine.frame_rate) // engine.chunk_frames * engine.chunk_frames
    whole = max(whole, engine.chunk_frames)
    if engine.chunk_frames > 1:
        return whole, 0
    context = int(CONTEXT_SECONDS * engine.frame_rate)
    return max(1, whole - context), context


def clip_context(engine: ClipEngine, frames: int | None) -> tuple[int, int]:
    """Tell which frames before and after an excerpt decoding it needs, in a file of `frames`: all of a clip no longer
    than a piece, the context of a piece otherwise.
    """
    piece, context = piece_frames(engine)
    if engine.chunk_frames == 1 and frames is not None and frames <= piece:
        return frames, frames
    return context, max(context, engine.chunk_frames - 1)


class ClipEncoder:
    """Does what `EncodeSession` does, but most codes come with `flush`; `scales` are complete then."""

    def __init__(self, engine: ClipEngine, num_codebooks: int, batch: int) -> None:
        self.engine, self.num_codebooks = engine, num_codebooks
        self.scales: list[Scales] = []
        self._piece, self._context = piece_frames(engine)
        self._lead = 0
        self._waiting = [np.zeros((batch, 0), np.float32)]
        self._count = 0

    def push(self, wave: Wave) -> Codes:
        """Take the next samples [C, n]; returns the codes [C, K, m] of the pieces that are complete."""
        self._waiting.append(wave.astype(np.float32, copy=False))
        self._count += wave.shape[1]
        hop, codes = self.engine.hop_length, [self._nothing()]
        while self._count > (needed := (self._lead + self._piece + self._context) * hop):
            waiting = np.concatenate(self._waiting, axis=1)
            codes.append(self._coded(waiting[:, :needed])[:, :, self._lead : self._lead + self._piece])
            rest = waiting[:, (self._lead + self._piece - self._context) * hop :].copy()
            self._lead, self._waiting, self._count = self._context, [rest], rest.shape[1]
        return np.concatenate(codes, axis=2)

    def flush(self) -> Codes:
        """Return the codes of the rest."""
        return self._coded(np.concatenate(self._waiting, axis=1))[:, :, self._lead :]

    def _coded(self, wave: Wave) -> Codes:
        codes, scales = self.engine.encode_clip(wave, self.num_codebooks)
        if scales is not None:
            self.scales.append(scales)
        return codes

    def _nothing(self) -> Codes:
        return np.zeros((len(self._waiting[0]), self.num_codebooks, 0), np.int64)

    @property
    def tags(self) -> dict[str, str]:
        """What decoding needs beside the codes, once all is flushed."""
        if not self.scales:
            return {}
        data = np.concatenate(self.scales, axis=1).astype("<f4").tobytes()
        return {SCALES_TAG: base64.b64encode(data).decode("ascii")}


class ClipDecoder:
    """Does what `DecodeSession` does, from `first_frame` of a file on; what is lost is silent.

    `first_frame` is a multiple of the engine's chunks, `tags` and `frames` are those of the file. Raises BitstreamError
    where they hold no levels, or too few or too many, and the model needs some; with `conceal` it then decodes at the
    level to which it normalizes.
    """

    def __init__(
        self,
        engine: ClipEngine,
        batch: int,
        *,
        tags: Mapping[str, str],
        frames: int | None = None,
        first_frame: int = 0,
        conceal: bool = False,
    ) -> None:
        self.engine = engine
        self._piece, self._context = piece_frames(engine)
        self._lead, self._frame = 0, first_frame
        self._scales = _scales_for(engine, batch, tags, frames, conceal=conceal)
        self._codes: NDArray[Any] | None = None
        self._lost = np.zeros(0, bool)
        self._batch = batch

    def push(self, codes: NDArray[Any], lost: NDArray[np.bool_] | None = None) -> Wave:
        """Take the next codes [C, K, n], `lost` [n] or not; returns the samples [C, m] that are complete."""
        return self._take(codes, np.zeros(codes.shape[2], bool) if lost is None else lost)

    def conceal(self, frames: int) -> Wave:
        """Take `frames` lost ones, which have silence in their place."""
        depth = 1 if self._codes is None else self._codes.shape[1]
        return self._take(np.zeros((self._batch, depth, frames), np.int64), np.ones(frames, bool))

    def flush(self) -> Wave:
        """Return the samples of the rest."""
        if self._codes is None:
            return np.zeros((self._batch, 0), np.float32)
        wave = self._decoded(self._codes.shape[2])[:, self._lead * self.engine.hop_length :]
        self._codes = None
        return wave

    def _take(self, codes: NDArray[Any], lost: NDArray[np.bool_]) -> Wave:
        if self._codes is None:
            self._codes, self._lost = codes[:, :, :0], np.zeros(0, bool)
        if codes.shape[1] != self._codes.shape[1]:  # lost frames came first: nothing said how many codebooks there are
            self._codes = np.zeros((self._batch, codes.shape[1], self._codes.shape[2]), np.int64)
        self._codes = np.concatenate((self._codes, codes), axis=2)
        self._lost = np.concatenate((self._lost, lost))
        hop, waves = self.engine.hop_length, [np.zeros((self._batch, 0), np.float32)]
        while self._codes.shape[2] > (needed := self._lead + self._piece + self._context):
            waves.append(self._decoded(needed)[:, self._lead * hop : (self._lead + self._piece) * hop])
            dropped = self._lead + self._piece - self._context
            self._codes, self._lost = self._codes[:, :, dropped:], self._lost[dropped:]
            self._frame += dropped
            self._lead = self._context
        return np.concatenate(waves, axis=1)

    def _decoded(self, frames: int) -> Wave:
        """The wave of the first `frames` that wait."""
        assert self._codes is not None
        scales = None
        if self._scales is not None:
            first, size = self._frame // self.engine.chunk_frames, self.engine.chunk_frames
            scales = self._scales[:, first : first + ceil_div(frames, size)]
            if scales.shape[1] < ceil_div(frames, size):
                raise BitstreamError(f"the tag {SCALES_TAG!r} holds the levels of {self._scales.shape[1]} chunks only")
        wave = self.engine.decode_clip(self._codes[:, :, :frames], scales)
        wave *= np.repeat(~self._lost[:frames], self.engine.hop_length)
        return wave


def scales_of(tags: Mapping[str, str], inputs: int) -> Scales:
    """Read levels [inputs, chunks] that the tags of a file hold. Raises BitstreamError for none, or damaged ones."""
    try:
        data = base64.b64decode(tags[SCALES_TAG], validate=True)
        scales = np.frombuffer(data, "<f4").reshape(inputs, -1).astype(np.float32)
    except KeyError:
        raise BitstreamError(
            f"no tag {SCALES_TAG!r} that is whole, which holds the levels; --conceal decodes at one level without it"
        ) from None
    except (ValueError, binascii.Error):
        raise BitstreamError(f"the tag {SCALES_TAG!r} holds no levels") from None
    if not ((scales > 0) & (scales <= _MOST_SCALE)).all():
        raise BitstreamError(f"the tag {SCALES_TAG!r} holds levels that are not above 0 and at most {_MOST_SCALE:g}")
    return scales


def _scales_for(
    engine: ClipEngine, channels: int, tags: Mapping[str, str], frames: int | None, *, conceal: bool
) -> Scales | None:
    """The levels of a file, held against its frames and the model."""
    if not engine.is_scaled:
        if SCALES_TAG in tags:
            raise BitstreamError(f"it has a tag {SCALES_TAG!r}, but the model takes no levels out; give its own config")
        return None
    if conceal and SCALES_TAG not in tags:
        return None
    scales = scales_of(tags, engine.inputs_of(channels))
    if frames is not None and scales.shape[1] != ceil_div(frames, engine.chunk_frames):
        chunks = ceil_div(frames, engine.chunk_frames)
        raise BitstreamError(f"the tag {SCALES_TAG!r} has {scales.shape[1]} levels for {chunks} chunks of this model")
    return scales
