"""JSON that others may have written: every reader of the package takes it from here, so that each has the same limits.

Of size (a small file that is a large one is not read), depth and digits: what is beyond them is a ValueError, as is
what is no JSON.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

MOST_BYTES = 1 << 26
"""Of a file that is one value: settings, plans, facts about a model."""

Pairs = Callable[[list[tuple[str, Any]]], Any]


def parse_json(text: str | bytes, *, pairs: Pairs | None = None) -> Any:
    """Return the value of `text`; `pairs` makes objects, as `json.loads` has it. Raises ValueError for anything else.

    Also for values nested deeper than Python can follow, and integers of more digits than it converts (4300).
    """
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None


def parse_object(text: str | bytes, *, pairs: Pairs | None = None) -> dict[str, Any]:
    """Return the object that `text` is. Raises ValueError."""
    value = parse_json(text, pairs=pairs)
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value


def read_json_object(path: Path, *, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Read a file that is one object. Raises OSError, and ValueError for a larger file and for anything else in it."""
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError(f"more than {most_bytes} bytes")
    return parse_object(data.decode("utf-8"))
