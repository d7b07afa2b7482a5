"""What others add: quantizers, adapters, codecs under test and metrics, in modules that put themselves into tables.

A module is loaded because a package names it under the entry point group `vqcodec.plugins`, or because
`vqcodec --import MODULE` does, which holds for the processes that the command starts as well. Those of packages are
loaded when a name is asked for that is not in a table: who uses none waits for none.
"""

import importlib
import os
import sys
from collections.abc import Iterable
from typing import TypeVar

from typing_extensions import override

from vqcodec.errors import ConfigError

GROUP = "vqcodec.plugins"
"""The group of entry points, each name = module."""
VARIABLE = "VQCODEC_IMPORT"
"""Modules to be loaded, with commas between them; relative to the working folder or installed."""

_T = TypeVar("_T")


class PluginTable(dict[str, _T]):
    """A table that plug-ins add to: they are loaded before it says that it has no such name."""

    @override
    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (load_plugins() and super().__contains__(name))

    def __missing__(self, name: str) -> _T:
        """Look again, with the plug-ins. Raises KeyError."""
        if name not in self:
            raise KeyError(name)
        return self[name]


_loaded: set[str] = set()


def load_plugins() -> bool:
    """Load each plug-in once in this process; is there one? Raises ConfigError for one that cannot be loaded."""
    import importlib.metadata

    import_modules(filter(None, os.environ.get(VARIABLE, "").split(",")))
    for entry in importlib.metadata.entry_points(group=GROUP):
        if entry.value not in _loaded:
            package = entry.dist.name if entry.dist else "a package"
            _load(entry.value, f"{package}, plug-in {entry.name}")
    return bool(_loaded)


def import_modules(names: Iterable[str]) -> None:
    """Load modules that are installed or in the working folder. Raises ConfigError for one that cannot be loaded."""
    for name in names:
        if name not in _loaded:
            if os.getcwd() not in sys.path:
                sys.path.append(os.getcwd())
            _load(name, f"--import {name}")


def _load(module: str, where: str) -> None:
    _loaded.add(module)  # before it is: it may ask a table itself
    try:
        importlib.import_module(module)
    except Exception as error:  # a plug-in is anyone's code
        _loaded.discard(module)
        why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ConfigError(f"{where}: cannot be loaded ({why}); mend it or leave it out") from None
