"""TokenDataset: every way to a row gives the row, whatever the format; damage is one line; others read shards too."""

import gc
import json
import multiprocessing
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

import vqcodec.tokens
from vqcodec.errors import ModelError, TokensError
from vqcodec.models import zoo
from vqcodec.tokens import reader
from vqcodec.tokens.formats import FORMATS
from vqcodec.tokens.index import index_path, merge, shard_path
from vqcodec.tokens.plan import Settings, open_plan

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # of more workers than cores

KINDS = [(kind, False) for kind in FORMATS] + [("parquet", True), ("webdataset", True)]


@pytest.fixture(scope="module", params=KINDS, ids=str)
def output(request, tmp_path_factory, make_output):
    """A folder with rows and failures, and the rows."""
    kind, entropy_coded = request.param
    folder = tmp_path_factory.mktemp("output") / "tokens"
    rows = make_output(folder, kind, entropy_coded=entropy_coded, failing={0, 5, 63, *range(128, 192)})
    return folder, rows


def assert_same(row, expected):
    np.testing.assert_array_equal(row.codes, expected.codes)
    assert row.codes.dtype == np.uint16
    assert replace(row, codes=None) == replace(expected, codes=None)


def test_every_way_gives_the_row(output):
    folder, rows = output
    dataset = vqcodec.tokens.open(folder)
    assert len(dataset) == len(rows) == 300 - 67
    for row, expected in zip(dataset, rows, strict=True):
        assert_same(row, expected)
    for position in random.Random(0).sample(range(-len(rows), len(rows)), 60):
        assert_same(dataset[position], rows[position])
        assert_same(dataset[np.int64(position)], rows[position])
    assert dataset.ids == [row.id for row in rows]
    assert_same(dataset["s.3/u199"], next(row for row in rows if row.id == "s.3/u199"))
    assert "s.3/u199" in dataset
    assert "s.0/u0" not in dataset  # failed


def test_what_is_not_there_raises_what_python_expects(output):
    dataset = vqcodec.tokens.open(output[0])
    for position in (len(dataset), -len(dataset) - 1):
        with pytest.raises(IndexError, match="of 233"):
            dataset[position]
    with pytest.raises(KeyError, match="no utterance 's.0/u0'; failures.jsonl"):
        dataset["s.0/u0"]
    with pytest.raises(TypeError):
        dataset[1.0]
    for key in (slice(0, 2), True):
        with pytest.raises(TypeError, match="is neither a position nor an id"):
            dataset[key]


def test_facts_are_those_of_the_plan(output):
    folder, rows = output
    dataset = vqcodec.tokens.open(folder)
    assert (dataset.num_codebooks, dataset.codebook_size, dataset.frame_rate) == (3, 16, 50.0)
    assert (dataset.sample_rate_hz, dataset.fingerprint) == (8000, "ab" * 32)
    assert dataset.columns == {"text": "string", "age": "int64"}
    assert dataset.totals.tokens == sum(row.codes.size for row in rows)
    assert dataset.totals.seconds == pytest.approx(sum(row.samples / row.original_rate_hz for row in rows))
    assert dataset.totals.failures == 67


def test_a_folder_that_moved_is_read_and_not_written(tmp_path, output):
    folder = tmp_path / "elsewhere"
    shutil.copytree(output[0], folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    shutil.move(output[0], tmp_path / "away")
    try:
        for row, expected in zip(vqcodec.tokens.open(folder), output[1], strict=True):
            assert_same(row, expected)
    finally:
        shutil.move(tmp_path / "away", output[0])
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_row_is_read_without_the_rest_of_its_shard(tmp_path, make_output):
    rows = make_output(tmp_path / "tar", "webdataset", shard_size=300)
    path = shard_path(tmp_path / "tar", 0, "webdataset")
    line = json.loads(index_path(tmp_path / "tar", 0).read_text().splitlines()[200])
    data = path.read_bytes()
    path.write_bytes(b"\xff" * line["offset"] + data[line["offset"] : line["offset"] + 4096])
    assert_same(vqcodec.tokens.open(tmp_path / "tar")[200], rows[200])

    import pyarrow.parquet as pq

    rows = make_output(tmp_path / "parquet", "parquet", shard_size=300)
    path = shard_path(tmp_path / "parquet", 0, "parquet")
    data = path.read_bytes()
    group = pq.ParquetFile(path).metadata.row_group(1)
    start = min(group.column(number).data_page_offset for number in range(group.num_columns))
    path.write_bytes(b"\xff" * (start - 4096) + data[start - 4096 :])
    dataset = vqcodec.tokens.open(tmp_path / "parquet")
    assert_same(dataset[200], rows[200])
    with pytest.raises(TokensError):
        dataset[0]


def test_few_shards_are_open_at_a_time(tmp_path, make_output):
    rows = make_output(tmp_path / "out", "webdataset", count=120, shard_size=4)
    dataset = vqcodec.tokens.open(tmp_path / "out")
    before = len(os.listdir("/proc/self/fd"))
    for position in random.Random(0).sample(range(120), 120):
        assert_same(dataset[position], rows[position])
        assert len(os.listdir("/proc/self/fd")) <= before + 16


# Processes and threads


def _codes_of(dataset, positions):
    return [dataset[position].codes for position in positions]


def test_a_pickle_is_small_and_works(output):
    dataset = vqcodec.tokens.open(output[0])
    assert dataset.ids
    assert_same(dataset[3], output[1][3])
    data = pickle.dumps(dataset)
    assert len(data) < 3000
    assert_same(pickle.loads(data)["s.3/u199"], dataset["s.3/u199"])


@pytest.mark.parametrize("kind", ["webdataset", "parquet"])
def test_forked_processes_and_threads_share_no_place_in_a_file(tmp_path, make_output, kind):
    rows = make_output(tmp_path / "out", kind, count=400, shard_size=200)
    dataset = vqcodec.tokens.open(tmp_path / "out")
    assert_same(dataset[0], rows[0])  # its files are open before the fork
    orders = [random.Random(seed).sample(range(400), 400) for seed in range(3)]
    jobs = [(dataset, order) for order in orders]
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(_codes_of, *zip(*jobs, strict=True)))
    for codes, order in zip(found, orders, strict=True):
        assert all(np.array_equal(own, rows[position].codes) for own, position in zip(codes, order, strict=True))
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=20, num_workers=2, shuffle=True, collate_fn=list, multiprocessing_context="fork"
    )
    ids = set()
    for batch in loader:
        for row in batch:
            assert_same(row, rows[int(row.id.partition("u")[2])])
            ids.add(row.id)
    assert ids == set(dataset.ids)


@pytest.mark.slow
def test_spawned_workers_of_a_loader_read_every_format(tmp_path, make_output):
    folders = {tmp_path / f"{kind}-{entropy_coded}": (kind, entropy_coded) for kind, entropy_coded in KINDS}
    rows = [
        row
        for folder, (kind, entropy_coded) in folders.items()
        for row in make_output(folder, kind, entropy_coded=entropy_coded, failing={0, 5, 63, *range(128, 192)})
    ]
    loader = torch.utils.data.DataLoader(
        torch.utils.data.ConcatDataset([vqcodec.tokens.open(folder) for folder in folders]),
        batch_size=16,
        num_workers=2,
        collate_fn=list,
        multiprocessing_context="spawn",
    )
    for row, expected in zip((row for batch in loader for row in batch), rows, strict=True):
        assert_same(row, expected)


def test_a_lock_that_a_thread_holds_at_a_fork_does_not_matter(tmp_path, make_output):
    make_output(tmp_path / "out", count=5)
    dataset = vqcodec.tokens.open(tmp_path / "out")
    with dataset._lock_of_process():
        process = multiprocessing.get_context("fork").Process(target=_codes_of, args=(dataset, [1]), daemon=True)
        process.start()
        process.join(timeout=30)
        assert process.exitcode == 0


def test_neither_torch_nor_pyarrow_is_imported_before_it_is_needed(tmp_path, make_output):
    make_output(tmp_path / "out", "npy", count=5)
    code = f"""
import sys
import vqcodec.tokens
dataset = vqcodec.tokens.open({str(tmp_path / "out")!r})
assert dataset[2].codes.shape[0] == 3 and vqcodec.tokens.Interleaved(3, 16).flatten(dataset[2].codes).size
print([name for name in ("torch", "pyarrow", "onnxruntime") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "[]\n"


def test_every_public_name_is_there():
    for name in vqcodec.tokens.__all__:
        assert getattr(vqcodec.tokens, name) is not None
        assert callable(getattr(vqcodec.tokens, name))
    with pytest.raises(AttributeError, match="no attribute 'detokenise'"):
        getattr(vqcodec.tokens, "detokenise")  # noqa: B009


# Entropy-coded


@pytest.mark.parametrize("kind", ["parquet", "webdataset", "vqc"])
def test_codes_are_decoded_with_the_model_that_made_them(tmp_path, make_output, kind):
    card = zoo.MODELS[zoo.DEFAULT_MODEL]
    weights = zoo.open_weights(card.name)
    path, entropy = weights.path, weights.entropy
    assert entropy is not None
    own = Settings(card.name, card.sha256, 16000, 320, 1024, 12, kind, kind != "vqc")
    rows = make_output(tmp_path / "own", settings=own, entropy=entropy, count=20)
    for dataset in (vqcodec.tokens.open(tmp_path / "own"), vqcodec.tokens.open(tmp_path / "own", model=path)):
        for position in range(20):
            assert_same(dataset[position], rows[position])
    make_output(tmp_path / "other", settings=replace(own, fingerprint="ab" * 32), entropy=entropy, count=20)
    message = rf"fingerprint {card.sha256[:8]}.*of speech-16k \(abababab\); give the weights"
    with pytest.raises(ModelError, match=message):
        vqcodec.tokens.open(tmp_path / "other", model=path)


@pytest.mark.parametrize("kind", ["parquet", "webdataset", "vqc"])
def test_codes_that_need_an_unknown_model_say_so(tmp_path, make_output, kind, skewed):
    settings, entropy = skewed(kind)
    make_output(tmp_path / "out", settings=settings, entropy=entropy, count=3)
    with pytest.raises(ModelError, match="out: .*; give the weights of mine"):
        list(vqcodec.tokens.open(tmp_path / "out"))


@pytest.fixture
def skewed(monkeypatch):
    """Function: settings and an entropy model whose codes are all likely, so that every row is entropy-coded."""
    entropy = zoo.open_weights(zoo.DEFAULT_MODEL).entropy

    def make(kind):
        monkeypatch.setattr(np.random, "default_rng", lambda _: _Zeros(np.random.Generator(np.random.PCG64(0))))
        return Settings("mine", "ab" * 32, 16000, 320, 1024, 12, kind, kind != "vqc"), entropy

    return make


class _Zeros:
    def __init__(self, generator):
        self._generator = generator

    def integers(self, low, high, shape=None):
        return 40 if shape is None else np.zeros(shape, int)


# Damage


@pytest.mark.parametrize("kind", FORMATS)
def test_an_unfinished_folder_says_how_far_it_is(tmp_path, make_output, kind):
    make_output(tmp_path / "out", kind, is_merged=False)
    with pytest.raises(TokensError, match="unfinished, 5 of 5 shards are there; go on with vqcodec tokens merge"):
        vqcodec.tokens.open(tmp_path / "out")
    index_path(tmp_path / "out", 2).unlink()
    with pytest.raises(TokensError, match="unfinished, 4 of 5 shards are there; go on with vqcodec tokenize --resume"):
        vqcodec.tokens.open(tmp_path / "out")
    with pytest.raises(TokensError, match="no plan.json, so no output of vqcodec tokenize"):
        vqcodec.tokens.open(tmp_path)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_lost_shard_costs_its_own_rows_only(tmp_path, make_output, kind):
    rows = make_output(tmp_path / "out", kind)
    path = shard_path(tmp_path / "out", 1, kind)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    dataset = vqcodec.tokens.open(tmp_path / "out")
    assert_same(dataset[10], rows[10])
    assert_same(dataset[-1], rows[-1])
    with pytest.raises(TokensError, match=r"shard-000001.*: the shard is missing; vqcodec tokenize --resume"):
        dataset[64]


@pytest.mark.parametrize(("kind", "entropy_coded"), KINDS)
def test_damage_anywhere_is_our_own_error(tmp_path, make_output, kind, entropy_coded):
    rows = make_output(tmp_path / "out", kind, entropy_coded=entropy_coded, count=12, shard_size=12)
    chance = random.Random(0)
    names = sorted((tmp_path / "out").rglob("*"))
    paths = [path for path in names if path.is_file() and path.name not in ("plan.jsonl", "failures.jsonl")]
    refused = 0
    for path in paths if len(paths) < 9 else chance.sample(paths, 9):
        data = path.read_bytes()
        for damaged in damages(data, chance):
            if path.name == "plan.json" and damaged.startswith(b"[["):
                continue
            path.write_bytes(damaged)
            try:
                dataset = vqcodec.tokens.open(tmp_path / "out")
                found = [dataset[position] for position in range(len(dataset))]
                assert [dataset[one].id for one in dataset.ids] == [row.id for row in found]
                assert len(found) == len(rows)
            except (TokensError, ModelError) as error:
                refused += 1
                assert "\n" not in str(error)
                assert re.search(r"; |: version|: cannot be read", str(error)), error
        path.write_bytes(data)
    assert refused > 50
    assert len(list(vqcodec.tokens.open(tmp_path / "out"))) == 12


def damages(data, chance):
    """`data` cut, empty, with bytes changed, with a run of zeros, and other bytes."""
    for _ in range(8):
        yield data[: chance.randrange(len(data))]
        place = chance.randrange(len(data))
        yield data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]
        yield data[:place] + bytes(min(64, len(data) - place)) + data[place + 64 :]
    yield b""
    yield bytes(chance.randrange(256) for _ in range(500))
    yield b"[" * 100_000
    yield b"{}"


def test_an_array_that_claims_to_be_huge_is_damage(tmp_path, make_output):
    make_output(tmp_path / "out", "npy", count=3)
    path = next((tmp_path / "out" / "shards").rglob("u1.npy"))
    head = re.sub(rb"\(3, \d+\), \}", b"(3, 999999999999999), }", path.read_bytes()[:128])
    path.write_bytes(head[:127].rstrip().ljust(127) + b"\n")
    with pytest.raises(TokensError, match="u1.npy"):
        vqcodec.tokens.open(tmp_path / "out")[1]


@pytest.mark.parametrize("name", ["/etc/passwd", "../../plan", "a/../../b"])
def test_a_manifest_cannot_name_files_elsewhere(tmp_path, make_output, name):
    make_output(tmp_path / "out", "npy", count=3)
    manifest = shard_path(tmp_path / "out", 0, "npy") / "manifest.jsonl"
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join([lines[0], json.dumps({**json.loads(lines[1]), "id": name}), lines[2]]))
    with pytest.raises(TokensError, match="is no name"):
        vqcodec.tokens.open(tmp_path / "out")[1]


def test_codes_of_another_shape_or_range_are_damage(tmp_path, make_output):
    rows = make_output(tmp_path / "out", "npy", count=3)
    path = next((tmp_path / "out" / "shards").rglob("u1.npy"))
    dataset = vqcodec.tokens.open(tmp_path / "out")
    for wrong, message in (
        (rows[1].codes[:2], r"codes \[2, "),
        (rows[1].codes[:, 1:], "codes"),
        (rows[1].codes + np.uint16(16), "not in 0..15"),
    ):
        np.save(path, wrong)
        with pytest.raises(TokensError, match=message):
            dataset[1]


def test_an_index_of_other_shards_is_found_out(tmp_path, make_output):
    make_output(tmp_path / "out", "webdataset", count=20, shard_size=10)
    lines = index_path(tmp_path / "out", 0).read_text().splitlines()
    lines[3] = lines[3].replace("s.3/u3", "s.3/u33")
    index_path(tmp_path / "out", 0).write_text("\n".join(lines) + "\n")
    with pytest.raises(TokensError, match="has 's.3/u3' where its index has 's.3/u33'"):
        vqcodec.tokens.open(tmp_path / "out")[3]
    index_path(tmp_path / "out", 0).write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(TokensError, match="the index of shard 0 has 9 rows, not 10"):
        "a" in vqcodec.tokens.open(tmp_path / "out")  # noqa: B015


def test_a_row_that_is_not_the_one_of_its_id_is_never_given(tmp_path, make_output):
    make_output(tmp_path / "out", count=20)
    index = index_path(tmp_path / "out", 0)
    index.write_text(index.read_text().replace("s.3/u3", "s.3/u33"))
    with pytest.raises(TokensError, match="has 's.3/u3' where its index has 's.3/u33'; tokenize afresh"):
        vqcodec.tokens.open(tmp_path / "out")["s.3/u33"]


def test_parquet_of_other_columns_is_refused(tmp_path, make_output):
    import pyarrow.parquet as pq

    make_output(tmp_path / "out", count=20)
    path = shard_path(tmp_path / "out", 0, "parquet")
    table = pq.read_table(path)
    for other in (table.drop_columns("age"), table.set_column(2, "num_frames", table["text"])):
        pq.write_table(other, path)
        with pytest.raises(TokensError, match="other names or types than the plan; remove it"):
            vqcodec.tokens.open(tmp_path / "out")[0]
    pq.write_table(table, path)
    assert vqcodec.tokens.open(tmp_path / "out")[0].id == "s.0/u0"


def test_missing_pyarrow_is_told_with_its_remedy(tmp_path, make_output, monkeypatch):
    make_output(tmp_path / "out", count=3)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(vqcodec.VqcodecError, match=r"needs pyarrow: pip install"):
        vqcodec.tokens.open(tmp_path / "out")[0]


# Without our code


def test_pyarrow_pandas_and_duckdb_read_parquet(tmp_path, make_output):
    import duckdb
    import pandas as pd
    import pyarrow.dataset as ds

    rows = make_output(tmp_path / "out")
    pattern = f"{tmp_path}/out/shards/*.parquet"
    table = ds.dataset(tmp_path / "out" / "shards").to_table()
    assert table["id"].to_pylist() == [row.id for row in rows]
    np.testing.assert_array_equal(table["codes"][7].as_py(), rows[7].codes)
    frame = pd.read_parquet(tmp_path / "out" / "shards")
    np.testing.assert_array_equal(np.stack(frame["codes"][7]), rows[7].codes)
    assert frame["age"].isna().sum() == sum(row.columns["age"] is None for row in rows)
    found = duckdb.sql(f"select sum(num_frames), count(*), len(any_value(codes)) from '{pattern}'").fetchall()[0]
    assert found == (sum(row.num_frames for row in rows), 300, 3)
    codes = duckdb.sql(f"select codes from '{pattern}' where id = 's.0/u7'").fetchall()[0][0]
    np.testing.assert_array_equal(codes, rows[7].codes)


@pytest.mark.slow
def test_datasets_of_hugging_face_reads_parquet(tmp_path, make_output, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    rows = make_output(tmp_path / "out")
    paths = sorted(map(str, (tmp_path / "out" / "shards").glob("*.parquet")))
    found = datasets.load_dataset("parquet", data_files=paths, split="train", cache_dir=str(tmp_path / "cache"))
    assert found["id"] == [row.id for row in rows]
    array = found.with_format("numpy")[7]["codes"]
    np.testing.assert_array_equal(np.stack(array), rows[7].codes)
    stream = datasets.load_dataset("parquet", data_files=paths, split="train", streaming=True)
    assert next(iter(stream))["text"] == rows[0].columns["text"]


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # its last tar
def test_webdataset_reads_tars(tmp_path, make_output):
    import webdataset

    rows = make_output(tmp_path / "out", "webdataset")
    paths = sorted(map(str, (tmp_path / "out" / "shards").glob("*.tar")))
    samples = list(webdataset.WebDataset(paths, shardshuffle=False).decode())
    assert len(samples) == 300
    for sample, row in zip(samples, rows, strict=True):
        np.testing.assert_array_equal(sample["codes.npy"], row.codes)
        assert sample["json"]["id"] == row.id
        assert sample["json"]["text"] == row.columns["text"]
    gc.collect()


@pytest.mark.parametrize("kind", ["npy", "vqc"])
def test_the_manifest_names_every_file(tmp_path, make_output, kind):
    rows = make_output(tmp_path / "out", kind)
    lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    for line, row in zip(lines, rows, strict=True):
        assert (line["id"], line["num_frames"]) == (row.id, row.num_frames)
        if kind == "npy":
            np.testing.assert_array_equal(np.load(tmp_path / "out" / line["codes"]), row.codes)
        else:
            assert (tmp_path / "out" / line["codes"]).read_bytes().startswith(b"VQC")


def test_the_most_open_shards_are_the_latest(tmp_path, make_output):
    make_output(tmp_path / "out", count=40, shard_size=2)
    dataset = vqcodec.tokens.open(tmp_path / "out")
    for shard in [0, *range(1, reader._MOST_OPEN_SHARDS), 0, reader._MOST_OPEN_SHARDS]:
        assert dataset[2 * shard].id
    assert 0 in dataset._readers
    assert 1 not in dataset._readers


@pytest.mark.parametrize(
    "change",
    [
        {"frames": "many"},
        {"seconds": None},
        {"tokens": -1},
        {"failures": 10**400},
        {"shards": [{"utterances": True}] * 3},
        {"shards": 7},
    ],
    ids=str,
)
def test_sums_of_another_kind_are_damage(tmp_path, make_output, change):
    make_output(tmp_path, "npy", count=3, shard_size=1)
    path = tmp_path / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(TokensError, match=r"index\.json: cannot be read") as error:
        reader.open_tokens(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change", [{"num_frames": "9"}, {"num_frames": -1}, {"seconds": "1"}, {"seconds": -1}], ids=str
)
def test_rows_of_an_index_without_their_numbers_are_damage(tmp_path, make_output, change):
    make_output(tmp_path, "npy", count=3, shard_size=1)
    path = index_path(tmp_path, 1)
    first, *rest = path.read_text().split("\n")
    for row in ({**json.loads(first), **change}, {"id": "a"}):
        path.write_text("\n".join([json.dumps(row), *rest]))
        with pytest.raises(TokensError, match=r"shard-000001.*: cannot be read"):
            merge(open_plan(tmp_path))
