"""Folders of Lhotse Shar: cuts.<shard>.jsonl and target_codes.<shard>.tar, which lhotse and NeMo read; neither is
needed here.

A cut has its codes as the TemporalArray `target_codes` [frames, codebooks], no BOS or EOS, and lasts as long as they
do: whole frames, at the rate of the model, so that lhotse truncates between frames. What the audio was, and all that
is carried, is in its `custom`.
"""

import io
import json
import math
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from vqcodec.bitstream.entropy import EntropyModel
from vqcodec.errors import TokensError
from vqcodec.texts import MOST_LIST_BYTES, parse_object, read_limited
from vqcodec.tokens.formats.shard_format import (
    ShardFormat,
    ShardReader,
    ShardWriter,
    facts_of,
    reading,
    utterance_of,
)
from vqcodec.tokens.formats.tars import RowTar, read_row
from vqcodec.tokens.plan import ColumnType, Plan, Settings
from vqcodec.tokens.utterances import TokenizedUtterance

_FIELD = "target_codes"  # what NeMo calls the codes that a model is to say
_SPOKEN = ("text", "language", "speaker", "gender")
"""Columns that are those of a supervision as well, where they are texts."""


def _files_of(shard: Path) -> tuple[Path, Path]:
    """Cuts and tar in a folder shard-000000, or in .shard-000000.<hex>, which becomes it.

    The files are numbered, so that those of all shards can lie in one folder.
    """
    label = shard.name.removeprefix(".").split(".")[0].removeprefix("shard-")
    return shard / f"cuts.{label}.jsonl", shard / f"{_FIELD}.{label}.tar"


def _cut_of(row: TokenizedUtterance, facts: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """A MonoCut as lhotse writes it, whose recording has no audio, but the rate that lhotse truncates by."""
    samples = row.num_frames * settings.hop_length
    seconds = samples / settings.sample_rate_hz
    recording = {
        "id": row.id,
        "sources": [{"type": "shar", "channels": [0], "source": ""}],
        "sampling_rate": settings.sample_rate_hz,
        "num_samples": samples,
        "duration": seconds,
        "channel_ids": [0],
    }
    supervision = {"id": row.id, "recording_id": row.id, "start": 0.0, "duration": seconds, "channel": 0}
    supervision |= {name: facts[name] for name in _SPOKEN if isinstance(facts.get(name), str)}
    # JSON knows no NaN, and readers other than Python's refuse it.
    custom = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in facts.items()
        if name != "id"
    }
    return {
        "id": row.id,
        "start": 0,
        "duration": seconds,
        "channel": 0,
        "supervisions": [supervision],
        "recording": recording,
        "custom": custom,
        "type": "MonoCut",
    }


def _array_of(codes: NDArray[Any], settings: Settings) -> dict[str, Any]:
    """The TemporalArray of codes [F, K] as lhotse writes it."""
    array = {"storage_type": "shar", "storage_path": "", "storage_key": "", "shape": list(codes.shape)}
    frame_shift = settings.hop_length / settings.sample_rate_hz
    return {"array": array, "temporal_dim": 0, "frame_shift": frame_shift, "start": 0}


class _SharWriter(ShardWriter):
    def __init__(
        self, path: Path, settings: Settings, columns: Mapping[str, ColumnType], entropy: EntropyModel | None
    ) -> None:
        path.mkdir()
        self._settings, self._columns = settings, columns
        # Signed, because torch computes little with unsigned integers of more than a byte.
        self._dtype = np.int16 if settings.codebook_size <= 1 << 15 else np.int32
        cuts, tar = _files_of(path)
        self._cuts, self._tar = cuts.open("w", encoding="utf-8"), RowTar(tar)

    @override
    def add(self, row: TokenizedUtterance) -> dict[str, Any]:
        codes = np.ascontiguousarray(row.codes.T.astype(self._dtype))
        buffer = io.BytesIO()
        np.save(buffer, codes, allow_pickle=False)
        # lhotse holds the name up to its last dot against the id of the cut, so that nothing in it is escaped.
        where = self._tar.add(f"{row.id}.npy", buffer.getvalue())
        self._tar.add(f"{row.id}.json", (json.dumps(_array_of(codes, self._settings)) + "\n").encode())
        cut = _cut_of(row, facts_of(row, self._columns), self._settings)
        self._cuts.write(json.dumps(cut, ensure_ascii=False) + "\n")
        return where

    @override
    def close(self) -> None:
        self._cuts.close()
        self._tar.close()

    @override
    def discard(self) -> None:
        self._cuts.close()
        self._tar.discard()


class _SharReader(ShardReader):
    """Holds the lines of the cuts."""

    def __init__(self, path: Path, plan: Plan, entropy: EntropyModel | None, lines: Callable[[], list[bytes]]) -> None:
        self._path, self._plan, self._lines = path, plan, lines()
        self._cuts_path, self._tar_path = _files_of(path)
        with reading(self._cuts_path, part_of=path):
            self._cuts = read_limited(self._cuts_path, MOST_LIST_BYTES).split(b"\n")
        with reading(self._tar_path, part_of=path):
            self._file = self._tar_path.open("rb")
        weakref.finalize(self, self._file.close)  # a dataset need not be closed

    @override
    def row(self, index: int) -> TokenizedUtterance:
        with reading(self._cuts_path, part_of=self._path):
            line, cut = parse_object(self._lines[index]), parse_object(self._cuts[index])
            _check_id(cut["id"], line["id"])
            facts = {**cut["custom"], "id": cut["id"]}
        with reading(self._tar_path, part_of=self._path):
            data, name, _ = read_row(self._file, line)
            _check_id(name.removesuffix(".json"), line["id"])
            return utterance_of(facts, _codes_of(data), self._plan)

    @override
    def close(self) -> None:
        self._file.close()


def _check_id(found: object, indexed: object) -> None:
    if found != indexed:
        raise TokensError(f"has {found!r:.80} where its index has {indexed!r:.80}")


def _codes_of(data: bytes) -> NDArray[np.uint16]:
    """Codes [K, F] of a .npy [F, K]."""
    array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.dtype not in (np.int16, np.int32):
        raise TokensError(f"an array of {array.dtype}, not of int16 or int32")
    if array.size and not 0 <= array.min() <= array.max() < 1 << 16:
        raise TokensError(f"codes from {array.min()} to {array.max()}, which are none")
    return np.ascontiguousarray(array.T.astype(np.uint16))


SHAR = ShardFormat(
    _SharWriter,
    _SharReader,
    uncoded="shar holds arrays of codes, as lhotse reads them; leave entropy_coded out",
)
"""Cuts and their codes, for lhotse and NeMo. The index has the position of each row in the tar."""
