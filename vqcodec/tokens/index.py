"""The index: a file of JSON lines per finished shard, and what is merged from all of them.

OUT/index/shard-000000.jsonl has one line per utterance of the plan, in its order: of a row of the shard its id,
num_frames, samples and, in tar shards, offset and bytes of its member; of a failure its id, source and error. A last
line has the shard's size. A shard whose index exists is finished, for that is written last; it is intact if it still
has that size. `merge` makes index.json, failures.jsonl and, for the formats with a file per utterance, manifest.jsonl.
"""

import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vqcodec.errors import TokensError
from vqcodec.output import atomic_output, output_errors
from vqcodec.texts import MOST_LIST_BYTES, parse_object, read_limited
from vqcodec.tokens.formats import format_of
from vqcodec.tokens.plan import Plan

_SIZE = "shard_bytes"
_MOST_SIZE_BYTES = 64
"""More than the line with the size has."""


@dataclass(frozen=True)
class Totals:
    """Sums over shards. `seconds` of audio; `tokens`: codes of all codebooks."""

    utterances: int = 0
    failures: int = 0
    frames: int = 0
    seconds: float = 0.0
    tokens: int = 0


def shard_name(shard: int) -> str:
    """Return the name of a shard's files, without suffix."""
    return f"shard-{shard:06}"


def index_path(folder: Path, shard: int) -> Path:
    """Tell where the index of a shard is."""
    return folder / "index" / f"{shard_name(shard)}.jsonl"


def shard_path(folder: Path, shard: int, kind: str) -> Path:
    """Tell where a shard is: a file, or the folder of its files."""
    return folder / "shards" / (shard_name(shard) + format_of(kind).suffix)


def write_index(folder: Path, shard: int, kind: str, lines: list[dict[str, Any]]) -> None:
    """Mark `shard`, which is there, as finished."""
    lines = [*lines, {_SIZE: _bytes_of(shard_path(folder, shard, kind))}]
    with atomic_output(index_path(folder, shard), force=True) as path:
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def read_index(folder: Path, shard: int) -> list[dict[str, Any]]:
    """Return the lines of a shard's index, failures included. Raises TokensError if it is missing or damaged.

    Those of rows have at least num_frames and seconds.
    """
    path = index_path(folder, shard)
    try:
        lines = read_limited(path, MOST_LIST_BYTES).split(b"\n")  # splitlines would cut texts at rarer separators
        values = [parse_object(line.decode()) for line in lines if line]
        values = [value for value in values if _SIZE not in value]
        for row in values:
            if "error" not in row:
                check_numbers(row["num_frames"], seconds=row["seconds"])
        return values
    except (OSError, ValueError, KeyError) as error:
        raise TokensError(f"{path}: cannot be read ({error}); tokenize again with --resume") from None


def check_numbers(*counts: object, seconds: object) -> None:
    """Raise ValueError for counts that are no integers from 0 to 2^63, and seconds that are no length of time."""
    if not all(type(count) is int and 0 <= count < 1 << 63 for count in counts):
        raise ValueError(f"{counts!r:.80} are no counts")
    if type(seconds) not in (int, float) or not 0 <= seconds < 1e15:  # type: ignore[operator]
        raise ValueError(f"{seconds!r:.80} is no length of time")


def is_finished(plan: Plan, shard: int) -> bool:
    """Tell whether a shard has been written."""
    return index_path(plan.folder, shard).is_file() and shard_path(plan.folder, shard, plan.settings.format).exists()


def is_intact(plan: Plan, shard: int) -> bool:
    """Tell whether a shard needs no more work: it is finished, its index is whole, and it is as long as it was then."""
    if not is_finished(plan, shard):
        return False
    index = index_path(plan.folder, shard)
    size = _written_bytes(index)
    if _count_lines(index) != plan.size_of(shard) + (size is not None):
        return False
    return size is None or size == _bytes_of(shard_path(plan.folder, shard, plan.settings.format))


def _written_bytes(index: Path) -> int | None:
    """The size in the last line of an index; None in one without."""
    with index.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _MOST_SIZE_BYTES))
        found = re.search(rb'^\{"%s": (\d+)\}\n\Z' % _SIZE.encode(), file.read(), re.MULTILINE)
    return None if found is None else int(found[1])


def _count_lines(index: Path) -> int:
    with index.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(partial(file.read, 1 << 20), b""))


def _bytes_of(shard: Path) -> int:
    """The size of a file, or of all files in a folder."""
    if shard.is_file():
        return shard.stat().st_size
    return sum(file.stat().st_size for file in shard.rglob("*") if file.is_file())


def reopen_failed(plan: Plan, shards: Iterable[int]) -> None:
    """Let those of `shards` that are finished and have failures be unfinished, and so the dataset."""
    finished = [shard for shard in shards if is_finished(plan, shard)]
    failed = [shard for shard in finished if any("error" in line for line in read_index(plan.folder, shard))]
    with output_errors(plan.folder):
        if failed:
            (plan.folder / "index.json").unlink(missing_ok=True)
        for shard in failed:
            index_path(plan.folder, shard).unlink()


def merge(plan: Plan) -> Totals:
    """Write index.json, failures.jsonl and manifest.jsonl. Raises TokensError while shards are missing."""
    missing = [shard for shard in range(plan.num_shards) if not is_intact(plan, shard)]
    if missing:
        which = ", ".join(map(str, missing[:5])) + (" ..." if len(missing) > 5 else "")
        raise TokensError(
            f"{plan.folder}: {len(missing)} of {plan.num_shards} shards are unfinished ({which}); run --resume"
        )
    with atomic_output(plan.folder / "failures.jsonl", force=True) as path, path.open("w", encoding="utf-8") as file:
        for shard in range(plan.num_shards):
            failures = (line for line in read_index(plan.folder, shard) if "error" in line)
            file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in failures)
    if (manifest := format_of(plan.settings.format).manifest) is not None:
        _merge_manifests(plan, manifest)
    shards = [_facts(plan.folder, shard) for shard in range(plan.num_shards)]
    totals = _sum(shards, plan.settings.num_codebooks)
    values = {**vars(plan.settings), "columns": plan.columns, **vars(totals), "shards": shards}
    with atomic_output(plan.folder / "index.json", force=True) as path:
        path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return totals


def totals_of(plan: Plan, shards: Sequence[int]) -> Totals:
    """Return the sums over finished shards."""
    return _sum([_facts(plan.folder, shard) for shard in shards], plan.settings.num_codebooks)


def _facts(folder: Path, shard: int) -> dict[str, Any]:
    """What index.json says of a shard."""
    lines = read_index(folder, shard)
    rows = [line for line in lines if "error" not in line]
    return {
        "name": shard_name(shard),
        "utterances": len(rows),
        "failures": len(lines) - len(rows),
        "frames": sum(row["num_frames"] for row in rows),
        "seconds": math.fsum(row["seconds"] for row in rows),
    }


def _sum(shards: Sequence[dict[str, Any]], num_codebooks: int) -> Totals:
    frames = sum(shard["frames"] for shard in shards)
    return Totals(
        utterances=sum(shard["utterances"] for shard in shards),
        failures=sum(shard["failures"] for shard in shards),
        frames=frames,
        seconds=math.fsum(shard["seconds"] for shard in shards),
        tokens=frames * num_codebooks,
    )


def _merge_manifests(plan: Plan, name: str) -> None:
    with atomic_output(plan.folder / name, force=True) as path, path.open("wb") as file:
        for shard in range(plan.num_shards):
            with (plan.folder / "shards" / shard_name(shard) / name).open("rb") as part:
                shutil.copyfileobj(part, file)
