"""What runners and workers say to each other; no torch, so that a runner's own process needs none."""

from dataclasses import dataclass

from vqcodec.models import zoo


@dataclass(frozen=True)
class WorkerOptions:
    """What a worker needs to know; none of it changes the output. `run_commands`: those that the plan has."""

    model: str = zoo.DEFAULT_MODEL
    device: str = "cpu"
    batch_seconds: float = 30.0
    stop_on_error: bool = False
    run_commands: bool = False


@dataclass(frozen=True)
class ShardReport:
    """How far a shard is: utterances written, seconds of their audio, failures."""

    shard: int
    utterances: int = 0
    seconds: float = 0.0
    failures: int = 0
    is_finished: bool = False
