"""Worker: holds a model and turns shards of a plan into files, on this machine or another; the unit of all runners."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from vqcodec.errors import AudioError, ConfigError, TokensError
from vqcodec.models import zoo
from vqcodec.tokens.batches import Failure, Outcome, tokenize
from vqcodec.tokens.formats.shard_format import ShardWriter
from vqcodec.tokens.formats.shards import write_shard
from vqcodec.tokens.index import is_intact, write_index
from vqcodec.tokens.plan import open_plan
from vqcodec.tokens.utterances import Utterance
from vqcodec.tokens.work.messages import ShardReport, Workers

OnReport = Callable[[ShardReport], None]


class Worker:
    """A model, loaded on the device of `workers`, and the plan in `folder`.

    Raises ModelError, and TokensError for weights that are not those of the plan.
    """

    def __init__(self, folder: Path, model: str, workers: Workers) -> None:
        self._plan = open_plan(folder)
        self._workers = workers
        self._codec = zoo.load_engine(model, device=workers.device, effort=self._plan.settings.effort)
        fingerprint, planned = (self._codec.fingerprint or b"").hex(), self._plan.settings.fingerprint
        if fingerprint != planned:
            raise TokensError(
                f"{folder}: planned for {self._plan.settings.model} (fingerprint {planned[:8]}), not for "
                f"{model} ({fingerprint[:8]}); give the weights of the plan"
            )

    def run(
        self, shard: int, *, on_report: OnReport | None = None, why_not: Callable[[int], str | None] | None = None
    ) -> ShardReport:
        """Write a shard and then its index, unless it is finished.

        `on_report` hears of every utterance and of the end. `why_not` is asked before each utterance, by its position,
        what speaks against reading it, and each is then read by itself: for a shard that has killed a worker. Raises
        AudioError for the first failure with `stop_on_error`, OutputError where the shard cannot be written, and
        ConfigError for commands without `run_commands`.
        """
        plan, report, lines = self._plan, ShardReport(shard, is_finished=True), list[dict[str, Any]]()
        if not is_intact(plan, shard):
            utterances = self._allowed(plan.shard(shard))
            outcomes = self._outcomes(utterances) if why_not is None else self._singly(utterances, why_not)
            report = ShardReport(shard)
            with write_shard(plan.folder, shard, plan.settings, plan.columns, self._codec.entropy) as writer:
                for outcome in outcomes:
                    lines.append(self._line(outcome, writer))
                    report = _counted(report, lines[-1])
                    if on_report is not None:
                        on_report(report)
            write_index(plan.folder, shard, plan.settings.format, lines)
            report = replace(report, is_finished=True)
        if on_report is not None:
            on_report(report)
        return report

    def _allowed(self, utterances: list[Utterance]) -> list[Utterance]:
        """Return `utterances`. Raises ConfigError for commands: a plan may have been made by somebody else."""
        if not self._workers.run_commands:
            for utterance in utterances:
                if utterance.command is not None:
                    plan = self._plan.folder / "plan.jsonl"
                    raise ConfigError(
                        f"{plan}: {utterance.id} is a command ({utterance.command:.80}); --run-commands runs it"
                    )
        return utterances

    def _line(self, outcome: Outcome, writer: ShardWriter) -> dict[str, Any]:
        """What the index says of an outcome, which is written."""
        if isinstance(outcome, Failure):
            if self._workers.stop_on_error:
                raise AudioError(f"{outcome.utterance.id}: {outcome.error}")
            return {"id": outcome.utterance.id, "source": outcome.utterance.source, "error": outcome.error}
        return {
            "id": outcome.id,
            "num_frames": outcome.num_frames,
            "samples": outcome.samples,
            "seconds": round(outcome.samples / outcome.original_rate_hz, 6),
            **writer.add(outcome),
        }

    def _outcomes(self, utterances: list[Utterance]) -> Iterator[Outcome]:
        count, seconds = self._plan.settings.num_codebooks, self._workers.batch_seconds
        truncated = self._workers.on_truncated
        return tokenize(utterances, self._codec, count, batch_seconds=seconds, on_truncated=truncated)

    def _singly(self, utterances: list[Utterance], why_not: Callable[[int], str | None]) -> Iterator[Outcome]:
        for position, utterance in enumerate(utterances):
            death = why_not(position)
            if death is None:
                yield from self._outcomes([utterance])
            else:
                yield Failure(utterance, f"the process that read it {death}")


def _counted(report: ShardReport, line: dict[str, Any]) -> ShardReport:
    if "error" in line:
        return replace(report, failures=report.failures + 1)
    return replace(report, utterances=report.utterances + 1, seconds=report.seconds + line["seconds"])
