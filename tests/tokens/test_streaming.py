"""TokenStream: every utterance exactly once over ranks and workers, in an order that only the seed decides."""

import itertools
import pickle
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import vqcodec.tokens
from vqcodec.tokens import streaming

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # of more workers than cores


@pytest.fixture(scope="module", params=["parquet", "webdataset", "shar"])
def dataset(request, tmp_path_factory, make_output):
    """Seven shards, two of them of failures only in part and in whole."""
    folder = tmp_path_factory.mktemp("stream") / "out"
    make_output(folder, request.param, shard_size=45, failing={3, 50, *range(90, 135)})
    return vqcodec.tokens.open(folder)


@pytest.fixture
def read(monkeypatch):
    """Function: ids that a worker of a rank reads."""

    def call(dataset, *, rank=0, ranks=1, worker=0, workers=1, **options):
        info = SimpleNamespace(id=worker, num_workers=workers)
        monkeypatch.setattr(streaming, "get_worker_info", lambda: info)
        return [row.id for row in dataset.stream(world=(rank, ranks), **options)]

    return call


@pytest.mark.parametrize(("ranks", "workers"), [(1, 1), (1, 2), (3, 1), (2, 3), (4, 16), (20, 20)])
@pytest.mark.parametrize("seed", [None, 0])
def test_every_utterance_comes_exactly_once(dataset, read, ranks, workers, seed):
    options = {"ranks": ranks, "workers": workers, "shuffle_seed": seed, "buffer": 20}
    shares = [
        read(dataset, rank=rank, worker=worker, **options)
        for rank, worker in itertools.product(range(ranks), range(workers))
    ]
    assert Counter(itertools.chain(*shares)) == Counter(dataset.ids)
    sizes = {len(share) for share in shares}
    assert max(sizes) - min(sizes) <= 1
    if seed is None:
        assert list(itertools.chain(*shares)) == dataset.ids


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_of_many_shards_loses_none(tmp_path, make_output, read, workers):
    make_output(tmp_path / "out", "npy", shard_size=15)  # 20 shards, more than a worker has open
    dataset = vqcodec.tokens.open(tmp_path / "out")
    shares = [read(dataset, worker=worker, workers=workers, shuffle_seed=0) for worker in range(workers)]
    assert Counter(itertools.chain(*shares)) == Counter(dataset.ids)


def test_a_loader_with_workers_reads_everything(dataset):
    loader = torch.utils.data.DataLoader(
        dataset.stream(shuffle_seed=1), batch_size=8, num_workers=2, collate_fn=list, multiprocessing_context="fork"
    )
    rows = [row for batch in loader for row in batch]
    assert Counter(row.id for row in rows) == Counter(dataset.ids)
    for row in rows[::20]:
        np.testing.assert_array_equal(row.codes, dataset[row.id].codes)


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["shar"], indirect=True)  # test_reader.py has spawned workers that read each format
def test_a_loader_with_spawned_workers_reads_everything(dataset):
    loader = torch.utils.data.DataLoader(
        dataset.stream(shuffle_seed=1), batch_size=8, num_workers=2, collate_fn=list, multiprocessing_context="spawn"
    )
    assert Counter(row.id for batch in loader for row in batch) == Counter(dataset.ids)


def test_the_order_follows_from_seed_epoch_and_place(dataset, read):
    first = read(dataset, shuffle_seed=7, epoch=1)
    assert first == read(dataset, shuffle_seed=7, epoch=1) == list_of(dataset.stream(shuffle_seed=7, epoch=1))
    assert first != read(dataset, shuffle_seed=7, epoch=2)
    assert first != read(dataset, shuffle_seed=8, epoch=1)
    # Shares differ from epoch to epoch too, not only their order.
    shares = [set(read(dataset, shuffle_seed=7, epoch=epoch, workers=2)) for epoch in range(3)]
    assert len({frozenset(share) for share in shares}) == 3


def list_of(stream):
    return [row.id for row in stream]


def test_shuffling_takes_neighbours_apart(dataset, read):
    places = np.array([dataset.ids.index(one) for one in read(dataset, shuffle_seed=0, buffer=64)])
    assert abs(np.corrcoef(np.arange(len(places)), places)[0, 1]) < 0.3
    # Of 252 in any order, two stand in their first order side by side about once.
    assert (np.diff(places) == 1).sum() < 10


def test_a_buffer_of_one_still_mixes_shards(dataset, read):
    order = read(dataset, shuffle_seed=0, buffer=1)
    assert sorted(order) == sorted(dataset.ids)
    shard = [int(one.partition("u")[2]) // 45 for one in order]
    assert len(set(shard[:30])) > 3


# Who am I


def test_ranks_come_from_the_environment(dataset, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert list_of(dataset.stream()) == dataset.ids[84:168]
    assert list_of(dataset.stream(world=(0, 1))) == dataset.ids


def test_ranks_of_torch_distributed_come_first(dataset, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    stream = dataset.stream()
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)  # after the stream was made
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    assert list_of(stream) == dataset.ids[126:]


def test_a_spawned_worker_has_the_rank_of_its_parent(dataset, monkeypatch):
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "3")
    data = pickle.dumps(dataset.stream())
    monkeypatch.delenv("RANK")
    assert list_of(pickle.loads(data)) == dataset.ids[168:]


@pytest.mark.parametrize("options", [{"buffer": 0}, {"world": (2, 2)}, {"world": (-1, 2)}])
def test_impossible_options_are_refused(dataset, options):
    with pytest.raises(ValueError, match="is not"):
        dataset.stream(**options)


# Batches


def test_collate_pads_behind(dataset):
    rows = [dataset[position] for position in range(5)]
    codes, lengths = vqcodec.tokens.collate(rows, pad=16)
    assert codes.dtype == lengths.dtype == torch.int64
    assert codes.shape == (5, 3, max(row.num_frames for row in rows))
    for row, own, length in zip(rows, codes, lengths, strict=True):
        assert length == row.num_frames
        np.testing.assert_array_equal(own[:, :length], row.codes)
        assert (own[:, length:] == 16).all()


@pytest.mark.parametrize("kind", [vqcodec.tokens.Delayed, vqcodec.tokens.Interleaved, vqcodec.tokens.ByCodebook])
def test_collate_of_a_pattern_gives_tokens_and_where_they_are_codes(dataset, kind):
    pattern = kind(3, 16)
    rows = [dataset[position] for position in range(5)]
    pad = None if kind is vqcodec.tokens.Delayed else pattern.vocabulary_size
    tokens, mask = vqcodec.tokens.collate(rows, pattern=pattern, pad=pad)
    assert (tokens.dtype, mask.dtype, tokens.shape) == (torch.int64, torch.bool, mask.shape)
    for row, own, marks in zip(rows, tokens, mask, strict=True):
        flat = pattern.flatten(row.codes)
        np.testing.assert_array_equal(own[..., : flat.shape[-1]], flat)
        assert (own[..., flat.shape[-1] :] == (16 if pad is None else pad)).all()
        assert marks.sum() == row.codes.size
        assert (own[marks] < pattern.vocabulary_size - (pad is None)).all()
        np.testing.assert_array_equal(pattern.unflatten_sampled(own).codes, row.codes)


def test_collate_says_what_is_missing(dataset):
    with pytest.raises(ValueError, match="pad is missing"):
        vqcodec.tokens.collate([dataset[0]], pattern=vqcodec.tokens.Interleaved(3, 16))
    with pytest.raises(ValueError, match="pad is missing"):
        vqcodec.tokens.collate([dataset[0]])
    with pytest.raises(ValueError, match="1 or more"):
        vqcodec.tokens.collate([], pad=1)


@pytest.mark.parametrize("of", [lambda dataset: dataset, lambda dataset: dataset.stream()])
def test_a_loader_without_collate_fn_says_what_to_pass(dataset, of):
    with pytest.raises(TypeError, match=r"give it collate_fn=functools.partial\(vqcodec.tokens.collate"):
        next(iter(torch.utils.data.DataLoader(of(dataset), batch_size=4)))


@pytest.mark.parametrize("world", [(0, 1), (0, 5), (4, 5)])
def test_a_stream_is_as_long_as_what_its_rank_reads(dataset, world):
    stream = dataset.stream(world=world)
    assert len(stream) == len(list(stream))
    loader = torch.utils.data.DataLoader(stream, batch_size=8, collate_fn=list)
    assert len(loader) == sum(1 for _ in loader)
