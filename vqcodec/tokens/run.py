"""tokenize: a source becomes shards, by either runner; what was finished before stays."""

import contextlib
import os
import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from vqcodec.errors import ConfigError, OutputError, TokensError
from vqcodec.models import zoo
from vqcodec.models.engine import codebooks_for
from vqcodec.output import output_errors
from vqcodec.tokens.formats import DEFAULT_FORMAT, FORMATS, format_of
from vqcodec.tokens.index import Totals, is_intact, merge, reopen_failed, totals_of
from vqcodec.tokens.lock import LOCK, locked
from vqcodec.tokens.plan import Plan, Settings, make_plan, open_plan
from vqcodec.tokens.sources.find import absolute_source, find_utterances
from vqcodec.tokens.work.messages import ShardReport, WorkerOptions

Runner = Literal["local", "ray"]
"""Who works: processes of this machine, or a Ray cluster."""
RUNNERS: tuple[Runner, ...] = get_args(Runner)


_MOST_BATCH_SECONDS = 3600


@dataclass(frozen=True)
class Progress:
    """How far a run is. `shards` of `all_shards` are its own part; `utterances` and `seconds` since it began."""

    shards: int
    all_shards: int
    planned: int
    utterances: int
    seconds: float
    failures: int


OnProgress = Callable[[Progress], None]


def tokenize(
    source: str | Path,
    out: str | Path,
    *,
    model: str | Path = zoo.DEFAULT_MODEL,
    kbps: float | None = None,
    num_codebooks: int | None = None,
    format: str = DEFAULT_FORMAT,
    entropy_coded: bool = False,
    workers: int | None = None,
    batch_seconds: float = 30.0,
    shard_size: int | None = None,
    shard: tuple[int, int] | None = None,
    runner: Runner = "local",
    ray_address: str | None = None,
    device: str = "cpu",
    resume: bool = False,
    retry_failed: bool = False,
    stop_on_error: bool = False,
    run_commands: bool = False,
    plan_only: bool = False,
    on_progress: OnProgress | None = None,
    engine: Runner | None = None,
) -> Totals:
    """Tokenize the audio of `source` into shards in the folder `out`. Returns sums over what is finished of this part.

    `source` as in `sources.find_utterances`; `format` and `entropy_coded` as in `shards`. The plan is made once;
    `resume` goes on with it, whatever became of the source since, and so does `shard` (i, N), which does every N-th
    shard beginning with the i-th, for schedulers: the last part to end merges the index. With `retry_failed` they do
    again the shards that have failures. `workers`: processes, one thread each by default. `batch_seconds` of audio are
    computed at once; neither changes the output, nor does `runner`: with "ray" machines of a cluster work
    (`ray_address`, which must share the folder); `engine` is its former name. Audio that fails is listed in
    failures.jsonl, or ends the run with `stop_on_error`. Raises AudioError, ConfigError, ModelError, OutputError,
    TokensError.
    """
    if engine is not None:
        warnings.warn("engine is called runner now; engine goes with 0.3", DeprecationWarning, stacklevel=2)
        if runner not in ("local", engine):
            raise ConfigError(f"engine {engine!r} is the former name of runner {runner!r}; give one")
        runner = engine
    folder, source = Path(out), absolute_source(str(source))
    settings = _settings(model, kbps, num_codebooks, format, entropy_coded)
    go_on = resume or shard is not None
    options = WorkerOptions(str(model), device, batch_seconds, stop_on_error, run_commands)
    _check(batch_seconds, workers, shard_size, shard, runner)
    if retry_failed and not go_on:
        raise ConfigError("retry_failed goes with resume; give both")
    if device != "cpu" and runner == "local" and not plan_only:  # others may plan for machines that have it
        zoo.check_device(device)
    with at_work(folder, alone=shard is None):
        plan = _existing_plan(folder, settings, source, shard_size=shard_size, go_on=go_on)
        if plan is None:
            _remove_leftovers(folder, alone=shard is None)
            utterances = find_utterances(source, run_commands=run_commands)
            plan = make_plan(folder, source, utterances, settings, shard_size=shard_size)
        _make_folders(folder)
        part = range(plan.num_shards) if shard is None else range(shard[0], plan.num_shards, shard[1])
        if retry_failed:
            reopen_failed(plan, part)
        todo = [] if plan_only else [number for number in part if not is_intact(plan, number)]
        if todo:
            _run(plan, part, todo, options, runner, workers, ray_address, on_progress)
        if not plan_only and all(is_intact(plan, number) for number in range(plan.num_shards)):
            totals = merge(plan)
            if shard is None:
                return totals
        return totals_of(plan, [number for number in part if is_intact(plan, number)])


def _run(
    plan: Plan,
    part: range,
    todo: list[int],
    options: WorkerOptions,
    runner: Runner,
    workers: int | None,
    ray_address: str | None,
    on_progress: OnProgress | None,
) -> None:
    """Run the shards in `todo` and tell of them together."""
    reports: dict[int, ShardReport] = {}
    planned = sum(plan.size_of(number) for number in todo)
    with contextlib.closing(_reports(plan, todo, options, runner, workers, ray_address)) as arriving:
        for report in arriving:
            reports[report.shard] = report
            if on_progress is None:
                continue
            finished = sum(one.is_finished for one in reports.values())
            on_progress(
                Progress(
                    shards=len(part) - len(todo) + finished,
                    all_shards=len(part),
                    planned=planned,
                    utterances=sum(one.utterances for one in reports.values()),
                    seconds=sum(one.seconds for one in reports.values()),
                    failures=sum(one.failures for one in reports.values()),
                )
            )


def _reports(
    plan: Plan,
    todo: list[int],
    options: WorkerOptions,
    runner: Runner,
    workers: int | None,
    ray_address: str | None,
) -> Generator[ShardReport]:
    if runner == "ray":
        from vqcodec.tokens.work.ray import run_on_ray

        return run_on_ray(plan.folder, todo, options, workers=workers, address=ray_address)
    from vqcodec.tokens.work.processes import run_local
    from vqcodec.workers import usable_cores

    if workers is None:
        workers = usable_cores() if options.device == "cpu" else 1
    return run_local(plan.folder, todo, options, workers=workers)


def _settings(
    model: str | Path, kbps: float | None, num_codebooks: int | None, format: str, entropy_coded: bool
) -> Settings:
    """What the arguments ask for. Loads no torch."""
    if format not in FORMATS:
        raise ConfigError(f"format {format!r} is none of {', '.join(FORMATS)}")
    format_of(format).check(entropy_coded)
    card = zoo.card_of(model)
    if card.is_scaled:
        raise ConfigError(f"{model} takes levels out of its input, which tokens do not hold; encode files with it")
    return Settings(
        model=card.name,
        fingerprint=card.sha256,
        sample_rate_hz=card.sample_rate_hz,
        hop_length=card.hop_length,
        codebook_size=card.codebook_size,
        num_codebooks=codebooks_for(card, kbps=kbps, num_codebooks=num_codebooks),
        format=format,
        entropy_coded=entropy_coded,
    )


def _check(
    batch_seconds: float,
    workers: int | None,
    shard_size: int | None,
    shard: tuple[int, int] | None,
    runner: Runner,
) -> None:
    if runner not in RUNNERS:
        raise ConfigError(f"runner {runner!r} is none of {', '.join(RUNNERS)}")
    if not 0 < batch_seconds <= _MOST_BATCH_SECONDS:
        raise ConfigError(f"batch_seconds {batch_seconds:g} is not in 0..{_MOST_BATCH_SECONDS}")
    if workers is not None and workers < 1:
        raise ConfigError(f"workers {workers} is not 1 or more")
    if shard_size is not None and shard_size < 1:
        raise ConfigError(f"shard_size {shard_size} is not 1 or more")
    if shard is not None and not 0 <= shard[0] < shard[1]:
        raise ConfigError(f"shard {shard[0]}/{shard[1]} is not i/N with i from 0 to N - 1")


# The output folder


@contextlib.contextmanager
def at_work(folder: Path, *, alone: bool) -> Iterator[None]:
    """Make `folder`, unless it exists, and hold it: `alone`, or with others that are not.

    A new folder in which nothing came about is removed. Raises OutputError for a folder of something else, or that
    another run holds.
    """
    if not (folder / "plan.json").exists() and folder.exists() and (not folder.is_dir() or any(_foreign(folder))):
        raise OutputError(f"{folder}: exists and is no output of vqcodec tokenize; give a new or empty folder")
    is_new = not folder.exists()
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder, alone=alone):
            yield
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()


def _existing_plan(
    folder: Path, settings: Settings, source: str, *, shard_size: int | None, go_on: bool
) -> Plan | None:
    """The plan in `folder`; None where there is none yet. `shard_size` None: whatever it is.

    Raises OutputError for one that is not to `go_on`, TokensError for one of another source or other settings.
    """
    if not (folder / "plan.json").exists():
        return None
    if not go_on:
        raise OutputError(f"{folder}: holds tokens already; --resume goes on with them, or give another folder")
    plan = open_plan(folder)
    planned = {**vars(plan.settings), "shard_size": plan.shard_size}
    asked = {**vars(settings), "shard_size": shard_size or plan.shard_size}
    # A folder has one real path, by whatever links it is named.
    if os.path.realpath(source) != os.path.realpath(plan.source):
        planned, asked = {"source": plan.source}, {"source": source}
    for name, value in asked.items():
        if value != planned[name]:
            raise TokensError(
                f"{folder}: was planned with {name} {planned[name]}, not {value}; give that or a new folder"
            )
    return plan


def _remove_leftovers(folder: Path, *, alone: bool) -> None:
    """Remove what a plan that was interrupted has left, unless another run may be making it."""
    with output_errors(folder):
        for leftover in folder.glob(".plan.*") if alone else ():
            leftover.unlink()


def _make_folders(folder: Path) -> None:
    """Make the folders of shards and their indexes."""
    with output_errors(folder):
        for name in ("shards", "index"):
            (folder / name).mkdir(exist_ok=True)


def _foreign(folder: Path) -> Iterator[Path]:
    """What is not of a plan that was interrupted while it was made."""
    for path in folder.iterdir():
        is_ours = path.name in ("shards", "index") and not any(path.iterdir())
        if not is_ours and not path.name.startswith((".plan.", "plan.jsonl", LOCK)):
            yield path
