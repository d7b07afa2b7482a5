"""The session that fits an engine: of streams where blocks can be coded as they come, of whole clips otherwise.

A model that can do both, as Mimi, codes files as clips, which gives the codes of its own software, and live streams as
streams. Nobody else asks which kind an engine is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import Codes, Wave
from vqcodec.models.engine import ClipEngine, Engine
from vqcodec.sessions.clip_session import ClipDecoder, ClipEncoder, clip_context
from vqcodec.sessions.depths import VariedEncoder
from vqcodec.sessions.stream import DecodeSession, EncodeSession, streaming


class Encoder(Protocol):
    """What encodes one wave of some channels, piece by piece."""

    def push(self, wave: Wave) -> Codes:
        """Take the next samples [C, n]; return the codes [C, K, m] that are complete."""

    def flush(self) -> Codes:
        """Return the codes of the rest."""


class Decoder(Protocol):
    """What decodes the codes of one wave, piece by piece."""

    def push(self, codes: NDArray[Any], lost: NDArray[np.bool_] | None = None) -> Wave:
        """Take the next codes [C, K, n], `lost` [n] or not; return the samples [C, m] that are complete."""

    def conceal(self, frames: int) -> Wave:
        """Take `frames` lost ones; return samples as `push` does."""

    def flush(self) -> Wave:
        """Return the samples of the rest."""


@dataclass(frozen=True)
class Context:
    """Frames that decoding an excerpt needs `before` and `after` it; it begins at a multiple of `step`."""

    before: int
    after: int = 0
    step: int = 1


def new_encoder(
    engine: Engine,
    num_codebooks: int,
    *,
    batch: int,
    live: bool = False,
    vbr: float | None = None,
    block_frames: int | None = None,
) -> Encoder:
    """Start encoding a wave of `batch` channels by `engine`, with `vbr` of a quality by frames of varied depth.

    `block_frames`: whose depths wait for no frame behind them. Raises ConfigError for `live` where the model cannot
    stream, and for `vbr` where it has no depths, or that is none.
    """
    if vbr is not None:
        return VariedEncoder(engine, vbr, num_codebooks=num_codebooks, batch=batch, block_frames=block_frames)
    if isinstance(engine, ClipEngine) and not live:
        return ClipEncoder(engine, num_codebooks, batch)
    return EncodeSession(engine, num_codebooks=num_codebooks, batch=batch)


def new_decoder(
    engine: Engine,
    *,
    batch: int,
    tags: Mapping[str, str],
    frames: int | None,
    first_frame: int = 0,
    conceal: bool = False,
) -> Decoder:
    """Start decoding a file of `batch` channels from `first_frame` on, a multiple of the context's step.

    `tags` and `frames` are those of the file. Raises BitstreamError where they lack what the model needs, unless
    `conceal`.
    """
    if isinstance(engine, ClipEngine):
        return ClipDecoder(engine, batch, tags=tags, frames=frames, first_frame=first_frame, conceal=conceal)
    return DecodeSession(engine, batch=batch, start_frame=first_frame)


def context_of(engine: Engine, frames: int | None) -> Context:
    """Tell what decoding an excerpt of a file of `frames` needs beside it; None: nobody knows how long it is."""
    if isinstance(engine, ClipEngine):
        return Context(*clip_context(engine, frames), step=engine.chunk_frames)
    return Context(streaming(engine).decoder_context_frames)


def tags_of(encoder: Encoder) -> dict[str, str]:
    """Tell what a file must say beside the codes, once all is flushed: the levels that a model took out."""
    return encoder.tags if isinstance(encoder, ClipEncoder) else {}
