"""A reader of pickles that executes nothing: opcodes become plain values and inert notes of what would be called.

It knows the opcodes that Python writes for numbers, texts, bytes, lists, tuples and dicts, and four names of numpy;
any other name or opcode is refused where it stands. `array_of` and `scalar_of` then read numpy's notes with checks of
their own. Each opcode takes no more memory than its bytes, and their number is bounded.
"""

import io
import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.errors import BitstreamError
from vqcodec.files.foreign.npy import shaped

_MOST_OPCODES = 10_000
"""A .dac has about 200."""
_NAMES = {
    "numpy.core.multiarray _reconstruct": "_reconstruct",
    "numpy._core.multiarray _reconstruct": "_reconstruct",
    "numpy.core.multiarray scalar": "scalar",
    "numpy._core.multiarray scalar": "scalar",
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
}
_NUMBERS = re.compile(r"[iuf][1248]")
_OBJECTS = re.compile(r"O[48]")


@dataclass(frozen=True)
class Name:
    """One of numpy's names, which stands for nothing here."""

    name: str


@dataclass(eq=False)
class Note:
    """What unpickling would call and then hand a state to."""

    name: str
    arguments: Any
    state: Any = None


def read_pickle(data: bytes) -> Any:
    """Return the values of a pickle that is all of `data`. Raises BitstreamError."""
    file = io.BytesIO(data)
    stack = _Stack()
    try:
        for count, (opcode, argument, position) in enumerate(pickletools.genops(file)):
            if count >= _MOST_OPCODES:
                raise BitstreamError("its pickle has more opcodes than a file of codes needs")
            if opcode.name == "STOP":
                break
            if opcode.name not in _ACTIONS:
                raise BitstreamError(f"its pickle has {opcode.name} at byte {position}, which no file of codes needs")
            _ACTIONS[opcode.name](stack, argument)
        value = stack.pop()
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise BitstreamError(f"its pickle is cut or damaged ({type(error).__name__})") from None
    if stack.values or file.tell() != len(data):
        raise BitstreamError("its pickle does not end where it should; it is damaged")
    return value


class _Stack:
    """The values so far, where the open lists of arguments begin, and what later opcodes may refer to."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        """Take the top, which must lie above the last mark."""
        if self.marks and len(self.values) <= self.marks[-1]:
            raise IndexError
        return self.values.pop()

    def pop_marked(self) -> list[Any]:
        """Take all above the last mark."""
        start = self.marks.pop()
        found = self.values[start:]
        del self.values[start:]
        return found


def _push(stack: _Stack, value: Any) -> None:
    stack.values.append(value)


def _tuple(count: int) -> Callable[[_Stack, Any], None]:
    return lambda stack, _: _push(stack, tuple(reversed([stack.pop() for _ in range(count)])))


def _append(stack: _Stack, items: list[Any]) -> None:
    target = stack.values[-1]
    if type(target) is not list:
        raise TypeError
    target.extend(items)


def _set(stack: _Stack, items: list[Any]) -> None:
    target = stack.values[-1]
    keys = items[::2]
    # Other keys could take for ever to hash: tuples of tuples, each of them twice.
    if type(target) is not dict or len(items) % 2 or not all(type(key) is str for key in keys):
        raise TypeError
    target.update(zip(keys, items[1::2], strict=True))


def _name(stack: _Stack, name: Any) -> None:
    known = _NAMES.get(name)
    if known is None:
        raise BitstreamError(f"its pickle asks for {name[:60]!r}, which no file of codes needs; it may be an attack")
    _push(stack, Name(known))


def _stack_name(stack: _Stack, _: Any) -> None:
    name, module = stack.pop(), stack.pop()
    if type(name) is not str or type(module) is not str:
        raise TypeError
    _name(stack, f"{module} {name}")


def _reduce(stack: _Stack, _: Any) -> None:
    arguments, function = stack.pop(), stack.pop()
    if type(function) is not Name or function.name == "ndarray":
        raise TypeError
    _push(stack, Note(function.name, arguments))


def _build(stack: _Stack, _: Any) -> None:
    state, target = stack.pop(), stack.values[-1]
    if type(target) is not Note or target.state is not None:
        raise TypeError
    target.state = state


def _remember(stack: _Stack, index: int) -> None:
    stack.memo[index] = stack.values[-1]


_ACTIONS: dict[str, Callable[[_Stack, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda stack, _: None),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), _push),
    **dict.fromkeys(("SHORT_BINUNICODE", "BINUNICODE", "SHORT_BINBYTES", "BINBYTES"), _push),
    "NONE": lambda stack, _: _push(stack, None),
    "NEWTRUE": lambda stack, _: _push(stack, True),
    "NEWFALSE": lambda stack, _: _push(stack, False),
    "MARK": lambda stack, _: stack.marks.append(len(stack.values)),
    "EMPTY_TUPLE": _tuple(0),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "TUPLE": lambda stack, _: _push(stack, tuple(stack.pop_marked())),
    "EMPTY_LIST": lambda stack, _: _push(stack, []),
    "APPEND": lambda stack, _: _append(stack, [stack.pop()]),
    "APPENDS": lambda stack, _: _append(stack, stack.pop_marked()),
    "EMPTY_DICT": lambda stack, _: _push(stack, {}),
    "SETITEM": lambda stack, _: _set(stack, [stack.pop(), stack.pop()][::-1]),
    "SETITEMS": lambda stack, _: _set(stack, stack.pop_marked()),
    "GLOBAL": _name,
    "STACK_GLOBAL": _stack_name,
    "REDUCE": _reduce,
    "BUILD": _build,
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _remember),
    "MEMOIZE": lambda stack, _: _remember(stack, len(stack.memo)),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda stack, index: _push(stack, stack.memo[index])),
}


# numpy's notes


def object_of(note: Any) -> Any:
    """Return the one object in an array of objects without dimensions, as numpy saves what is no array."""
    shape, dtype, _, content = _array_state(note)
    if shape != () or not _OBJECTS.fullmatch(dtype[1:]) or type(content) is not list or len(content) != 1:
        raise BitstreamError("its pickle is not the one object that numpy saves")
    return content[0]


def array_of(note: Any) -> NDArray[Any]:
    """Return the numbers of an array, without a copy. Raises BitstreamError."""
    shape, dtype, is_fortran, content = _array_state(note)
    values = _numbers(dtype, content)
    if math.prod(shape) != len(values):
        raise BitstreamError(f"an array in it has {len(values)} numbers, but its shape asks for {math.prod(shape)}")
    return shaped(values, shape, is_fortran=is_fortran)


def scalar_of(value: Any) -> float | int:
    """Return a number: a plain one, numpy's scalar, or an array of one. Raises BitstreamError."""
    if type(value) in (int, float):
        return value  # type: ignore[no-any-return]
    if type(value) is Note and value.name == "scalar" and _is_tuple(value.arguments, 2):
        values = _numbers(_dtype(value.arguments[0]), value.arguments[1])
    else:
        values = array_of(value).reshape(-1)
    if len(values) != 1:
        raise BitstreamError(f"{len(values)} numbers stand in it for one")
    return values[0].item()  # type: ignore[no-any-return]


def _array_state(note: Any) -> tuple[tuple[int, ...], str, bool, Any]:
    """Shape, dtype, order and content of numpy's note of an array."""
    made_as = (Name("ndarray"), (0,), b"b")
    if type(note) is not Note or note.name != "_reconstruct" or not _is_same(note.arguments, made_as):
        raise BitstreamError("something in it is no array as numpy writes one")
    if not _is_tuple(note.state, 5) or type(note.state[1]) is not tuple:
        raise BitstreamError("an array in it is not in the form that numpy writes")
    _, shape, dtype, is_fortran, content = note.state
    if not all(type(size) is int and size >= 0 for size in shape):
        raise BitstreamError("the shape of an array in it is impossible; it is damaged")
    return shape, _dtype(dtype), is_fortran is True, content


def _dtype(note: Any) -> str:
    """The code of numpy's note of a plain dtype, such as "<u2": no fields, no shape of its own, no metadata."""
    if type(note) is not Note or note.name != "dtype" or not _is_tuple(note.arguments, 3):
        raise BitstreamError("the type of an array in it is not in the form that numpy writes")
    code, state = note.arguments[0], note.state
    if (
        not _is_tuple(state, 8)
        or not _is_same(state[2:7], (None, None, None, -1, -1))
        or state[1] not in ("<", ">", "|")
    ):
        raise BitstreamError("the type of an array in it is no plain one")
    if type(code) is not str or not (_NUMBERS.fullmatch(code) or _OBJECTS.fullmatch(code)):
        raise BitstreamError("the type of an array in it is no plain one")
    return f"{state[1]}{code}"


def _numbers(dtype: str, content: Any) -> NDArray[Any]:
    if not _NUMBERS.fullmatch(dtype[1:]) or type(content) is not bytes:
        raise BitstreamError("an array in it holds no plain numbers")
    try:
        return np.frombuffer(content, np.dtype(dtype))
    except (ValueError, TypeError):  # no whole number of items, or a type that does not exist, such as f1
        raise BitstreamError("an array in it has bytes that are no whole numbers") from None


def _is_tuple(value: Any, length: int) -> bool:
    return type(value) is tuple and len(value) == length


def _is_same(value: Any, wanted: tuple[Any, ...]) -> bool:
    """Equality that a tuple of another kind of items cannot drag out."""
    return _is_tuple(value, len(wanted)) and all(
        _is_same(item, want) if type(want) is tuple else type(item) is type(want) and item == want
        for item, want in zip(value, wanted, strict=True)
    )
