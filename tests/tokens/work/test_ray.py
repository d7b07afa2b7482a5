"""`vqcodec tokenize --runner ray` on clusters of processes. Nothing of Ray runs in this one; see ray_cluster.py."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vqcodec.errors import ConfigError

pytest.importorskip("ray")


@pytest.fixture(scope="module")
def clips(tmp_path_factory, make_clips):
    return make_clips(tmp_path_factory.mktemp("clips") / "in", 60)


@pytest.fixture(scope="module")
def cluster():
    """A running ray_cluster.py, and the address of its cluster, which the test that loses a node is the last to use."""
    program = Path(__file__).with_name("ray_cluster.py")
    with subprocess.Popen(
        [sys.executable, program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        address = process.stdout.readline().strip()
        assert address, process.stderr.read()
        yield process, address
        process.stdin.close()
        process.stdout.read()


@pytest.fixture
def tokenize_on_ray(toy_weights):
    """Function: start `vqcodec tokenize` with the toy model on Ray."""

    def start(source, out, *options):
        model = ("--model", toy_weights, "--shard-size", 2, "--runner", "ray")
        command = [sys.executable, "-m", "vqcodec", "tokenize", source, out, *model, *options]
        return subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )

    return start


@pytest.mark.slow
def test_failures_and_errors_come_back_from_actors(tmp_path, make_clips, tokenize_on_ray, cluster):
    folder = make_clips(tmp_path / "in", 6)
    (folder / "clip003.flac").write_bytes(b"junk")
    address = ("--ray-address", cluster[1])
    run = tokenize_on_ray(folder, tmp_path / "out", *address)
    told, _ = run.communicate()
    assert run.returncode == 1
    assert "1 utterances failed" in told
    run = tokenize_on_ray(folder, tmp_path / "stop", *address, "--on-error", "stop")
    told, _ = run.communicate()
    assert run.returncode == 1
    assert re.search("clip003: .*no audio", told), told
    assert "Traceback" not in told


@pytest.mark.slow
def test_a_cluster_that_loses_a_node_gives_the_same_output(
    tmp_path, clips, tokenize_toy, tokenize_on_ray, bytes_of, cluster
):
    tokenize_toy(clips, tmp_path / "local", shard_size=2)
    nodes, address = cluster
    run = tokenize_on_ray(clips, tmp_path / "out", "--workers", 2, "--ray-address", address)
    while len(list((tmp_path / "out").glob("shards/shard-*.parquet"))) < 5 and run.poll() is None:
        time.sleep(0.05)
    assert run.poll() is None
    print("lose", file=nodes.stdin, flush=True)
    assert nodes.stdout.readline() == "lost\n"
    told, _ = run.communicate()
    assert run.returncode == 0, told
    assert "60 utterances" in told
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "local")
    for name in ("index.json", "failures.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()


@pytest.mark.slow
def test_a_cluster_of_its_own_is_started_and_ended(tmp_path, clips, toy_weights):
    program = """if True:
        import sys
        import ray
        from vqcodec.tokens import Workers, tokenize
        source, out, model = sys.argv[1:]
        totals = tokenize(source, out, model=model, workers=Workers(1, "ray"))
        print(totals.utterances, ray.is_initialized())
    """
    command = [sys.executable, "-c", program, clips, tmp_path / "out", toy_weights]
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "60 False\n"


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_named(tmp_path, clips, tokenize_toy):
    with pytest.raises(ConfigError, match="no Ray cluster at"):
        tokenize_toy(clips, tmp_path / "out", runner="ray", ray_address="127.0.0.1:1")
