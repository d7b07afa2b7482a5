"""What --live means for encode and decode: the options of both, and streams that signals end."""

import contextlib
import math
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

import click

from vqcodec.bitstream.reader import OnDamage
from vqcodec.cli.common import source_of, target_of
from vqcodec.models.engine import Engine
from vqcodec.models.zoo import EngineName
from vqcodec.pipes import Stop

_GRACE_SECONDS = 1.0
"""Ctrl-C reaches every command of a pipeline: a decoder waits so long for the end that the encoder still writes."""

Command = Callable[..., Any]


@dataclass(frozen=True)
class LiveEncoding:
    """The options of `encode --live`. `raw_rate_hz`: None where the input is WAV. Raises UsageError without --live."""

    live: bool
    chunk_ms: int | None
    raw_rate_hz: int | None
    raw_channels: int | None
    quiet: bool

    def __post_init__(self) -> None:
        given = {"--chunk-ms": self.chunk_ms, "--raw-rate": self.raw_rate_hz, "--quiet": self.quiet}
        _check_live(self.live, given)
        if self.raw_channels is not None and self.raw_rate_hz is None:
            raise click.UsageError("--raw-channels goes with --raw-rate")

    def encode(
        self,
        source: str,
        target: str,
        *,
        model: Engine,
        kbps: float | None,
        num_codebooks: int | None,
        tags: Mapping[str, str],
        force: bool,
    ) -> None:
        """Encode until the input or a signal ends the stream."""
        from vqcodec.audio.wavstream import SampleFormat
        from vqcodec.files.live import DEFAULT_CHUNK_MS, encode_live

        raw = None if self.raw_rate_hz is None else SampleFormat(self.raw_rate_hz, self.raw_channels or 1)
        with _stop_at_signals() as stop:
            summary = encode_live(
                source_of(source),
                target_of(target),
                model=model,
                kbps=kbps,
                num_codebooks=num_codebooks,
                raw=raw,
                chunk_ms=self.chunk_ms or DEFAULT_CHUNK_MS,
                tags=tags,
                force=force,
                stop=stop,
                on_ready=_teller("ready", quiet=self.quiet),
            )
        rate = "" if math.isnan(summary.kbps) else f", {summary.kbps:.2f} kbps"
        line = f"{target}: {summary.duration_seconds:.2f} s, {summary.file_bytes} bytes{rate}"
        _teller(line, quiet=self.quiet)()


@dataclass(frozen=True)
class LiveDecoding:
    """The options of `decode --live`. Raises UsageError for them without --live."""

    live: bool
    raw: bool
    quiet: bool

    def __post_init__(self) -> None:
        _check_live(self.live, {"--raw": self.raw, "--quiet": self.quiet})

    def decode(
        self,
        source: str,
        target: str,
        *,
        model: str | None,
        num_codebooks: int | None,
        rate_hz: int | None,
        engine: EngineName,
        device: str,
        force: bool,
        on_damage: OnDamage | None,
    ) -> None:
        """Decode until the input ends, or soon after a signal."""
        from vqcodec.files.live import decode_live

        with _stop_at_signals(grace_seconds=_GRACE_SECONDS) as stop:
            summary = decode_live(
                source_of(source),
                target_of(target),
                model=model,
                num_codebooks=num_codebooks,
                rate_hz=rate_hz,
                raw=self.raw,
                engine=engine,
                device=device,
                force=force,
                stop=stop,
                on_ready=_teller("ready", quiet=self.quiet),
                on_damage=on_damage,
            )
        _teller(f"{target}: {summary.duration_seconds:.2f} s", quiet=self.quiet)()


def live_encode_options(command: Command) -> Command:
    """The options whose values make a LiveEncoding."""
    for option in (
        _QUIET,
        click.option("--raw-channels", type=_POSITIVE, help="Channels of --raw-rate, interleaved; default 1."),
        click.option("--raw-rate", type=_POSITIVE, help="Live input is 16-bit little-endian samples at so many Hz."),
        click.option("--chunk-ms", type=_POSITIVE, help="Milliseconds per chunk of a live stream; default 80."),
        _LIVE,
    ):
        command = option(command)
    return command


def live_decode_options(command: Command) -> Command:
    """The options whose values make a LiveDecoding."""
    raw = click.option("--raw", is_flag=True, help="Live output is 16-bit little-endian samples without a header.")
    return _LIVE(raw(_QUIET(command)))


_POSITIVE = click.IntRange(min=1)
_LIVE = click.option("--live", is_flag=True, help="A stream: every chunk leaves as soon as it is complete.")
_QUIET = click.option("--quiet", is_flag=True, help="A live stream says neither when it is ready nor how it ended.")


def _check_live(live: bool, options: Mapping[str, object]) -> None:
    """Raise UsageError if one of the options of live streams, by name, has a value without --live."""
    given = [name for name, value in options.items() if value]
    if given and not live:
        raise click.UsageError(f"{given[0]} goes with --live")


def _teller(line: str, *, quiet: bool) -> Callable[[], None]:
    """What prints `line` on stderr, or nothing."""
    return lambda: None if quiet else click.echo(line, err=True)


@contextlib.contextmanager
def _stop_at_signals(*, grace_seconds: float = 0.0) -> Iterator[Stop]:
    """Yield what SIGINT and SIGTERM set; a second one does what it does elsewhere."""
    stop = Stop(grace_seconds=grace_seconds)

    def handle(number: int, frame: FrameType | None) -> None:
        restore()
        stop.set()

    heeded = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, handle) for number in heeded}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    try:
        yield stop
    finally:
        restore()
        stop.close()
