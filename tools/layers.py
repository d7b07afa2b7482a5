"""Imports run one way: a module may import only from lower floors, function-local imports included.

python tools/layers.py [PACKAGE_FOLDER] prints every import that goes up or sideways and exits with 1 if there is one.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FLOORS = {
    "errors": 0,
    "frames": 0,
    "atomic": 1,
    "pipes": 1,
    "usage": 1,
    "workers": 1,
    "cores": 1,
    "architecture": 1,
    "config": 2,
    "bitstream": 2,
    "nn": 2,
    "audio": 2,
    "engine": 3,
    "packets": 3,
    "metrics": 3,
    "codec": 4,
    "stream": 4,
    "models": 4,
    "hub": 4,
    "clips": 4,
    "weightsfile": 4,
    "onnx_codec": 5,
    "weights": 5,
    "adapters": 5,
    "transcode": 5,
    "zoo": 6,
    "convert": 7,
    "export": 7,
    "publishing": 7,
    "foreign": 8,
    "live": 8,
    "training": 8,
    "tokens": 8,
    "evaluation": 8,
    "cli": 9,
    "__main__": 10,
}


def part_of(module: str) -> str | None:
    """The part of vqcodec that `module` belongs to, None for other packages and for vqcodec itself."""
    names = module.split(".")
    return names[1] if names[0] == "vqcodec" and len(names) > 1 else None


def imported_parts(source: str) -> Iterator[tuple[int, str]]:
    """Line and part of every import of vqcodec in `source`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "vqcodec":
            modules = [f"vqcodec.{alias.name}" for alias in node.names if alias.name in FLOORS]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module]
        else:
            continue
        yield from ((node.lineno, part) for module in modules if (part := part_of(module)))


def violations(package: Path) -> Iterator[str]:
    """One line per import that does not go down."""
    for path in sorted(package.rglob("*.py")):
        part = path.relative_to(package).with_suffix("").parts[0]
        if part == "__init__":  # the package's front door names everything
            continue
        if part not in FLOORS:
            yield f"{path}: {part} has no floor in tools/layers.py"
            continue
        for line, imported in imported_parts(path.read_text(encoding="utf-8")):
            if imported != part and FLOORS.get(imported, 99) >= FLOORS[part]:
                yield f"{path}:{line}: {part} (floor {FLOORS[part]}) imports {imported}"


if __name__ == "__main__":
    found = list(violations(Path(sys.argv[1] if len(sys.argv) > 1 else "vqcodec")))
    print("\n".join(found) if found else "imports run one way")
    sys.exit(1 if found else 0)
