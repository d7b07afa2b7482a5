"""Imports run one way: a part of the package imports from lower floors only, and no modules inside a part in a circle.

python tools/layers.py [PACKAGE_FOLDER] prints every import that goes up or sideways and every circle, and exits with 1
if there is one. Imports inside functions count; those for type checkers alone count for circles only.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from vqcodec.system.pipes import until_unread

FLOORS = {
    "arrays": 0,
    "errors": 0,
    "frames": 0,
    "texts": 0,
    "output": 1,
    "system": 1,
    "nn": 2,
    "bitstream": 2,
    "audio": 2,
    "metrics": 3,
    "models": 3,
    "sessions": 4,
    "training": 4,
    "files": 5,
    "web": 5,
    "tokens": 6,
    "evaluation": 6,
    "cli": 7,
    "__main__": 8,
}


def main(package: Path) -> list[str]:
    """One line per import that does not go down, then one per circle."""
    modules = _modules(package)
    running = {module: list(_imports(path, for_types=False)) for module, path in modules.items()}
    every = {module: list(_imports(path, for_types=True)) for module, path in modules.items()}
    return [*_not_down(running), *_circles(every)]


def _modules(package: Path) -> dict[str, Path]:
    """Every module by its dotted name without the package's, but for the front door, which names everything."""
    modules = {}
    for path in sorted(package.rglob("*.py")):
        names = path.relative_to(package).with_suffix("").parts
        if names != ("__init__",):
            modules[".".join(names[:-1] if names[-1] == "__init__" else names)] = path
    return modules


def _imports(path: Path, *, for_types: bool) -> Iterator[tuple[int, str]]:
    """Line and dotted name, without the package's, of what a file imports of it: modules or names in them.

    for_types: also under `if TYPE_CHECKING`
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if for_types else _running(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "vqcodec":  # the front door's names are no modules
            names = [f"vqcodec.{alias.name}" for alias in node.names if alias.name in FLOORS]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name.removeprefix("vqcodec.")) for name in names if name.startswith("vqcodec."))


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that is run: not what stands under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING"):
            yield child
            yield from _running(child)


def _not_down(imports: Mapping[str, list[tuple[int, str]]]) -> Iterator[str]:
    for module, found in imports.items():
        part = module.split(".")[0]
        if part not in FLOORS:
            yield f"{module}: {part} has no floor in tools/layers.py"
            continue
        for line, name in found:
            other = name.split(".")[0]
            if other != part and FLOORS.get(other, 99) >= FLOORS[part]:
                yield f"{module}:{line}: {part} (floor {FLOORS[part]}) imports {other}"


def _circles(imports: Mapping[str, list[tuple[int, str]]]) -> Iterator[str]:
    """The circles between modules, one after the other until none is left."""
    graph = {module: {_module(name, imports) for _, name in found} - {module, ""} for module, found in imports.items()}
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle = error.args[1]
            yield f"{' <- '.join(circle)}: a circle"
            graph[circle[1]].discard(circle[0])
        else:
            return


def _module(name: str, imports: Mapping[str, object]) -> str:
    """The longest beginning of `name` that is a module; "" if none is."""
    while name and name not in imports:
        name = name.rpartition(".")[0]
    return name


if __name__ == "__main__":
    found = main(Path(sys.argv[1] if len(sys.argv) > 1 else "vqcodec"))
    until_unread(lambda: print("\n".join(found) if found else "imports run one way"))
    sys.exit(1 if found else 0)
