"""Statistics: counts equal those of the rows, whatever the format, in memory that does not grow."""

import tracemalloc

import numpy as np
import pytest

from vqcodec.errors import TokensError
from vqcodec.models.codebook_usage import CodebookUsage
from vqcodec.tokens import measure
from vqcodec.tokens.formats import FORMATS
from vqcodec.tokens.index import Totals, index_path, shard_path
from vqcodec.tokens.plan import Settings
from vqcodec.tokens.statistics import Statistics, usage_figure


@pytest.mark.parametrize("kind", FORMATS)
def test_counts_and_sums_are_those_of_the_rows(tmp_path, make_output, kind):
    rows = make_output(tmp_path / "out", kind, failing={5, 70})
    found = measure(tmp_path / "out")
    codes = np.concatenate([row.codes for row in rows], axis=1)
    for number in range(3):
        assert found.usage.counts[number].tolist() == [int((codes[number] == code).sum()) for code in range(16)]
    assert (found.totals.utterances, found.totals.failures, found.totals.tokens) == (298, 2, codes.size)
    assert (found.shards, found.all_shards) == (5, 5)
    files = [path for path in (tmp_path / "out" / "shards").rglob("*") if path.is_file()]
    assert found.disk_bytes == sum(path.stat().st_size for path in files)
    assert found.bits_per_token == pytest.approx(8 * found.disk_bytes / codes.size)
    assert found.nominal_kbps == 3 * 4 * 50 / 1000


def statistics(counts):
    settings = Settings("toy", "ab" * 32, 8000, 160, len(counts[0]), len(counts), "npy")
    usage = CodebookUsage(len(counts), len(counts[0]))
    usage.counts += counts
    return Statistics(settings, 1, 1, Totals(tokens=int(np.sum(counts))), 100, usage)


def test_an_unfinished_folder_is_measured_as_far_as_it_is(tmp_path, make_output):
    rows = make_output(tmp_path / "out", is_merged=False)
    index_path(tmp_path / "out", 1).unlink()
    shard_path(tmp_path / "out", 4, "parquet").unlink()
    found = measure(tmp_path / "out")
    assert (found.shards, found.all_shards, found.totals.utterances) == (3, 5, 192)
    assert found.usage.counts.sum() == sum(row.codes.size for row in [*rows[:64], *rows[128:256]])
    for shard in (0, 2, 3):
        index_path(tmp_path / "out", shard).unlink()
    found = measure(tmp_path / "out")
    assert (found.shards, found.bits_per_token, found.usage.counts.sum()) == (0, None, 0)
    usage_figure(found)


def test_damage_is_an_error(tmp_path, make_output):
    make_output(tmp_path / "out")
    shard_path(tmp_path / "out", 2, "parquet").write_bytes(b"PAR1")
    with pytest.raises(TokensError, match="shard-000002.parquet"):
        measure(tmp_path / "out")


def test_memory_does_not_grow_with_the_dataset(tmp_path, make_output):
    peaks = []
    for count in (200, 2000):
        make_output(tmp_path / str(count), "webdataset", count=count, shard_size=100)
        measure(tmp_path / str(count))
        tracemalloc.start()
        measure(tmp_path / str(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_the_picture_has_a_curve_and_a_bar_per_codebook():
    figure = usage_figure(statistics([[9, 1, 3, 3], [0, 16, 0, 0]]))
    curves, bars = figure.axes
    drawn = [line.get_ydata() for line in curves.lines[:2]]
    np.testing.assert_allclose(drawn[0], np.array([9, 3, 3, 1]) / 4)
    np.testing.assert_allclose(drawn[1], [4, np.nan, np.nan, np.nan])
    assert [bar.get_height() for bar in bars.patches] == pytest.approx(
        statistics([[9, 1, 3, 3], [0, 16, 0, 0]]).usage.entropy_bits
    )
