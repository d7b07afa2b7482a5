"""What several files mean: arguments become pairs of input and output, in the same way for every command here."""

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from vqcodec.cli.common import echo
from vqcodec.errors import BitstreamError, OutputError
from vqcodec.output import check_output, make_folder

STANDARD = "-"
"""The name of standard input and output."""
CODED_SUFFIX = ".vqc"

Found = Iterable[tuple[Path, Path]]
"""Files, each with its place below the folder that is given, which its output has below --out-dir."""


@dataclass(frozen=True)
class Job:
    """A file to read and, where the command writes, the one to write."""

    source: str
    target: str = ""

    @property
    def is_done(self) -> bool:
        """Whether there is an output: one that is there is complete."""
        return self.target not in ("", STANDARD) and os.path.lexists(self.target)

    @property
    def is_pipe(self) -> bool:
        """Whether reading the input may wait for ever, as that of a named pipe, or never end, as that of a device."""
        path = Path(self.source)
        return path.exists() and not path.is_file() and not path.is_dir()

    @property
    def source_bytes(self) -> int:
        """Bytes of the input; 0 where that is no file."""
        path = Path(self.source)
        return path.stat().st_size if path.is_file() else 0


def check_target(target: str, *, source: str, force: bool) -> None:
    """Raise the OutputError that writing a .vqc to `target` would end in, also for a name of audio."""
    check_output(target, force=force, source=source)
    if Path(target).suffix.lower() not in ("", CODED_SUFFIX):  # what follows takes longer to import than to thin
        from vqcodec.files.request import refuse_name_of_audio

        refuse_name_of_audio(target)


def coded_jobs(paths: Sequence[str]) -> list[Job]:
    """Find the .vqc to read among files, folders and globs, each once. Raises BitstreamError where there are none."""
    return [Job(path) for path in dict.fromkeys(str(path) for pattern in paths for path, _ in find_coded(pattern))]


def pairs(paths: Sequence[str], out_dir: Path | None, *, suffix: str, find: Callable[[str], Found]) -> list[Job]:
    """Pair what `find` finds with outputs below `out_dir`, which is made; without one `paths` are a pair themselves.

    Raises UsageError for other paths, and OutputError where two outputs are one file, or one is its own input.
    """
    if out_dir is None:
        if len(paths) != 2:
            raise click.UsageError("give one INPUT and one OUTPUT, or inputs and --out-dir")
        if os.path.isdir(paths[0]):
            raise OutputError(f"{paths[0]}: is a folder; give a file, or --out-dir for a whole folder")
        return [Job(*paths)]
    if STANDARD in paths:
        raise click.UsageError("- goes with one OUTPUT, not with --out-dir")
    inputs: dict[Path, Path] = {}
    for source, relative in (found for path in paths for found in find(path)):
        target = out_dir / relative.with_suffix(suffix)
        if not _is_same(inputs.setdefault(target, source), source):
            other, remedy = inputs[target], "rename one"
            if source.parent != other.parent:
                remedy = "give the folder above both, whose tree is kept, or rename one"
            raise OutputError(f"{source} and {other} would both become {target}; {remedy}")
        if _is_same(source, target):
            raise OutputError(f"{target}: is the input itself; choose another --out-dir")
    for folder in dict.fromkeys(target.parent for target in inputs):
        make_folder(folder)
    return [Job(str(source), str(target)) for target, source in inputs.items()]


def find_coded(source: str, suffix: str = CODED_SUFFIX) -> Iterator[tuple[Path, Path]]:
    """Yield a file of codes by its name, all of `suffix` below a folder, or those of it that a glob matches.

    A name that nothing has is yielded as well: reading it is one file's failure. Raises BitstreamError for a folder or
    glob without any.
    """
    path = Path(source)
    if source == STANDARD or path.is_file() or not (path.is_dir() or glob.has_magic(source)):
        yield path, Path(path.name)
        return
    found = list(_below(path, suffix) if path.is_dir() else _matches(source, suffix))
    if not found:
        raise BitstreamError(f"{source}: no {suffix} found; give a file, a folder or a glob")
    yield from found


def find_recordings(source: str) -> Iterator[tuple[Path, Path]]:
    """Yield the audio of a file, folder, glob or manifest. Raises AudioError as `find_audio`."""
    from vqcodec.audio.discover import find_audio

    root = Path(source).expanduser()
    clips = find_audio([source])
    excerpts = sum(clip.is_excerpt for clip in clips)
    if excerpts:
        told = f"{excerpts} of {len(clips)} rows name excerpts, yet whole files are encoded, each once"
        echo(f"Warning: {source}: {told}; vqcodec tokenize --format vqc codes excerpts", err=True)
    for clip in clips:
        yield clip.path, clip.path.relative_to(root) if root.is_dir() else Path(clip.path.name)


def _below(root: Path, suffix: str) -> Iterator[tuple[Path, Path]]:
    from vqcodec.audio.walk import walk_files

    return ((path, path.relative_to(root)) for path in walk_files(root, partial(_has, suffix)))


def _matches(pattern: str, suffix: str) -> Iterator[tuple[Path, Path]]:
    for match in map(Path, sorted(glob.glob(pattern, recursive=True))):
        if match.is_dir():
            yield from _below(match, suffix)
        elif _has(suffix, match):
            yield match, Path(match.name)


def _has(suffix: str, path: Path) -> bool:
    return path.suffix.lower() == suffix


def _is_same(path: Path, other: Path) -> bool:
    return path == other or (path.exists() and other.exists() and path.samefile(other))
