"""The Ray engine on real clusters on this machine."""

import pytest

from vqcodec.errors import AudioError, ConfigError

_MEMORY = 100 << 20


@pytest.fixture(scope="module")
def clips(tmp_path_factory, make_clips):
    return make_clips(tmp_path_factory.mktemp("clips") / "in", 60)


@pytest.fixture
def cluster():
    """A cluster of two nodes (raylets) with a core each; its second node, and this process joined to it."""
    import ray
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "object_store_memory": _MEMORY, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    second = cluster.add_node(num_cpus=1, object_store_memory=_MEMORY)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster, second
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.slow
def test_a_cluster_that_loses_a_node_gives_the_same_output(tmp_path, clips, tokenize_toy, bytes_of, cluster):
    tokenize_toy(clips, tmp_path / "local", shard_size=2)
    nodes, second = cluster
    lost = []

    def lose(progress):
        if progress.shards >= 5 and not lost:
            lost.append(second)
            nodes.remove_node(second, allow_graceful=False)

    totals = tokenize_toy(clips, tmp_path / "out", shard_size=2, engine="ray", workers=2, on_progress=lose)
    assert lost
    assert totals.utterances == 60
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "local")
    for name in ("index.json", "failures.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()


@pytest.mark.slow
def test_failures_and_errors_come_back_from_actors(tmp_path, make_clips, tokenize_toy, cluster):
    folder = make_clips(tmp_path / "in", 6)
    (folder / "clip003.flac").write_bytes(b"junk")
    assert tokenize_toy(folder, tmp_path / "out", engine="ray").failures == 1
    with pytest.raises(AudioError, match="clip003: .*no audio"):
        tokenize_toy(folder, tmp_path / "stop", engine="ray", stop_on_error=True)


@pytest.mark.slow
def test_a_cluster_of_its_own_is_started_and_ended(tmp_path, clips, tokenize_toy):
    import ray

    assert tokenize_toy(clips, tmp_path / "out", engine="ray", workers=1).utterances == 60
    assert not ray.is_initialized()


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_named(tmp_path, clips, tokenize_toy):
    with pytest.raises(ConfigError, match="no Ray cluster at"):
        tokenize_toy(clips, tmp_path / "out", engine="ray", ray_address="127.0.0.1:1")
