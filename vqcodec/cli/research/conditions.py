"""The options of `vqcodec evaluate` that say what happens to clips: its conditions."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import click
from typing_extensions import override

if TYPE_CHECKING:
    from vqcodec.evaluation.conditions import Condition


@dataclass(frozen=True)
class AskedConditions:
    """What the options have; the fields have their names."""

    generations: list[int]
    shift_ms: float
    level: float
    noise: str | None
    snr: float | None
    noise_seed: int
    loss: str | None
    loss_seed: int

    def each(self) -> "list[Condition]":
        """Return the conditions: one for each number of generations. Raises ConfigError for values that cannot be."""
        from vqcodec.evaluation.conditions import Condition

        if (self.noise is None) != (self.snr is None) or (self.noise is None and self.noise_seed):
            raise click.UsageError("--noise FOLDER and --snr DB go together, and --noise-seed with them; give both")
        if self.loss is None and self.loss_seed:
            raise click.UsageError("--loss-seed is of --loss; give both")
        more = self.noise, self.snr, self.noise_seed, self.loss, self.loss_seed
        return [Condition(count, self.shift_ms, self.level, *more) for count in self.generations]


class _Counts(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click only
    """Counts with commas between."""

    name = "N,N,..."

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """Return a list of at least one."""
        if isinstance(value, list):
            return value
        texts = [text.strip() for text in str(value).split(",") if text.strip()]
        if not texts or not all(text.isascii() and text.isdigit() and len(text) < 10 for text in texts):
            self.fail(f"{value!r} is no count; give one or more, such as 1,2,5", param, ctx)
        return [int(text) for text in texts]


_OPTIONS = (
    click.option(
        "--generations", type=_Counts(), default="1", show_default=True, help="Codings in a row; the last is scored."
    ),
    click.option(
        "--shift-ms", type=float, default=0.0, show_default=True, help="Silence put in front before each coding, in ms."
    ),
    click.option("--level", type=float, default=0.0, show_default=True, help="Gain of clips and noise in dB."),
    click.option("--noise", metavar="FOLDER", help="Recordings of noise, one of which is under each clip; with --snr."),
    click.option("--snr", type=float, metavar="DB", help="By how many dB the power of noise is below the clip's."),
    click.option("--noise-seed", type=int, default=0, show_default=True, help="Of the draw of what is heard of it."),
    click.option(
        "--loss", metavar="KIND:PERCENT", help="Packets lost: random:10, or burst:20, 3 in a row in the mean."
    ),
    click.option("--loss-seed", type=int, default=0, show_default=True, help="Of the draw of which are lost."),
)


def condition_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command` the options of conditions, and hand them on as one argument, `conditions`: AskedConditions."""

    @functools.wraps(command)
    def with_conditions(**values: Any) -> None:
        asked = {field.name: values.pop(field.name) for field in fields(AskedConditions)}
        command(**values, conditions=AskedConditions(**asked))

    wrapped: Callable[..., None] = with_conditions
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
