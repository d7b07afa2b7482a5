"""The output folder of vqcodec tokenize: who works in it, and the plan that it has already. See `run`."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from vqcodec.atomic import output_errors
from vqcodec.errors import OutputError, TokensError
from vqcodec.tokens.plan import Plan, Settings, open_plan


@contextlib.contextmanager
def at_work(folder: Path, *, alone: bool) -> Iterator[None]:
    """Make `folder`, unless it exists, and hold it: `alone`, or with others that are not.

    A new folder in which nothing came about is removed. Raises OutputError for a folder of something else, or that
    another run holds.
    """
    if not (folder / "plan.json").exists() and folder.exists() and (not folder.is_dir() or any(_foreign(folder))):
        raise OutputError(f"{folder}: exists and is no output of vqcodec tokenize; give a new or empty folder")
    is_new = not folder.exists()
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with _locked(folder, alone=alone):
            yield
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()


@contextlib.contextmanager
def _locked(folder: Path, *, alone: bool) -> Iterator[None]:
    """Lock the folder itself, so that no file stays behind; the lock ends with the process, however that ends."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"{folder}: another run is at work in it; wait for its end, or give each a part with --shard i/N"
            ) from None
        except OSError:
            pass  # some network file systems have no locks
        yield
    finally:
        os.close(descriptor)


def existing_plan(folder: Path, settings: Settings, source: str, *, shard_size: int | None, go_on: bool) -> Plan | None:
    """The plan in `folder`; None where there is none yet. `shard_size` None: whatever it is.

    Raises OutputError for one that is not to `go_on`, TokensError for one of another source or other settings.
    """
    if not (folder / "plan.json").exists():
        return None
    if not go_on:
        raise OutputError(f"{folder}: holds tokens already; --resume goes on with them, or give another folder")
    plan = open_plan(folder)
    planned = {**vars(plan.settings), "shard_size": plan.shard_size}
    asked = {**vars(settings), "shard_size": shard_size or plan.shard_size}
    # A folder has one real path, by whatever links it is named.
    if os.path.realpath(source) != os.path.realpath(plan.source):
        planned, asked = {"source": plan.source}, {"source": source}
    for name, value in asked.items():
        if value != planned[name]:
            raise TokensError(
                f"{folder}: was planned with {name} {planned[name]}, not {value}; give that or a new folder"
            )
    return plan


def remove_leftovers(folder: Path, *, alone: bool) -> None:
    """Remove what a plan that was interrupted has left, unless another run may be making it."""
    with output_errors(folder):
        for leftover in folder.glob(".plan.*") if alone else ():
            leftover.unlink()


def make_folders(folder: Path) -> None:
    """Make the folders of shards and their indexes."""
    with output_errors(folder):
        for name in ("shards", "index"):
            (folder / name).mkdir(exist_ok=True)


def _foreign(folder: Path) -> Iterator[Path]:
    """What is not of a plan that was interrupted while it was made."""
    for path in folder.iterdir():
        is_ours = path.name in ("shards", "index") and not any(path.iterdir())
        if not is_ours and not path.name.startswith((".plan.", "plan.jsonl")):
            yield path
