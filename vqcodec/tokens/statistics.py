"""What is in a token dataset: sums, and how much of each codebook is used."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vqcodec.frames import bits_per_code
from vqcodec.models.codebook_usage import CodebookUsage
from vqcodec.tokens.formats.shards import read_rows
from vqcodec.tokens.index import Totals, is_finished, shard_path, totals_of
from vqcodec.tokens.plan import Plan, Settings, open_plan
from vqcodec.tokens.reader import entropy_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BLOCK_ROWS = 64


@dataclass(frozen=True, eq=False)
class Statistics:
    """Sums over the shards that are finished."""

    settings: Settings
    shards: int
    all_shards: int
    totals: Totals
    disk_bytes: int
    usage: CodebookUsage

    @property
    def nominal_kbps(self) -> float:
        """The rate of codes in fixed width."""
        settings = self.settings
        bits = settings.num_codebooks * bits_per_code(settings.codebook_size)
        return bits * settings.sample_rate_hz / settings.hop_length / 1000

    @property
    def bits_per_token(self) -> float | None:
        """Bits of the shards on disk per token; None without tokens."""
        return 8 * self.disk_bytes / self.totals.tokens if self.totals.tokens else None


def measure(folder: str | Path, *, model: str | Path | None = None) -> Statistics:
    """Read every finished shard of an output of vqcodec tokenize; memory does not grow with it.

    `model` as in `open`. Raises TokensError for damage, ModelError.
    """
    plan = open_plan(Path(folder).absolute())
    finished = [shard for shard in range(plan.num_shards) if is_finished(plan, shard)]
    return Statistics(
        settings=plan.settings,
        shards=len(finished),
        all_shards=plan.num_shards,
        totals=totals_of(plan, finished),
        disk_bytes=sum(_bytes_of(shard_path(plan.folder, shard, plan.settings.format)) for shard in finished),
        usage=_usage(plan, finished, model),
    )


def _usage(plan: Plan, shards: list[int], model: str | Path | None) -> CodebookUsage:
    settings = plan.settings
    entropy = entropy_of(settings, model)
    usage = CodebookUsage(settings.num_codebooks, settings.codebook_size)
    waiting: list[NDArray[np.uint16]] = []
    for shard in shards:
        for row in read_rows(plan, shard, entropy):
            waiting.append(row.codes)
            if len(waiting) == _BLOCK_ROWS:
                usage.add(np.concatenate(waiting, axis=1))
                waiting.clear()
    if waiting:
        usage.add(np.concatenate(waiting, axis=1))
    return usage


def _bytes_of(path: Path) -> int:
    """Count the bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def usage_figure(statistics: Statistics) -> "Figure":
    """Draw how often the codes of each codebook occur, the most frequent first, and the entropy of each codebook.

    A curve ends where the codes that never occur begin; an even one is flat at 1.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    settings, counts = statistics.settings, np.sort(statistics.usage.counts, axis=1)[:, ::-1]
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    curves, bars = figure.subplots(1, 2, width_ratios=(3, 2))
    colors = colormaps["viridis"](np.linspace(0, 0.9, settings.num_codebooks))
    times_even = counts / np.maximum(counts.mean(axis=1, keepdims=True), 1e-9)
    ranks = np.arange(1, settings.codebook_size + 1)
    for codebook, (row, color) in enumerate(zip(times_even, colors, strict=True)):
        curves.plot(ranks, np.where(row > 0, row, np.nan), color=color, label=str(codebook))
    curves.axhline(1, color="black", linestyle="--", linewidth=1)
    curves.set(yscale="log", xlim=(0, settings.codebook_size), title="Use of codes, the most frequent first")
    curves.set(xlabel="rank of the code", ylabel="times as often as if all were")
    curves.legend(title="codebook", ncols=2, fontsize="small")
    bars.bar(np.arange(settings.num_codebooks), statistics.usage.entropy_bits, color=colors)
    bars.axhline(np.log2(settings.codebook_size), color="black", linestyle="--", linewidth=1)
    bars.set(xlabel="codebook", ylabel="bits", title="Entropy, and at most (dashed)")
    bars.set_xticks(np.arange(settings.num_codebooks))
    return figure
