"""Who tokenizes: the options of the command, and the Workers that they make."""

from collections.abc import Callable
from typing import Any, TypedDict

import click

from vqcodec.audio import OnTruncated
from vqcodec.cli.common import device_option, echo, on_truncated_option
from vqcodec.tokens.work.messages import RUNNERS, Runner, Workers

Command = Callable[..., Any]
_ON_ERROR = ("report", "skip", "stop")


class WorkerOptions(TypedDict):
    """Values of the options that `worker_options` adds. engine: the former name of runner."""

    workers: int | None
    batch_seconds: float
    runner: Runner | None
    engine: Runner | None
    ray_address: str | None
    on_error: str
    on_truncated: OnTruncated
    run_commands: bool
    device: str


def worker_options(command: Command) -> Command:
    """Add the options of WorkerOptions to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def workers_of(options: WorkerOptions) -> Workers:
    """Make the Workers that are asked for; warns of the former name of --runner. Raises UsageError."""
    runner, former = options["runner"], options["engine"]
    if former is not None:
        echo("Warning: --engine is called --runner now; the old spelling goes with 0.3", err=True)
        if runner not in (None, former):
            raise click.UsageError(f"--engine {former} is the former name of --runner {runner}; give one")
    runner = former or runner or "local"
    if options["ray_address"] is not None and runner != "ray":
        raise click.UsageError("--ray-address is for --runner ray")
    return Workers(
        count=options["workers"],
        runner=runner,
        ray_address=options["ray_address"],
        device=options["device"],
        batch_seconds=options["batch_seconds"],
        stop_on_error=options["on_error"] == "stop",
        on_truncated=options["on_truncated"],
        run_commands=options["run_commands"],
    )


_OPTIONS = (
    click.option("--workers", type=click.IntRange(min=1), help="Processes. [default: one per core; a GPU: 1]"),
    click.option(
        "--batch-seconds",
        type=click.FloatRange(min=0, min_open=True),
        default=30.0,
        show_default=True,
        help="Audio computed at once, per worker.",
    ),
    click.option("--runner", type=click.Choice(RUNNERS), help="Who works. [default: local]"),
    click.option("--engine", type=click.Choice(RUNNERS), hidden=True, help="Former name of --runner."),
    click.option("--ray-address", help="A running Ray cluster to join. [default: start one here]"),
    click.option(
        "--on-error",
        type=click.Choice(_ON_ERROR),
        default="report",
        show_default=True,
        help="Bad audio: go on and end with exit code 1, with 0, or stop at once.",
    ),
    on_truncated_option,
    click.option("--run-commands", is_flag=True, help="Run the commands of a wav.scp."),
    device_option,
)
