"""Sessions that encode and decode streams piece by piece, many per model and many per session: push, push, flush.

Any split of the input gives the codes of one push, exactly, and its wave within float rounding; `vqcodec.nn.linear`
says why, of CPUs: the kernels of a GPU promise no such thing, nor does onnxruntime with several threads, where a code
in thousands may be another. A session keeps the past that the causal layers need and nothing else, so its memory does
not grow.

A session of several streams computes them together, which costs far less than one by one. Streams join it and leave it
while it runs, each with a past, a gap and a state of its own.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import Codes, State, Wave, find_peak_fault, flushed
from vqcodec.errors import ConfigError
from vqcodec.models.engine import Engine, StreamEngine
from vqcodec.sessions.arrival import Frames, arrived, check_array
from vqcodec.sessions.batch import BatchState, Saved, check_model, checked_count, checked_stream, entry
from vqcodec.sessions.concealment import FADE_FRAMES, MOST_FRAMES, Listener, fade


class EncodeSession:
    """Waves of `batch` streams in, codes of whole frames out.

    Give `kbps` or `num_codebooks`, as in `Engine.codebooks_for`; all codebooks without either. `batch` may be 0, where
    streams will join. The streams are numbered from 0 on, and those behind one that leaves move up.
    """

    def __init__(
        self, engine: Engine, *, kbps: float | None = None, num_codebooks: int | None = None, batch: int = 1
    ) -> None:
        self.engine = streaming(engine)
        self.num_codebooks = engine.codebooks_for(kbps=kbps, num_codebooks=num_codebooks)
        self._waiting = np.zeros((checked_count(batch, "batch"), 0), np.float32)
        self._states = BatchState(self.engine, batch)

    @property
    def batch(self) -> int:
        """The number of streams."""
        return len(self._waiting)

    def push(self, wave: Wave) -> Codes:
        """Encode the next samples: wave [B, T] floats, any T -> codes [B, K, n] int64 of the frames now full.

        Raises TypeError for what is no array, ValueError for another shape or type and for NaN.
        """
        check_array(wave, "wave")
        if wave.ndim != 2 or len(wave) != self.batch or wave.dtype.kind != "f":
            raise ValueError(f"wave is {wave.dtype} {list(wave.shape)}, expected floats [{self.batch}, T]")
        peak = float(np.abs(wave).max(initial=0.0))
        if not math.isfinite(peak):
            raise ValueError("wave has samples that are NaN or infinite")
        if fault := find_peak_fault(peak):
            raise ValueError(f"wave has {fault}; divide integers by 32768 or so")
        waiting = np.concatenate((self._waiting, flushed(wave.astype(np.float32, copy=False))), axis=1)
        hop, codes = self.engine.hop_length, [self._nothing(0)]
        full = waiting.shape[1] // hop * hop
        for start in range(0, full, MOST_FRAMES * hop):
            codes.append(self._encode(waiting[:, start : min(start + MOST_FRAMES * hop, full)]))
        self._waiting = waiting[:, full:].copy()
        return np.concatenate(codes, axis=2)

    def flush(self) -> Codes:
        """Encode what is left, padded with silence to a frame: codes [B, K, 0 or 1]. The next push starts anew."""
        missing = -self._waiting.shape[1] % self.engine.hop_length
        codes = self.push(np.zeros((self.batch, missing), np.float32))
        self._states = BatchState(self.engine, self.batch)
        return codes

    def add(self, saved: Mapping[str, NDArray[Any]] | None = None) -> int:
        """Let a stream join, and return its number: the last. It is new, or goes on where one that was saved stood.

        All streams stand at the same place in a frame: push whole frames before. Raises ValueError where they do not,
        and as `restore`; ConfigError where the model cannot join streams.
        """
        alone = EncodeSession(self.engine, num_codebooks=self.num_codebooks)
        if saved is not None:
            alone.restore(saved)
        waiting, its = self._waiting.shape[1], alone._waiting.shape[1]
        if self.batch and waiting != its:
            raise ValueError(
                f"the stream has {its} samples of a frame and this session {waiting}: a stream joins between frames, "
                f"so push whole ones, {self.engine.hop_length} samples each"
            )
        self._states.add(alone._states)
        self._waiting = np.concatenate((self._waiting if self.batch else alone._waiting[:0], alone._waiting))
        return self.batch - 1

    def remove(self, stream: int) -> Codes:
        """Let a stream leave: what is left of it, as of `flush`, codes [1, K, 0 or 1]. Those behind it move up.

        Raises IndexError for a stream that is not there, ConfigError where the model cannot part streams.
        """
        alone = EncodeSession(self.engine, num_codebooks=self.num_codebooks)
        alone._states = self._states.pop(checked_stream(stream, self.batch))
        alone._waiting = self._waiting[stream : stream + 1].copy()
        self._waiting = np.delete(self._waiting, stream, axis=0)
        return alone.flush()

    def save(self, stream: int | None = None) -> Saved:
        """Save everything that the codes to come depend on beside the samples to come; see `restore`.

        Of all streams, or of one, which a session of one stream restores and another session adds.
        """
        chosen = range(self.batch) if stream is None else [checked_stream(stream, self.batch)]
        return self._states.save(chosen) | {"waiting": self._waiting[list(chosen)]}

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Go on where the session that was saved stood, in another process or with another engine of the same model.

        Raises ValueError for what another model or number of streams left.
        """
        check_model(self.engine, saved)
        waiting = entry(saved, "waiting")
        if waiting.ndim != 2 or len(waiting) != self.batch or waiting.shape[1] >= self.engine.hop_length:
            raise ValueError(f"the saved session has {list(waiting.shape)} waiting samples, not [{self.batch}, n]")
        self._states = BatchState.restored(self.engine, saved, self.engine.encoder_shapes, self.batch)
        self._waiting = waiting.astype(np.float32)

    def _encode(self, block: Wave) -> Codes:
        """The codes of whole frames; streams that begin are computed by themselves."""
        frames = block.shape[1] // self.engine.hop_length
        codes = self._nothing(frames)
        for has_begun in (True, False):
            chosen = [stream for stream in range(self.batch) if self._states.has(stream) == has_begun]
            if chosen:
                wave = np.ascontiguousarray(block[chosen])
                codes[chosen], state = self._code(wave, self._states.take(chosen))
                self._states.put(chosen, state)
        return codes

    def _nothing(self, frames: int) -> NDArray[Any]:
        """Return what so many frames are filled into."""
        return np.zeros((self.batch, self.num_codebooks, frames), np.int64)

    def _code(self, wave: Wave, state: State) -> tuple[NDArray[Any], State]:
        """Return what whole frames of some streams become, and the new state."""
        return self.engine.encode_block(wave, self.num_codebooks, state)


class DecodeSession:
    """Codes of `batch` streams in, waves out, `StreamEngine.delay_samples` behind until `flush`.

    Frames that are lost are concealed: the last frame goes on and fades to silence within 10 frames (0.2 s at 50 Hz),
    and the next one that comes fades in within its own length.

    `batch` may be 0, where streams will join. The streams are numbered from 0 on, and those behind one that leaves move
    up. `start_frame`: number of the first frame that is pushed, where a session begins in the middle of a file.
    """

    def __init__(self, engine: Engine, *, batch: int = 1, start_frame: int = 0) -> None:
        self.engine = streaming(engine)
        start = checked_count(start_frame, "start_frame")
        self._listeners = [Listener(self.engine.delay_samples, start) for _ in range(checked_count(batch, "batch"))]
        self._states = BatchState(self.engine, batch)

    @property
    def batch(self) -> int:
        """The number of streams."""
        return len(self._listeners)

    def push(self, codes: Frames | None, lost: NDArray[np.bool_] | None = None) -> Wave:
        """Decode the next frames: codes [B, K, n] integers, any n -> wave [B, m] float32; None is one lost frame.

        `lost` [n] or [B, n]: frames that are lost in all streams, or in each, whose codes are not looked at. Many short
        gaps at once cost far less than one by one. Codes may also be a list of B items, as `Depacketizer` gives them:
        [1, K, n], of the same n, while K may differ; None for n lost frames of a stream (1 where all are None).

        Raises TypeError for what is no array, ValueError for another shape and for codes that the model does not have.
        """
        if codes is None:
            return self.conceal(1)
        return self._play(*arrived(self.engine, codes, lost, self.batch))

    def conceal(self, frames: int) -> Wave:
        """Return the wave of the next `frames` frames, lost in all streams: as long as that of `push`, in any split.

        Silence where none came before, and after the fade: it costs no decoding, and the decoder then starts anew.
        """
        return self._play([None] * self.batch, np.ones((self.batch, checked_count(frames, "frames")), bool))

    def flush(self) -> Wave:
        """Return the rest of the wave: all together n * hop_length samples for n frames. The next push starts anew."""
        wave = np.zeros((self.batch, self.engine.delay_samples), np.float32)
        groups: dict[int, list[int]] = {}
        for stream, each in enumerate(self._listeners):
            if each.last is not None and self.engine.delay_samples:
                groups.setdefault(len(each.last), []).append(stream)
        for chosen in groups.values():
            last = np.stack([each.last for stream in chosen if (each := self._listeners[stream]).last is not None])
            again = np.repeat(last, self.engine.finishing_frames, axis=2)
            more, _ = self.engine.decode_block(again, self._states.take(chosen))
            gains = np.array([[self._listeners[stream].gain] for stream in chosen], np.float32)
            wave[chosen] = more[:, : self.engine.delay_samples] * gains
        wave = self._after_start(wave)
        self._listeners = [Listener(self.engine.delay_samples) for _ in self._listeners]
        self._states = BatchState(self.engine, self.batch)
        return wave

    def add(self, saved: Mapping[str, NDArray[Any]] | None = None) -> int:
        """Let a stream join, and return its number: the last. It is new, or goes on where one that was saved stood.

        A stream that is new among others is heard `delay_samples` late, behind silence, where a session that begins
        with all its streams leaves these samples out. Raises ValueError as `restore`, ConfigError where the model
        cannot join streams.
        """
        alone = DecodeSession(self.engine)
        if saved is not None:
            alone.restore(saved)
        self._states.add(alone._states)
        self._listeners += alone._listeners
        return self.batch - 1

    def remove(self, stream: int) -> Wave:
        """Let a stream leave: the rest of its wave, as of `flush`, [1, m]. Those behind it move up.

        Raises IndexError for a stream that is not there, ConfigError where the model cannot part streams.
        """
        alone = DecodeSession(self.engine)
        alone._states = self._states.pop(checked_stream(stream, self.batch))
        alone._listeners = [self._listeners.pop(stream)]
        return alone.flush()

    def save(self, stream: int | None = None) -> Saved:
        """Save everything that the samples to come depend on beside the codes to come; see `restore`.

        Of all streams, or of one, which a session of one stream restores and another session adds.
        """
        chosen = list(range(self.batch)) if stream is None else [checked_stream(stream, self.batch)]
        listeners = [self._listeners[index] for index in chosen]
        saved = self._states.save(chosen) | {
            name: np.array([getattr(each, name) for each in listeners], np.int64)
            for name in ("ahead_samples", "lost_frames", "next_frame")
        }
        depth = max((len(each.last) for each in listeners if each.last is not None), default=0)
        if depth:
            # -1 where a stream has no codebook, or no frame
            saved["last"] = np.full((len(listeners), depth, 1), -1, np.int64)
            for row, each in zip(saved["last"], listeners, strict=True):
                if each.last is not None:
                    row[: len(each.last)] = each.last
        return saved

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Go on where the session that was saved stood; as `EncodeSession.restore`."""
        check_model(self.engine, saved)
        delay = self.engine.delay_samples
        ahead = self._counts(saved, "ahead_samples", delay, f"the saved session is {{}} samples ahead, not 0..{delay}")
        lost = self._counts(
            saved, "lost_frames", FADE_FRAMES, f"the saved session has faded for {{}} frames, not 0..{FADE_FRAMES}"
        )
        next_frame = self._counts(saved, "next_frame", None, "the saved session is at frame {}, not 0 or more")
        states = BatchState.restored(self.engine, saved, self.engine.decoder_shapes, self.batch)
        listeners = [Listener(*each) for each in zip(ahead, next_frame, [None] * self.batch, lost, strict=True)]
        if any(states.has(stream) for stream in range(self.batch)):
            last = entry(saved, "last")
            if last.ndim != 3 or last.dtype.kind not in "iu" or (len(last), last.shape[2]) != (self.batch, 1):
                raise ValueError(f"the saved session has last frames {list(last.shape)}, expected [{self.batch}, K, 1]")
            for stream, codes in enumerate(last):
                if codes[0] < 0:
                    states.forget(stream)
                else:
                    listeners[stream].last = known = codes[codes[:, 0] >= 0]
                    self.engine.check_codes(known[None])
        self._states, self._listeners = states, listeners

    def _counts(self, saved: Mapping[str, NDArray[Any]], name: str, most: int | None, message: str) -> list[int]:
        """A number of each stream, from 0 to `most`; one that was saved alone is that of all."""
        array = np.asarray(entry(saved, name))
        if array.dtype.kind not in "iu" or array.shape not in ((), (self.batch,)):
            raise ValueError(f"the saved session has {array.dtype} {list(array.shape)} as {name!r}, not [{self.batch}]")
        counts: list[int] = np.broadcast_to(array, (self.batch,)).tolist()
        for count in counts:
            if count < 0 or (most is not None and count > most):
                raise ValueError(message.format(count))
        return counts

    def _play(self, codes: Sequence[NDArray[Any] | None], lost: NDArray[np.bool_]) -> Wave:
        """The wave of codes [K, n] of each stream, None where all of them are lost."""
        hop, start = self.engine.hop_length, 0
        wave = np.zeros((self.batch, lost.shape[1] * hop), np.float32)
        while start < lost.shape[1] and self.batch:
            rest = [None if each is None else each[:, start:] for each in codes]
            end = start + min(
                each.frames_at_once(more, gone[start:])
                for each, more, gone in zip(self._listeners, rest, lost, strict=True)
            )
            run = [None if each is None else each[:, start:end] for each in codes]
            self._play_run(run, lost[:, start:end], wave[:, start * hop : end * hop])
            start = end
        return self._after_start(wave)

    def _play_run(self, codes: Sequence[NDArray[Any] | None], lost: NDArray[np.bool_], wave: Wave) -> None:
        """Fill in the wave of frames that every stream decodes in one go.

        Streams with as many codebooks are decoded together, but for those that begin: these by where they begin.
        """
        filled: dict[int, NDArray[Any]] = {}
        gains: dict[int, list[float]] = {}
        groups: dict[tuple[int, int | None], list[int]] = {}
        for stream, each in enumerate(self._listeners):
            if not each.is_silent(lost[stream]):
                filled[stream], gains[stream] = each.take(codes[stream], lost[stream])
                begins = None if self._states.has(stream) else each.next_frame
                groups.setdefault((len(filled[stream]), begins), []).append(stream)
            each.next_frame += lost.shape[1]
        for (_, begins), chosen in groups.items():
            state = self.engine.start_decoding(len(chosen), begins) if begins else self._states.take(chosen)
            wave[chosen], state = self.engine.decode_block(np.stack([filled[stream] for stream in chosen]), state)
            self._states.put(chosen, state)
        for stream, its in gains.items():
            fade(wave[stream], its, self.engine.hop_length)
            if self._listeners[stream].has_faded:
                self._listeners[stream].last = None
                self._states.forget(stream)

    def _after_start(self, wave: Wave) -> Wave:
        """`wave` without what lies before the beginning of all streams, and silent before that of each."""
        early = [min(each.ahead_samples, wave.shape[1]) for each in self._listeners]
        for each, row, its in zip(self._listeners, wave, early, strict=True):
            row[:its] = 0
            each.ahead_samples -= its
        return wave[:, min(early, default=0) :]


def streaming(engine: Engine) -> StreamEngine:
    """Return an engine that codes streams as what it is. Raises ConfigError for one that takes whole clips only."""
    if not isinstance(engine, StreamEngine):
        raise ConfigError(f"{engine.model_name} codes whole clips, no streams; use files, or a model that streams")
    return engine
