"""Plan: which utterance goes into which shard, fixed before any work, so that every run and worker agrees.

OUT/plan.jsonl holds a line an utterance in order, OUT/plan.json the settings and where each shard begins. A plan that
exists is never made anew: a shard is its lines, whatever became of the source since.
"""

import hashlib
import json
import warnings
from array import array
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

from vqcodec.errors import AudioError, TokensError
from vqcodec.frames import ceil_div
from vqcodec.models.effort import DEFAULT_EFFORT, EFFORTS, Effort
from vqcodec.output import atomic_output
from vqcodec.texts import MOST_LINE, MOST_LIST_BYTES, read_json_object
from vqcodec.tokens.formats.table import FORMATS
from vqcodec.tokens.utterances import ColumnValue, Utterance, check_id

ColumnType = Literal["string", "int64", "float64", "bool"]
"""Types of carried columns."""

RESERVED = ("id", "codes", "vqc", "num_frames", "samples", "original_rate_hz", "source", "error")
"""Columns of ours: a source's column of such a name is carried as NAME_given."""

_GIVEN = "_given"
_VERSION = 1
_MOST_CODES, _MOST_CODEBOOKS = 1 << 16, 255
"""Most codes of a codebook, and codebooks of a frame: what a .vqc and an array of uint16 hold."""
_SHARD_SIZES = (64, 1000)
_SHARDS = 64
"""A small source is cut into about so many shards, so that many workers have work; see `default_shard_size`."""


@dataclass(frozen=True)
class Settings:
    """What all shards share. `fingerprint`: SHA-256 of the weights file, in hex."""

    model: str
    fingerprint: str
    sample_rate_hz: int
    hop_length: int
    codebook_size: int
    num_codebooks: int
    format: str
    entropy_coded: bool = False
    effort: Effort = DEFAULT_EFFORT  # also of plans from before there were others

    def __post_init__(self) -> None:
        numbers = (self.sample_rate_hz, self.hop_length, self.codebook_size, self.num_codebooks)
        are_counts = all(type(value) is int and value >= 1 for value in numbers)
        is_small = are_counts and self.codebook_size <= _MOST_CODES and self.num_codebooks <= _MOST_CODEBOOKS
        if not is_small or type(self.entropy_coded) is not bool:
            raise ValueError(f"settings {numbers!r:.80} cannot be")
        if not all(isinstance(text, str) for text in (self.model, self.fingerprint, self.format)):
            raise TypeError("settings that are no texts")
        if self.effort not in EFFORTS:
            raise ValueError(f"effort {self.effort!r:.80} is none of {', '.join(EFFORTS)}")

    def stored(self) -> dict[str, Any]:
        """Return what shards say of them: an effort only where it is not the one that all had once."""
        return {name: value for name, value in vars(self).items() if (name, value) != ("effort", DEFAULT_EFFORT)}

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate_hz / self.hop_length


@dataclass(frozen=True)
class Plan:
    """A plan on disk. `columns`: names and types of what is carried; `offsets`: of each shard in plan.jsonl."""

    folder: Path
    settings: Settings
    source: str
    utterances: int
    shard_size: int
    columns: dict[str, ColumnType]
    offsets: list[int]
    sha256: str

    def __post_init__(self) -> None:
        numbers = (self.utterances, self.shard_size, *self.offsets)
        if not all(type(value) is int and value >= 0 for value in numbers) or not self.shard_size:
            raise ValueError("counts and offsets that are none")
        if len(self.offsets) != ceil_div(self.utterances, self.shard_size):
            raise ValueError(f"{len(self.offsets)} shards of {self.shard_size} for {self.utterances} utterances")
        if not all(isinstance(text, str) for text in (self.source, self.sha256)):
            raise TypeError("a source or SHA-256 that is no text")
        if not set(self.columns.values()) <= set(get_args(ColumnType)):
            raise ValueError(f"columns {self.columns!r:.80} are of unknown types")

    @property
    def num_shards(self) -> int:
        """Shards in all."""
        return len(self.offsets)

    def size_of(self, shard: int) -> int:
        """Count the utterances of a shard."""
        return min(self.shard_size, self.utterances - shard * self.shard_size)

    def check(self) -> None:
        """Raise TokensError for a plan.jsonl that is not the one that was planned: it reads all of it."""
        path = self.folder / "plan.jsonl"
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise TokensError(f"{path}: cannot be read ({error.strerror}); start afresh") from None
        if digest != self.sha256:
            raise TokensError(
                f"{path}: was changed: its SHA-256 is {digest[:16]}..., that of the plan {self.sha256[:16]}...; "
                "restore the file, or start afresh in a new folder"
            )

    def shard(self, shard: int) -> list[Utterance]:
        """Return the utterances of a shard, in order. Raises TokensError for a plan.jsonl that was cut."""
        path = self.folder / "plan.jsonl"
        try:
            with path.open("rb") as file:
                file.seek(self.offsets[shard])
                return [Utterance.from_json(file.readline(MOST_LINE).decode()) for _ in range(self.size_of(shard))]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise TokensError(f"{path}: shard {shard} of the plan cannot be read ({error}); start afresh") from None


def default_shard_size(utterances: int) -> int:
    """Choose how many utterances a shard has: 1000, fewer for sources of under 64,000, at least 64."""
    least, most = _SHARD_SIZES
    return max(least, min(most, ceil_div(utterances, _SHARDS)))


def make_plan(
    folder: Path, source: str, utterances: Iterable[Utterance], settings: Settings, *, shard_size: int | None = None
) -> Plan:
    """Write the plan of `utterances` into `folder`; the same arguments give the same bytes.

    Memory grows by some 100 bytes an utterance. Columns with our names are renamed, which one warning for each says.
    Raises AudioError for no utterances, two of one id, impossible ids and columns where the other name is there too,
    before anything is written under its final name.
    """
    offsets, columns, seen, renamed = array("Q"), dict[str, ColumnType | None](), set[bytes](), set[str]()
    digest, position = hashlib.sha256(), 0
    with atomic_output(folder / "plan.jsonl", force=True) as path:
        with path.open("w+b") as file:
            for given in utterances:
                utterance = _renamed(given, source, renamed)
                _check(utterance, source)
                if not _is_new(utterance.id, seen):
                    raise _clash(file, utterance, source)
                for name, value in utterance.columns.items():
                    columns[name] = _wider(columns.get(name), value)
                offsets.append(position)
                line = utterance.to_json().encode() + b"\n"
                digest.update(line)
                position += file.write(line)
        if not offsets:
            raise AudioError(f"{source}: no audio found; give a folder, a glob, a manifest, tar shards ...")
        size = shard_size or default_shard_size(len(offsets))
        types: dict[str, ColumnType] = {name: kind or "string" for name, kind in columns.items()}
        plan = Plan(folder, settings, source, len(offsets), size, types, list(offsets[::size]), digest.hexdigest())
        values = {**asdict(plan), "folder": None, "version": _VERSION}
        with atomic_output(folder / "plan.json", force=True) as head:
            head.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    for name in sorted(renamed):
        message = f"{source}: column {name!r} has the name of one of ours; it is carried as {name + _GIVEN!r}"
        warnings.warn(message, stacklevel=2)
    return plan


def open_plan(folder: Path) -> Plan:
    """Return the plan in `folder`. Raises TokensError if there is none or it cannot be read."""
    path = folder / "plan.json"
    try:
        values = read_json_object(path, most_bytes=MOST_LIST_BYTES)
        version = values.pop("version")
        if version != _VERSION:
            raise TokensError(f"{path}: version {version}; this release reads {_VERSION}")
        values["settings"] = Settings(**values["settings"])
        bytes.fromhex(values["settings"].fingerprint)
        if values["settings"].format not in FORMATS:
            raise TokensError(f"{path}: format {values['settings'].format!r:.60} is none of {', '.join(FORMATS)}")
        return Plan(**{**values, "folder": folder})
    except (FileNotFoundError, NotADirectoryError):
        raise TokensError(f"{folder}: no plan.json, so no output of vqcodec tokenize; give its folder") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise TokensError(f"{path}: cannot be read ({error})") from None


def _is_new(utterance_id: str, seen: set[bytes]) -> bool:
    """Whether an id has not come yet; from now on it has."""
    before = len(seen)
    seen.add(hashlib.blake2b(utterance_id.encode(), digest_size=12).digest())
    return len(seen) > before


def _clash(file: BinaryIO, second: Utterance, source: str) -> AudioError:
    """The error of two utterances of one id, the first of them among the lines of `file`."""
    file.seek(0)
    first = next(
        utterance for utterance in map(Utterance.from_json, map(bytes.decode, file)) if utterance.id == second.id
    )
    if first.source == second.source:
        why = f"{second.source!r} is there twice, with the id {second.id!r}; give ids that differ in a column id"
    else:
        why = f"{first.source!r} and {second.source!r} have the same id {second.id!r}; rename one, or give ids that "
        why += "differ in the column id of a manifest"
    return AudioError(f"{source}: {why}")


def _renamed(utterance: Utterance, source: str, renamed: set[str]) -> Utterance:
    """The utterance with other names for columns that have ours, which are added to `renamed`."""
    clashes = {name: name + _GIVEN for name in utterance.columns if name in RESERVED}
    for name, other in clashes.items():
        if other in utterance.columns:
            raise AudioError(f"{source}: columns {name!r}, the name of one of ours, and {other!r}; rename the first")
    renamed.update(clashes)
    columns = {clashes.get(name, name): value for name, value in utterance.columns.items()}
    return replace(utterance, columns=columns) if clashes else utterance


def _check(utterance: Utterance, source: str) -> None:
    check_id(utterance.id, where=f"{source}: {utterance.source!r}")
    for name, value in utterance.columns.items():
        if not (_is_text(name) and (not isinstance(value, str) or _is_text(value))):
            raise AudioError(
                f"{source}: column {name!r} of {utterance.id!r} has half a character ({value!r:.80}), which no "
                "output can hold; repair that text"
            )


def _is_text(text: str) -> bool:
    """Whether UTF-8 can hold it: JSON can name one half of a pair of surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wider(known: ColumnType | None, value: ColumnValue) -> ColumnType | None:
    """The type that holds both what a column held so far (None: nothing) and `value`."""
    if value is None:
        return known
    column_type: ColumnType = "string"
    if isinstance(value, bool):
        column_type = "bool"
    elif isinstance(value, float):
        column_type = "float64"
    elif isinstance(value, int) and -(2**63) <= value < 2**63:
        column_type = "int64"
    if known in (None, column_type):
        return column_type
    return "float64" if {known, column_type} == {"int64", "float64"} else "string"
