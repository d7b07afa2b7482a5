"""The Ray runner: the same plan on the machines of a cluster, which share the output folder.

Ray Data hands shard numbers to a pool of actors, each with a Worker. What a lost machine was doing is done again
elsewhere; a shard that it had finished is found finished.
"""

import contextlib
import logging
import socket
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.errors import ConfigError, VqcodecError, how_to_install
from vqcodec.tokens.work.messages import ShardReport, Workers

_REACH_SECONDS = 10.0

_Batch = dict[str, NDArray[Any]]


def run_on_ray(folder: Path, shards: Sequence[int], model: str, workers: Workers) -> Generator[ShardReport]:
    """Run `shards` of the plan in `folder` on a Ray cluster with `model`; yields each when it is finished.

    Actors are by default as many as the cluster has cores, or GPUs where the device is cuda. Raises ConfigError where
    Ray or the cluster is missing, and what a worker raised.
    """
    ray = _require_ray()
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    from ray.data import ActorPoolStrategy, DataContext
    from ray.exceptions import RayError

    with _cluster(ray, workers.ray_address), contextlib.suppress(GeneratorExit):
        is_cuda = workers.device.startswith("cuda")
        available = ray.cluster_resources().get("GPU" if is_cuda else "CPU", 0)
        size = max(1, min(workers.count or int(available), len(shards)))
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.actor_task_retry_on_errors = False  # our own errors are final; lost machines are retried all the same
        tasks = ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards))
        reports = tasks.map_batches(
            _Actor,
            fn_constructor_args=(str(folder.absolute()), model, workers),
            batch_size=1,
            compute=ActorPoolStrategy(min_size=1, max_size=size),
            num_cpus=1,
            num_gpus=1 if is_cuda else 0,
        )
        try:
            # Closed before Ray ends: its threads, still handing out shards, would take this process down with it.
            with contextlib.closing(iter(reports.iter_rows())) as rows:
                for row in rows:
                    if row["error"]:
                        raise _error_of(row)
                    yield ShardReport(
                        row["shard"], row["utterances"], row["seconds"], row["failures"], is_finished=True
                    )
        except RayError as error:
            raise ConfigError(f"the Ray cluster failed ({' '.join(str(error).split())[:300]})") from None


class _Actor:
    """Holds a Worker; a batch is one shard. An error of ours travels as data, so that Ray does not retry it."""

    def __init__(self, folder: str, model: str, workers: Workers) -> None:
        from vqcodec.tokens.work.worker import Worker

        self._worker: Worker | VqcodecError
        try:
            self._worker = Worker(Path(folder), model, workers)
        except VqcodecError as error:
            self._worker = error

    def __call__(self, batch: _Batch) -> _Batch:
        shard = int(batch["shard"][0])
        report, error = ShardReport(shard), None
        if isinstance(self._worker, VqcodecError):
            error = self._worker
        else:
            try:
                report = self._worker.run(shard)
            except VqcodecError as failure:
                error = failure
        return {
            "shard": np.array([shard]),
            "utterances": np.array([report.utterances]),
            "seconds": np.array([report.seconds]),
            "failures": np.array([report.failures]),
            "kind": np.array([type(error).__name__ if error else ""]),
            "error": np.array([str(error) if error else ""]),
        }


def _error_of(row: dict[str, Any]) -> VqcodecError:
    """The error that an actor met, of its class."""
    from vqcodec import errors

    kind: type[VqcodecError] = getattr(errors, str(row["kind"]), VqcodecError)
    return kind(str(row["error"]))


@contextlib.contextmanager
def _cluster(ray: Any, address: str | None) -> Generator[None]:
    """Join the cluster at `address`, or start one; one that is in use by this process already stays."""
    if ray.is_initialized():
        yield
        return
    try:
        _check_reachable(address)
        dashboard = False if address is None else None
        # "local": None would join, and end with, whatever cluster ran last on this machine.
        ray.init(address=address or "local", log_to_driver=False, logging_level="ERROR", include_dashboard=dashboard)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        where, why = address or "this machine", " ".join(str(error).split())[:200]
        raise ConfigError(f"no Ray cluster at {where} ({why}); start one with: ray start --head") from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str | None) -> None:
    """Ray itself tries for minutes. Raises OSError where nothing listens at host:port."""
    host, _, port = (address or "").rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_SECONDS).close()


def _require_ray() -> Any:
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise ConfigError(f"the ray runner needs {error.name}: {how_to_install('ray')}") from None
    return ray
