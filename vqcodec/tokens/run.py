"""tokenize: a source becomes shards, by either runner; what was finished before stays."""

import contextlib
import os
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypedDict, Unpack

from vqcodec.errors import ConfigError, OutputError, TokensError
from vqcodec.models import zoo
from vqcodec.models.effort import DEFAULT_EFFORT, Effort, check_effort
from vqcodec.models.engine import codebooks_for, rate_note
from vqcodec.output import check_length, output_errors
from vqcodec.tokens.formats import DEFAULT_FORMAT, FORMATS, format_of
from vqcodec.tokens.index import Totals, is_intact, merge, reopen_failed, totals_of
from vqcodec.tokens.lock import LOCK, locked
from vqcodec.tokens.plan import Plan, Settings, make_plan, open_plan
from vqcodec.tokens.sources.find import absolute_source, find_utterances
from vqcodec.tokens.work.messages import ShardReport, Workers


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


class Options(TypedDict, total=False):
    """What `tokenize` is asked for beside its source; each may be left out.

    model:          a bundled model's name or a weights file
    kbps:           highest nominal rate; all codebooks of the model without it and `num_codebooks`
    num_codebooks:  instead of `kbps`
    effort:         how long to search for codes, "fast", "normal" or "best"; the plan holds it
    format:         of shards, one of `formats.FORMATS`
    entropy_coded:  .vqc bytes instead of arrays, in formats that hold them
    shard_size:     utterances per shard; 64 to 1000 by default
    shard:          (i, N): only every N-th shard beginning with the i-th, for schedulers; goes on with the plan too
    resume:         go on with the plan that is there, whatever became of the source since
    retry_failed:   with `resume` or `shard`: do shards that have failures again
    plan_only:      make the plan and no shards
    """

    model: str | Path
    kbps: float | None
    num_codebooks: int | None
    effort: Effort
    format: str
    entropy_coded: bool
    shard_size: int | None
    shard: tuple[int, int] | None
    resume: bool
    retry_failed: bool
    plan_only: bool


def tokenize(
    source: str | Path,
    out: str | Path,
    *,
    workers: int | Workers | None = None,
    on_progress: OnProgress | None = None,
    on_note: Callable[[str], None] | None = None,
    **options: Unpack[Options],
) -> Totals:
    """Tokenize the audio of `source` into shards in the folder `out`. Returns sums over what is finished of this part.

    `source` as in `sources.find_utterances`; `options` as in `Options`. The plan is made once; `resume` goes on with
    it, and so does `shard`, whose last part to end merges the index. `workers`: how many processes, or who works in
    all that `Workers` tells; keywords of theirs that are given here, as was usual, warn. `on_note` hears of a rate that
    the model does not have, and what is used instead. Audio that fails is listed in failures.jsonl, unless it is to end
    the run. Raises AudioError, ConfigError, ModelError, OutputError, TokensError.
    """
    workers, request = _asked_for(workers, dict(options))
    folder, source = Path(out), absolute_source(str(source))
    settings = request.settings(on_note)
    if workers.device != "cpu" and workers.runner == "local" and not request.plan_only:
        zoo.check_device(workers.device)  # others may plan for machines that have it
    with at_work(folder, alone=request.shard is None):
        plan = _existing_plan(folder, settings, source, request)
        if plan is None:
            _remove_leftovers(folder, alone=request.shard is None)
            utterances = find_utterances(source, run_commands=workers.run_commands)
            plan = make_plan(folder, source, utterances, settings, shard_size=request.shard_size)
        _make_folders(folder)
        part = request.part_of(plan)
        if request.retry_failed:
            reopen_failed(plan, part)
        todo = [] if request.plan_only else [shard for shard in part if not is_intact(plan, shard)]
        if todo:
            plan.check()  # once for all workers, who take what is done from it
            _run(_reports(plan, todo, str(request.model), workers), plan, part, todo, on_progress)
        if not request.plan_only and all(is_intact(plan, shard) for shard in range(plan.num_shards)):
            totals = merge(plan)
            if request.shard is None:
                return totals
        return totals_of(plan, [shard for shard in part if is_intact(plan, shard)])


@dataclass(frozen=True)
class _Request:
    """`Options`, all of them. Raises ConfigError."""

    model: str | Path = zoo.DEFAULT_MODEL
    kbps: float | None = None
    num_codebooks: int | None = None
    format: str = DEFAULT_FORMAT
    entropy_coded: bool = False
    shard_size: int | None = None
    shard: tuple[int, int] | None = None
    resume: bool = False
    retry_failed: bool = False
    plan_only: bool = False
    effort: Effort = DEFAULT_EFFORT

    def __post_init__(self) -> None:
        if self.shard_size is not None and self.shard_size < 1:
            raise ConfigError(f"shard_size {self.shard_size} is not 1 or more")
        if self.shard is not None and not 0 <= self.shard[0] < self.shard[1]:
            raise ConfigError(f"shard {self.shard[0]}/{self.shard[1]} is not i/N with i from 0 to N - 1")
        if self.retry_failed and not self.goes_on:
            raise ConfigError("retry_failed goes with resume; give both")
        if self.format not in FORMATS:
            raise ConfigError(f"format {self.format!r} is none of {', '.join(FORMATS)}")
        format_of(self.format).check(self.entropy_coded)

    @property
    def goes_on(self) -> bool:
        """Whether a plan that is there already is followed."""
        return self.resume or self.shard is not None

    def part_of(self, plan: Plan) -> range:
        """Give the numbers of the shards that are to be done."""
        if self.shard is None:
            return range(plan.num_shards)
        return range(self.shard[0], plan.num_shards, self.shard[1])

    def settings(self, on_note: Callable[[str], None] | None) -> Settings:
        """Make the settings of a plan, and tell what is to be noted of them. Loads no torch."""
        card = zoo.card_of(self.model)
        if on_note is not None and (note := rate_note(card, self.kbps)):
            on_note(note)
        if card.is_scaled:
            raise ConfigError(
                f"{self.model} takes levels out of its input, which tokens do not hold; encode files with it"
            )
        check_effort(self.effort, model=card.name, is_searched=card.is_searched)
        return Settings(
            model=card.name,
            fingerprint=card.sha256,
            sample_rate_hz=card.sample_rate_hz,
            hop_length=card.hop_length,
            codebook_size=card.codebook_size,
            num_codebooks=codebooks_for(card, kbps=self.kbps, num_codebooks=self.num_codebooks),
            format=self.format,
            entropy_coded=self.entropy_coded,
            effort=self.effort,
        )


def _asked_for(workers: int | Workers | None, options: dict[str, Any]) -> tuple[Workers, _Request]:
    """Tell who is to do what. What is of Workers was until 0.2 given beside the rest, which warns now."""
    former = {name: options.pop(name) for name in _FORMER if name in options}
    request = _Request(**options)
    if not former:
        return workers if isinstance(workers, Workers) else Workers(workers), request
    shown = ", ".join(f"{'runner' if name == 'engine' else name}=..." for name in former)
    warnings.warn(
        f"give workers=Workers({shown}) instead of {', '.join(former)}; the old way goes with 0.3",
        DeprecationWarning,
        stacklevel=3,
    )
    if isinstance(workers, Workers):
        raise ConfigError(f"{next(iter(former))} is of Workers; give it there")
    former_runner, runner = former.pop("engine", None), former.pop("runner", "local")
    if former_runner is not None and runner not in ("local", former_runner):
        raise ConfigError(f"engine {former_runner!r} is the former name of runner {runner!r}; give one")
    return Workers(workers, former_runner or runner, **former), request


_FORMER = ("engine", *(field.name for field in fields(Workers) if field.name != "count"))


def _run(
    reports: Generator[ShardReport], plan: Plan, part: range, todo: Sequence[int], on_progress: OnProgress | None
) -> None:
    """Take in the reports of the shards in `todo` and tell of them together."""
    newest: dict[int, ShardReport] = {}
    planned = sum(plan.size_of(shard) for shard in todo)
    with contextlib.closing(reports):
        for report in reports:
            newest[report.shard] = report
            if on_progress is None:
                continue
            finished = sum(latest.is_finished for latest in newest.values())
            on_progress(
                Progress(
                    shards=len(part) - len(todo) + finished,
                    all_shards=len(part),
                    planned=planned,
                    utterances=sum(latest.utterances for latest in newest.values()),
                    seconds=sum(latest.seconds for latest in newest.values()),
                    failures=sum(latest.failures for latest in newest.values()),
                )
            )


def _reports(plan: Plan, todo: Sequence[int], model: str, workers: Workers) -> Generator[ShardReport]:
    if workers.runner == "ray":
        from vqcodec.tokens.work.ray import run_on_ray

        return run_on_ray(plan.folder, todo, model, workers)
    from vqcodec.tokens.work.processes import run_local

    return run_local(plan.folder, todo, model, workers)


# The output folder


@contextlib.contextmanager
def at_work(folder: Path, *, alone: bool) -> Iterator[None]:
    """Make `folder`, unless it exists, and hold it: `alone`, or with others that are not.

    A new folder in which nothing came about is removed. Raises OutputError for a folder of something else, or that
    another run holds.
    """
    check_length(folder / "plan.json", OutputError)
    if not (folder / "plan.json").exists() and folder.exists() and (not folder.is_dir() or any(_stray(folder))):
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


def _existing_plan(folder: Path, settings: Settings, source: str, request: _Request) -> Plan | None:
    """The plan in `folder`; None where there is none yet.

    Raises OutputError where the request does not go on, TokensError for a plan of another source or other settings.
    """
    if not (folder / "plan.json").exists():
        return None
    if not request.goes_on:
        raise OutputError(f"{folder}: holds tokens already; --resume goes on with them, or give another folder")
    plan = open_plan(folder)
    planned = {**vars(plan.settings), "shard_size": plan.shard_size}
    asked = {**vars(settings), "shard_size": request.shard_size or plan.shard_size}
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


def _stray(folder: Path) -> Iterator[Path]:
    """What is not of a plan that was interrupted while it was made."""
    for path in folder.iterdir():
        is_ours = path.name in ("shards", "index") and not any(path.iterdir())
        if not is_ours and not path.name.startswith((".plan.", "plan.jsonl", LOCK)):
            yield path
