"""Text that others may have written: JSON, lines and names, within limits that every reader of the package shares.

Of size, so that no small claim and no endless file fills the memory, of depth, and of digits.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

MOST_BYTES = 1 << 26
"""Bytes of a file that is one value: settings, plans, facts about a model."""
MOST_LIST_BYTES = 1 << 30
"""Bytes of a file that is a list and is held in memory whole: results, indexes."""
MOST_LINE = 1 << 24
"""Characters of a line."""

_OCTAL = re.compile(r"[-+]?0[0-9_]+")

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
    return parse_object(read_limited(path, most_bytes).decode("utf-8"))


def read_limited(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """Read a whole file. Raises OSError, and ValueError for one of more than `most_bytes`, which is not read."""
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError(f"it has more than {most_bytes} bytes")
    return data


def parse_yaml(text: str) -> Any:
    """Return the value of `text`. Raises ValueError for what is no YAML, or is nested deeper than Python can follow.

    Also for a key that is there twice, of which YAML would take the last without a word, and for numbers that it takes
    for others than they look: 010 for 8, 1:30 for 90.
    """
    import yaml

    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_nodes(node)
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    finally:
        loader.dispose()


def _check_nodes(root: Any) -> None:
    """Raise ValueError for a key that is there twice, and odd numbers; what stands in many places is looked at once."""
    waiting, seen = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        _check_number(node)
        pairs = [item for item in node.value if isinstance(item, tuple)] if isinstance(node.value, list) else []
        keys = [key.value for key, _ in pairs if isinstance(key.value, str)]
        if repeated := next((key for key, count in Counter(keys).items() if count > 1), None):
            raise ValueError(f"it has the key {repeated!r} twice; name each once")
        inner = [each for pair in pairs for each in pair] if pairs else node.value
        for each in inner if isinstance(inner, list) else []:
            if id(each) not in seen:
                seen.add(id(each))
                waiting.append(each)


def _check_number(node: Any) -> None:
    """Raise ValueError for a number to the base 8 or 60, which YAML 1.1 has and nobody means."""
    is_number = node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
    if is_number and isinstance(node.value, str) and (":" in node.value or _OCTAL.fullmatch(node.value)):
        base = 60 if ":" in node.value else 8
        text = node.value[:80]
        raise ValueError(f"YAML takes {text} for a number to the base {base}; write it to the base 10, or quote it")


def limited_lines(file: TextIO) -> Iterator[str]:
    """Yield the lines of `file` with their ends. Raises ValueError for one of more than 16 Mi characters."""
    while line := file.readline(MOST_LINE + 1):
        if len(line) > MOST_LINE:
            raise ValueError(f"a line has more than {MOST_LINE} characters")
        yield line


def printable(text: str) -> str:
    """Return `text` with what UTF-8 cannot hold (names of files in another encoding) escaped by backslashes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
