import json
import os
import tarfile

import numpy as np
import pytest

from vqcodec.errors import OutputError
from vqcodec.tokens.formats.blobs import codes_of_bytes
from vqcodec.tokens.formats.shards import shard_path, write_shard
from vqcodec.tokens.plan import Settings
from vqcodec.tokens.utterances import TokenizedUtterance

KINDS = ["parquet", "webdataset", "npy", "vqc", "shar"]
COLUMNS = {"text": "string", "age": "int64", "score": "float64", "ok": "bool"}


def settings(kind, *, entropy_coded=False):
    return Settings("toy", "ab" * 32, 8000, 160, 16, 3, kind, entropy_coded)


def rows(count=300):
    random = np.random.default_rng(0)
    for number in range(count):
        frames = int(random.integers(1, 60))
        codes = random.integers(0, 16, (3, frames)).astype(np.uint16)
        columns = {"text": f"é {number}", "age": number} if number % 3 else {"text": 5, "score": 1, "ok": True}
        yield TokenizedUtterance(f"s.1/u{number}", codes, frames * 160, 8000, f"s.1/u{number}.wav", columns)


def write(folder, kind, items, **options):
    (folder / "shards").mkdir(exist_ok=True, parents=True)
    with write_shard(folder, 7, settings(kind, **options), COLUMNS) as writer:
        return [writer.add(row) for row in items]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_rows_give_the_same_bytes(tmp_path, kind, bytes_of):
    for name in "ab":
        write(tmp_path / name, kind, rows())
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
    assert len(bytes_of(tmp_path / "a")) == {"npy": 301, "vqc": 301, "shar": 2}.get(kind, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_shard_that_fails_leaves_nothing(tmp_path, kind):
    def failing():
        yield from rows(200)
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError):
        write(tmp_path, kind, failing())
    assert list((tmp_path / "shards").iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_killed_process_left_is_replaced(tmp_path, kind, bytes_of):
    write(tmp_path / "good", kind, rows())
    (tmp_path / "bad" / "shards" / ".shard-000007.abcd1234").mkdir(parents=True)
    (tmp_path / "bad" / "shards" / ".shard-000007.0a0a.tar").write_bytes(b"x")
    write(tmp_path / "bad", kind, rows(5))  # finished but not in the index
    write(tmp_path / "bad", kind, rows())
    assert bytes_of(tmp_path / "good") == bytes_of(tmp_path / "bad")


@pytest.mark.parametrize("kind", KINDS)
def test_no_space_is_an_output_error(tmp_path, kind, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="no space left on the disk"):
        (tmp_path / "shards").mkdir()
        with write_shard(tmp_path, 0, settings(kind), COLUMNS) as writer:
            writer.add(next(rows()))
            monkeypatch.setattr(os, "replace", full)
    assert list((tmp_path / "shards").iterdir()) == []


def test_parquet_has_types_metadata_and_row_groups(tmp_path):
    import pyarrow.parquet as pq

    write(tmp_path, "parquet", rows())
    file = pq.ParquetFile(shard_path(tmp_path, 7, "parquet"))
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [128, 128, 44]
    table = file.read()
    assert str(table.schema.field("codes").type) == "list<element: list<element: uint16>>"
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert {
        "model": "toy",
        "num_codebooks": "3",
        "frame_rate": "50.0",
        "sample_rate_hz": "8000",
    }.items() <= metadata.items()
    for row, expected in zip(table.to_pylist(), rows(), strict=True):
        np.testing.assert_array_equal(row["codes"], expected.codes)
        assert (row["id"], row["samples"], row["num_frames"]) == (expected.id, expected.samples, expected.num_frames)
        assert row["age"] == expected.columns.get("age")
    assert table["text"][0].as_py() == "5"


def test_tar_members_are_where_the_index_says(tmp_path):
    items = [*rows(20), TokenizedUtterance("x" * 200, np.zeros((3, 2), np.uint16), 320, 8000, "long.wav")]
    places = write(tmp_path, "webdataset", items)
    data = shard_path(tmp_path, 7, "webdataset").read_bytes()
    for item, place in zip(items, places, strict=True):
        member = data[place["offset"] : place["offset"] + place["bytes"]]
        np.testing.assert_array_equal(codes_of_bytes(member, settings("webdataset"), None), item.codes)
    with tarfile.open(shard_path(tmp_path, 7, "webdataset")) as archive:
        assert archive.getnames()[:2] == ["s%2E1/u0.codes.npy", "s%2E1/u0.json"]
        assert json.load(archive.extractfile("s%2E1/u1.json"))["text"] == "é 1"


def test_folders_have_a_manifest(tmp_path):
    write(tmp_path, "npy", rows(5))
    folder = shard_path(tmp_path, 7, "npy")
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    for line, expected in zip(lines, rows(5), strict=True):
        np.testing.assert_array_equal(np.load(tmp_path / line["codes"]), expected.codes)
        assert line["id"] == expected.id


@pytest.mark.parametrize("kind", ["parquet", "webdataset", "vqc"])
def test_entropy_coded_bytes_hold_the_same_codes(tmp_path, kind):
    import pyarrow.parquet as pq

    items = list(rows(9))
    places = write(tmp_path, kind, items, entropy_coded=kind != "vqc")
    path = shard_path(tmp_path, 7, kind)
    for number, item in enumerate(items):
        if kind == "parquet":
            data = pq.read_table(path)["vqc"][number].as_py()
        elif kind == "webdataset":
            place = places[number]
            data = path.read_bytes()[place["offset"] : place["offset"] + place["bytes"]]
        else:
            data = (path / f"s%2E1/u{number}.vqc").read_bytes()
        np.testing.assert_array_equal(codes_of_bytes(data, settings("vqc"), None), item.codes)
