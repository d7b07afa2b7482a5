"""Shards that a released version wrote are written again byte by byte, and read into the same rows."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from vqcodec.tokens.formats import FORMATS
from vqcodec.tokens.formats.shards import read_rows, write_shard
from vqcodec.tokens.index import shard_path, write_index
from vqcodec.tokens.plan import Plan, Settings
from vqcodec.tokens.utterances import TokenizedUtterance

GOLDEN = Path(__file__).parents[2] / "golden" / "shards"
COLUMNS = {"text": "string", "age": "int64", "score": "float64", "ok": "bool"}
KINDS = {
    "v1.parquet": ("parquet", False),
    "v1-vqc.parquet": ("parquet", True),
    "v1.tar": ("webdataset", False),
    "v1-vqc.tar": ("webdataset", True),
    "v1-npy": ("npy", False),
    "v1-vqc": ("vqc", False),
    "v1-shar": ("shar", False),
}


def rows():
    for number in range(4):
        codes = (np.arange(3 * (number + 2)).reshape(3, -1) * 5 % 16).astype(np.uint16)
        columns = {"text": f"é {number}", "age": number} if number % 2 else {"text": "5", "score": 1.0, "ok": True}
        samples = (number + 2) * 160 - number
        yield TokenizedUtterance(f"s.1/u{number}", codes, samples, 8000, f"s.1/u{number}.wav", columns)


def settings_of(name):
    return Settings("toy", "ab" * 32, 8000, 160, 16, 3, *KINDS[name])


def written(folder, name):
    """The shard, and what the index says of its rows."""
    settings = settings_of(name)
    (folder / "shards").mkdir(parents=True)
    with write_shard(folder, 0, settings, COLUMNS) as writer:
        lines = [{"id": row.id, "num_frames": row.num_frames, **writer.add(row)} for row in rows()]
    return shard_path(folder, 0, settings.format), lines


def contents(path):
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def test_every_golden_shard_and_every_format_is_tried():
    assert {path.name for path in GOLDEN.iterdir()} == set(KINDS)
    assert {kind for kind, _ in KINDS.values()} == set(FORMATS)


@pytest.mark.parametrize("name", KINDS)
def test_the_same_rows_give_the_bytes_of_a_released_version(tmp_path, name):
    if name.endswith(".parquet"):
        pq = pytest.importorskip("pyarrow.parquet")
        ours = pq.read_metadata(written(tmp_path / "probe", name)[0]).created_by
        theirs = pq.read_metadata(GOLDEN / name).created_by
        if ours != theirs:
            pytest.skip(f"written by {theirs}, here is {ours}")
    path, _ = written(tmp_path / "out", name)
    assert contents(path) == contents(GOLDEN / name)


@pytest.mark.parametrize("name", KINDS)
def test_a_golden_shard_is_read_into_its_rows(tmp_path, name):
    settings = settings_of(name)
    target, lines = written(tmp_path, name)
    if target.is_dir():
        shutil.rmtree(target)
        shutil.copytree(GOLDEN / name, target)
    else:
        shutil.copyfile(GOLDEN / name, target)
    (tmp_path / "index").mkdir()
    write_index(tmp_path, 0, settings.format, lines)
    plan = Plan(tmp_path, settings, "in", 4, 4, COLUMNS, [0], "")
    for got, wanted in zip(read_rows(plan, 0, None), rows(), strict=True):
        np.testing.assert_array_equal(got.codes, wanted.codes)
        assert (got.id, got.samples, got.source) == (wanted.id, wanted.samples, wanted.source)
        assert json.dumps(got.columns) == json.dumps({name: wanted.columns.get(name) for name in COLUMNS})
