"""Sessions that encode and decode a stream piece by piece, many per model: push, push, flush.

Any split of the input gives the codes of one push, exactly, and its wave within float rounding; `vqcodec.nn.linear`
says why, of CPUs: the kernels of a GPU promise no such thing, nor does onnxruntime with several threads, where a code
in thousands may be another. A session keeps the past that the causal layers need and nothing else, so its memory does
not grow.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import MOST_PEAK, Codes, Wave
from vqcodec.errors import ConfigError
from vqcodec.models.engine import Engine, State, StreamEngine

Saved = dict[str, NDArray[Any]]
"""A session at rest: arrays by name, for `numpy.savez`."""

_MOST_FRAMES = 512
"""Frames that are computed at once: more are no faster, and memory must not grow with the length of a push."""

# Measured at 5 to 20 % loss: in bursts a shorter fade costs PESQ and a longer one ESTOI; random loss hardly cares.
_FADE_FRAMES = 10


class EncodeSession:
    """Waves of `batch` streams in, codes of whole frames out.

    Give `kbps` or `num_codebooks`, as in `Engine.codebooks_for`; all codebooks without either.
    """

    def __init__(
        self, engine: Engine, *, kbps: float | None = None, num_codebooks: int | None = None, batch: int = 1
    ) -> None:
        self.engine = streaming(engine)
        self.num_codebooks = engine.codebooks_for(kbps=kbps, num_codebooks=num_codebooks)
        self.batch = _checked_batch(batch)
        self._waiting = np.zeros((batch, 0), np.float32)
        self._state: State = None

    def push(self, wave: Wave) -> Codes:
        """Encode the next samples: wave [B, T] floats, any T -> codes [B, K, n] int64 of the frames now full.

        Raises TypeError for what is no array, ValueError for another shape or type and for NaN.
        """
        _check_array(wave, "wave")
        if wave.ndim != 2 or len(wave) != self.batch or wave.dtype.kind != "f":
            raise ValueError(f"wave is {wave.dtype} {list(wave.shape)}, expected floats [{self.batch}, T]")
        waiting = np.concatenate((self._waiting, wave.astype(np.float32, copy=False)), axis=1)
        peak = float(np.abs(waiting).max(initial=0.0))
        if not math.isfinite(peak):
            raise ValueError("wave has samples that are NaN or infinite")
        if peak > MOST_PEAK:
            raise ValueError(f"wave has a peak of {peak:.0f}, where full scale is 1; divide integers by 32768 or so")
        hop, codes = self.engine.hop_length, [np.zeros((self.batch, self.num_codebooks, 0), np.int64)]
        full = waiting.shape[1] // hop * hop
        for start in range(0, full, _MOST_FRAMES * hop):
            block = np.ascontiguousarray(waiting[:, start : min(start + _MOST_FRAMES * hop, full)])
            more, self._state = self.engine.encode_block(block, self.num_codebooks, self._state)
            codes.append(more)
        self._waiting = waiting[:, full:].copy()
        return np.concatenate(codes, axis=2)

    def flush(self) -> Codes:
        """Encode what is left, padded with silence to a frame: codes [B, K, 0 or 1]. The next push starts anew."""
        missing = -self._waiting.shape[1] % self.engine.hop_length
        codes = self.push(np.zeros((self.batch, missing), np.float32))
        self._state = None
        return codes

    def save(self) -> Saved:
        """Everything that the codes to come depend on beside the samples to come; see `restore`."""
        return _saved(self.engine, self._state) | {"waiting": self._waiting.copy()}

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Go on where the session that was saved stood, in another process or with another engine of the same model.

        Raises ValueError for what another model or number of streams left.
        """
        _check_model(self.engine, saved)
        waiting = _entry(saved, "waiting")
        if waiting.ndim != 2 or len(waiting) != self.batch or waiting.shape[1] >= self.engine.hop_length:
            raise ValueError(f"the saved session has {list(waiting.shape)} waiting samples, not [{self.batch}, n]")
        self._state = _restored_layers(self.engine, saved, self.engine.encoder_shapes, self.batch)
        self._waiting = waiting.astype(np.float32)


class DecodeSession:
    """Codes of `batch` streams in, waves out, `StreamEngine.delay_samples` behind until `flush`.

    Frames that are lost are concealed: the last frame goes on and fades to silence within 10 frames (0.2 s at 50 Hz),
    and the next one that comes fades in within its own length.

    `start_frame`: number of the first frame that is pushed, where a session begins in the middle of a file.
    """

    def __init__(self, engine: Engine, *, batch: int = 1, start_frame: int = 0) -> None:
        self.engine = streaming(engine)
        self.batch = _checked_batch(batch)
        self._state: State = None
        self._ahead_samples = self.engine.delay_samples
        self._last: NDArray[Any] | None = None
        self._lost_frames = 0
        self._next_frame = start_frame

    def push(self, codes: NDArray[Any] | None, lost: NDArray[np.bool_] | None = None) -> Wave:
        """Decode the next frames: codes [B, K, n] integers, any n -> wave [B, m] float32; None is one lost frame.

        `lost` [n]: frames that are lost in all streams, whose codes are not looked at. Many short gaps at once cost far
        less than one by one. Raises TypeError for what is no array, ValueError for another shape and for codes that the
        model does not have.
        """
        if codes is None:
            return self.conceal(1)
        _check_array(codes, "codes")
        if lost is not None and (lost.dtype != bool or lost.shape != codes.shape[2:]):
            raise ValueError(f"lost is {lost.dtype} {list(lost.shape)}, expected bool {list(codes.shape[2:])}")
        gone = np.zeros(codes.shape[2:], bool) if lost is None else lost
        codes = np.where(gone, 0, codes) if gone.any() else codes
        self._check(codes)
        waves, start = [np.zeros((self.batch, 0), np.float32)], 0
        while start < codes.shape[2]:
            if gone[start] and (self._last is None or self._last.shape[1] != codes.shape[1]):
                rest = gone[start:]
                waves.append(self._concealed(len(rest) if rest.all() else int(np.argmin(rest))))
            else:
                end = start + _MOST_FRAMES
                waves.append(self._sound(codes[:, :, start:end].copy(), gone[start:end]))
            start += waves[-1].shape[1] // self.engine.hop_length
        return self._after_start(np.concatenate(waves, axis=1))

    def conceal(self, frames: int) -> Wave:
        """The wave of the next `frames` frames, lost in all streams: as long as that of `push`, in any split.

        Silence where none came before, and after the fade: it costs no decoding, and the decoder then starts anew.
        """
        return self._after_start(self._concealed(frames))

    def flush(self) -> Wave:
        """The rest of the wave: all together n * hop_length samples for n frames. The next push starts anew."""
        wave = np.zeros((self.batch, self.engine.delay_samples), np.float32)
        if self._state is not None and self.engine.delay_samples:
            assert self._last is not None
            more = self._decode(np.repeat(self._last, self.engine.finishing_frames, axis=2))
            wave = more[:, : self.engine.delay_samples] * np.float32(self._gain)
        wave = wave[:, self._ahead_samples :]
        self._state, self._ahead_samples = None, self.engine.delay_samples
        self._last, self._lost_frames, self._next_frame = None, 0, 0
        return wave

    def save(self) -> Saved:
        """Everything that the samples to come depend on beside the codes to come; see `restore`."""
        last = {} if self._last is None else {"last": self._last.copy()}
        counts = {
            "ahead_samples": np.array(self._ahead_samples),
            "lost_frames": np.array(self._lost_frames),
            "next_frame": np.array(self._next_frame),
        }
        return _saved(self.engine, self._state) | counts | last

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Go on where the session that was saved stood; as `EncodeSession.restore`."""
        _check_model(self.engine, saved)
        ahead_samples, lost_frames = int(_entry(saved, "ahead_samples")), int(_entry(saved, "lost_frames"))
        if not 0 <= ahead_samples <= self.engine.delay_samples:
            raise ValueError(f"the saved session is {ahead_samples} samples ahead, not 0..{self.engine.delay_samples}")
        if not 0 <= lost_frames <= _FADE_FRAMES:
            raise ValueError(f"the saved session has faded for {lost_frames} frames, not 0..{_FADE_FRAMES}")
        next_frame = int(_entry(saved, "next_frame"))
        if next_frame < 0:
            raise ValueError(f"the saved session is at frame {next_frame}, not 0 or more")
        state = _restored_layers(self.engine, saved, self.engine.decoder_shapes, self.batch)
        last = None
        if state is not None:
            last = _entry(saved, "last").copy()
            self._check(last)
        self._state, self._last = state, last
        self._ahead_samples, self._lost_frames, self._next_frame = ahead_samples, lost_frames, next_frame

    @property
    def _gain(self) -> float:
        """Of the next sample."""
        return 1 - self._lost_frames / _FADE_FRAMES

    def _decode(self, codes: NDArray[Any]) -> Wave:
        """The wave of the next frames; the gain is up to the caller."""
        state = self._state
        if state is None and self._next_frame:
            state = self.engine.start_decoding(self.batch, self._next_frame)
        wave, self._state = self.engine.decode_block(codes, state)
        self._next_frame += codes.shape[2]
        return wave

    def _concealed(self, frames: int) -> Wave:
        """The wave of lost frames, with what lies before the beginning of the stream."""
        wave = np.zeros((self.batch, frames * self.engine.hop_length), np.float32)
        end_frame = self._next_frame + frames
        fading = min(frames, _FADE_FRAMES - self._lost_frames)
        if self._last is not None and fading:
            sound = self._decode(np.repeat(self._last, fading, axis=2))
            before = self._gain
            self._lost_frames += fading
            wave[:, : sound.shape[1]] = sound * _ramp(before, self._gain, sound.shape[1])
        if self._lost_frames == _FADE_FRAMES:
            self._state = self._last = None
        self._next_frame = end_frame
        return wave

    def _sound(self, codes: NDArray[Any], lost: NDArray[np.bool_]) -> Wave:
        """The wave of the next frames, up to where a fade has ended: as `push`, lost ones as `conceal`."""
        hop, last, gains = self.engine.hop_length, self._last, []
        for frame, is_lost in enumerate(lost):
            before = self._gain
            if is_lost:
                assert last is not None
                codes[:, :, frame : frame + 1] = last
            last = codes[:, :, frame : frame + 1]
            self._lost_frames = self._lost_frames + 1 if is_lost else 0
            gains.append((before, self._gain))
            if self._lost_frames == _FADE_FRAMES:
                break
        wave = self._decode(np.ascontiguousarray(codes[:, :, : len(gains)]))
        for frame, (before, after) in enumerate(gains):
            if before < 1 or after < 1:
                wave[:, frame * hop : (frame + 1) * hop] *= _ramp(before, after, hop)
        self._last = None if last is None else last.copy()
        if self._lost_frames == _FADE_FRAMES:
            self._state = self._last = None
        return wave

    def _check(self, codes: NDArray[Any]) -> None:
        self.engine.check_codes(codes)
        if len(codes) != self.batch:
            raise ValueError(f"codes has shape {list(codes.shape)}, expected [{self.batch}, K, n]")

    def _after_start(self, wave: Wave) -> Wave:
        """`wave` without what lies before the beginning of the stream."""
        early = min(self._ahead_samples, wave.shape[1])
        self._ahead_samples -= early
        return wave[:, early:]


def _ramp(start: float, end: float, length_samples: int) -> NDArray[np.float32]:
    return np.linspace(start, end, length_samples, endpoint=False, dtype=np.float32)


def _entry(saved: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    if name not in saved:
        raise ValueError(f"the saved session has no {name!r}: it is not of this kind")
    return saved[name]


def streaming(engine: Engine) -> StreamEngine:
    """Return an engine that codes streams as what it is. Raises ConfigError for one that takes whole clips only."""
    if not isinstance(engine, StreamEngine):
        raise ConfigError(f"{engine.model_name} codes whole clips, no streams; use files, or a model that streams")
    return engine


def _check_array(value: object, name: str) -> None:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} is a {type(value).__name__}, expected an array of numpy, as tensor.numpy() makes")


def _checked_batch(batch: int) -> int:
    if batch < 1:
        raise ValueError(f"batch {batch} is not 1 or more")
    return batch


def _saved(engine: StreamEngine, state: State) -> Saved:
    """What both kinds of session save: whose state it is, and the state."""
    arrays = [] if state is None else engine.arrays_of(state)
    layers = {f"layer.{number}": array.copy() for number, array in enumerate(arrays)}
    return {"fingerprint": np.frombuffer(engine.fingerprint or b"", np.uint8), **layers}


def _check_model(engine: Engine, saved: Mapping[str, NDArray[Any]]) -> None:
    if _entry(saved, "fingerprint").tobytes() != (engine.fingerprint or b""):
        raise ValueError("the saved session is one of another model")


def _restored_layers(
    engine: StreamEngine, saved: Mapping[str, NDArray[Any]], shapes: list[tuple[int, ...]], batch: int
) -> State:
    arrays = [saved[name].copy() for number in range(len(shapes)) if (name := f"layer.{number}") in saved]
    if not arrays:
        return None
    expected = [(np.dtype(np.float32), (batch, *shape)) for shape in shapes]
    if [(array.dtype, array.shape) for array in arrays] != expected:
        raise ValueError("the saved session is one of another number of streams, or damaged")
    return engine.state_of(arrays)
