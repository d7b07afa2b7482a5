"""Files below a folder, for whoever looks for audio or for .vqc. No libsndfile here, which takes time to import."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from vqcodec.errors import AudioError


def walk_files(root: Path, is_wanted: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield the wanted files below a folder, each folder's entries by name; what is hidden is left out.

    Links to folders elsewhere are followed, but no folder is walked through twice; those inside `root` come anyway.
    Pipes, devices and links that lead nowhere are yielded too, so that they are told of. Raises AudioError for a folder
    that cannot be listed.
    """
    real_root = os.path.realpath(root)
    return _walk(root, is_wanted, real_root, {real_root})


def _walk(folder: Path, is_wanted: Callable[[Path], bool], real_root: str, seen: set[str]) -> Iterator[Path]:
    for entry in _entries(folder):
        path, real = Path(entry.path), os.path.realpath(entry.path)
        if not path.is_dir():
            if is_wanted(path):
                yield path
        elif real not in seen and not (entry.is_symlink() and Path(real).is_relative_to(real_root)):
            seen.add(real)
            yield from _walk(path, is_wanted, real_root, seen)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise AudioError(f"{folder}: cannot be listed ({error.strerror}); give a folder that can be read") from None
