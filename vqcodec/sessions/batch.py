"""What an engine remembers of each stream of a batch, and how that is saved.

Streams that were computed together lie in one state of the engine, and stay there as long as they are computed
together: only where streams join, leave, or have other numbers of codebooks are states taken apart and joined.
"""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import State
from vqcodec.frames import whole_number
from vqcodec.models.engine import Engine, StreamEngine

Saved = dict[str, NDArray[Any]]
"""A session at rest: arrays by name, for `numpy.savez`."""


@dataclass(frozen=True, eq=False)
class _Joint:
    """The state of `size` streams."""

    state: State
    size: int


class BatchState:
    """The states of streams by their numbers; a stream that begins anew has none."""

    def __init__(self, engine: StreamEngine, batch: int) -> None:
        self._engine = engine
        self._slots: list[tuple[_Joint, int] | None] = [None] * batch

    def has(self, stream: int) -> bool:
        """Tell whether a stream has a state."""
        return self._slots[stream] is not None

    def take(self, streams: Sequence[int]) -> State:
        """Return the state of streams that all have one, joined if need be; None for those that have none."""
        slots = [slot for stream in streams if (slot := self._slots[stream]) is not None]
        if not slots:
            return None
        assert len(slots) == len(streams)
        joint = slots[0][0]
        if all(slot[0] is joint for slot in slots) and [row for _, row in slots] == list(range(joint.size)):
            return joint.state
        return self._engine.state_of(self.arrays(streams))

    def put(self, streams: Sequence[int], state: State) -> None:
        """Keep the new state of streams."""
        joint = _Joint(state, len(streams))
        for row, stream in enumerate(streams):
            self._slots[stream] = joint, row

    def forget(self, stream: int) -> None:
        """Let a stream begin anew."""
        self._slots[stream] = None

    def add(self, other: "BatchState") -> None:
        """Put the streams of `other` behind these. Raises ConfigError where the engine cannot join states."""
        self.check()
        self._slots += other._slots

    def pop(self, stream: int) -> "BatchState":
        """Take a stream out, for a session of its own; those behind it move up. Raises ConfigError as `add`."""
        self.check()
        alone = BatchState(self._engine, 1)
        if self.has(stream):
            alone.put([0], self.take([stream]))
        del self._slots[stream]
        return alone

    def check(self) -> None:
        """Raise ConfigError where the engine's states are no arrays, so that they cannot be joined."""
        for slot in self._slots:
            if slot is not None:
                self._engine.arrays_of(slot[0].state)
                return

    def arrays(self, streams: Sequence[int]) -> list[NDArray[Any]]:
        """Return copies of the arrays of some streams, zeros where one of them has no state; nothing where none has."""
        joints = {id(slot[0]): slot[0] for stream in streams if (slot := self._slots[stream]) is not None}
        arrays = {key: self._engine.arrays_of(joint.state) for key, joint in joints.items()}
        layers = []
        for layer in range(len(next(iter(arrays.values()), []))):
            nothing = np.zeros_like(next(iter(arrays.values()))[layer][0])
            slots = [self._slots[stream] for stream in streams]
            rows = [nothing if slot is None else arrays[id(slot[0])][layer][slot[1]] for slot in slots]
            layers.append(np.stack(rows))
        return layers

    def save(self, streams: Sequence[int]) -> Saved:
        """Save the states of some streams, and whose they are."""
        layers = {f"layer.{layer}": array for layer, array in enumerate(self.arrays(streams))}
        return {"fingerprint": np.frombuffer(self._engine.fingerprint or b"", np.uint8), **layers}

    @staticmethod
    def restored(
        engine: StreamEngine, saved: Mapping[str, NDArray[Any]], shapes: list[tuple[int, ...]], batch: int
    ) -> "BatchState":
        """Read what `save` gave of all streams. Raises ValueError for what is of others, or damaged."""
        states = BatchState(engine, batch)
        arrays = [saved[name].copy() for layer in range(len(shapes)) if (name := f"layer.{layer}") in saved]
        expected = [(np.dtype(np.float32), (batch, *shape)) for shape in shapes]
        if arrays and [(array.dtype, array.shape) for array in arrays] != expected:
            raise ValueError("the saved session is one of another number of streams, or damaged")
        if arrays:
            states.put(range(batch), engine.state_of(arrays))
        return states


def entry(saved: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    """Find an array of a saved session. Raises ValueError where it has none of this name."""
    if name not in saved:
        raise ValueError(f"the saved session has no {name!r}: it is not of this kind")
    return saved[name]


def check_model(engine: Engine, saved: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError unless a session of the same model was saved."""
    if entry(saved, "fingerprint").tobytes() != (engine.fingerprint or b""):
        raise ValueError("the saved session is one of another model")


def checked_stream(stream: int, batch: int) -> int:
    """Return the number of a stream. Raises IndexError for one that the batch does not have."""
    if not 0 <= operator.index(stream) < batch:
        raise IndexError(f"stream {stream} is not in 0..{batch - 1}, those of this session")
    return operator.index(stream)


def checked_count(value: int, name: str) -> int:
    """Return a number of streams or frames. Raises TypeError for no whole number, ValueError for one below 0."""
    count = whole_number(value, name)
    if count < 0:
        raise ValueError(f"{name} {count} is not 0 or more")
    return count
