"""What runners and workers say to each other; no torch, so that a runner's own process needs none."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, get_args

from vqcodec.audio import OnTruncated, checked_on_truncated
from vqcodec.errors import ConfigError, how_to_install

Runner = Literal["local", "ray"]
"""Who works: processes of this machine, or a Ray cluster."""
RUNNERS: tuple[Runner, ...] = get_args(Runner)

_MOST_BATCH_SECONDS = 3600


@dataclass(frozen=True)
class Workers:
    """Who tokenizes, and how; on machines of one kind the shards do not depend on it, but for what is taken of audio.

    Raises ConfigError for values that cannot be, and for a runner that is not installed.

    count:         processes, one thread each by default; None is one per core, or 1 on a GPU
    runner:        "local": processes of this machine; "ray": those of a cluster, which must share the output folder
    ray_address:   of a running cluster, such as "auto"; None starts one on this machine
    device:        that a model computes on, as torch names it
    batch_seconds: of audio that are computed at once, at most an hour
    stop_on_error: audio that fails ends the run, and is not only listed in failures.jsonl
    on_truncated:  audio that is cut, or goes on where its reader stops: "refuse" it, or "take" what can be read
    run_commands:  runs the commands of a wav.scp, also those of a plan that is there already
    """

    count: int | None = None
    runner: Runner = "local"
    ray_address: str | None = None
    device: str = "cpu"
    batch_seconds: float = 30.0
    stop_on_error: bool = False
    on_truncated: OnTruncated = "refuse"
    run_commands: bool = False

    def __post_init__(self) -> None:
        if self.runner not in RUNNERS:
            raise ConfigError(f"runner {self.runner!r} is none of {', '.join(RUNNERS)}")
        if self.runner == "ray" and find_spec("ray") is None:
            raise ConfigError(f"the ray runner needs ray: {how_to_install('ray')}")
        checked_on_truncated(self.on_truncated)
        if not 0 < self.batch_seconds <= _MOST_BATCH_SECONDS:
            raise ConfigError(f"batch_seconds {self.batch_seconds:g} is not in 0..{_MOST_BATCH_SECONDS}")
        if self.count is not None and self.count < 1:
            raise ConfigError(f"workers {self.count} is not 1 or more")


@dataclass(frozen=True)
class ShardReport:
    """How far a shard is: utterances written, seconds of their audio, failures."""

    shard: int
    utterances: int = 0
    seconds: float = 0.0
    failures: int = 0
    is_finished: bool = False
