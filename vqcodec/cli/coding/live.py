"""What --live means for encode and decode: the options of both, and streams that signals end."""

import contextlib
import math
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, TypedDict

import click

from vqcodec.bitstream.reader import OnDamage
from vqcodec.cli.common import echo, source_of, target_of
from vqcodec.frames import clock
from vqcodec.system.pipes import Stop

if TYPE_CHECKING:
    from typing import Unpack

    from vqcodec.files.request import DecodeOptions, EncodeOptions

_GRACE_SECONDS = 1.0
"""Ctrl-C reaches every command of a pipeline: a decoder waits so long for the end that the encoder still writes."""

Command = Callable[..., Any]


class LiveEncodeOptions(TypedDict):
    """Values of the options that `live_encode_options` adds. raw_rate: None where the input is WAV."""

    live: bool
    chunk_ms: int | None
    dtx: bool
    raw_rate: int | None
    raw_channels: int | None
    quiet: bool


class LiveDecodeOptions(TypedDict):
    """Values of the options that `live_decode_options` adds."""

    live: bool
    raw: bool
    quiet: bool


def check_live(options: LiveEncodeOptions | LiveDecodeOptions) -> None:
    """Raise UsageError for options of live streams without --live, and channels of raw samples that are none."""
    for name, value in options.items():
        if value and not options["live"] and name != "raw_channels":
            raise click.UsageError(f"--{name.replace('_', '-')} goes with --live")
    if options.get("raw_channels") is not None and options.get("raw_rate") is None:
        raise click.UsageError("--raw-channels goes with --raw-rate")


def encode_stream(source: str, target: str, live: LiveEncodeOptions, **options: "Unpack[EncodeOptions]") -> None:
    """Encode until the input or a signal ends the stream."""
    from vqcodec.audio.wavstream import SampleFormat
    from vqcodec.files.live import DEFAULT_CHUNK_MS, encode_live

    with stop_at_signals() as stop:
        summary = encode_live(
            source_of(source),
            target_of(target),
            raw=None if live["raw_rate"] is None else SampleFormat(live["raw_rate"], live["raw_channels"] or 1),
            chunk_ms=live["chunk_ms"] or DEFAULT_CHUNK_MS,
            dtx=live["dtx"],
            stop=stop,
            on_ready=_teller("ready", quiet=live["quiet"]),
            on_remark=lambda kind, text: _teller(text, quiet=live["quiet"])(),
            **options,
        )
    rate = "" if math.isnan(summary.kbps) else f", {summary.kbps:.2f} kbps"
    line = f"{target}: {clock(summary.duration_seconds)}, {summary.file_bytes} bytes{rate}"
    _teller(line, quiet=live["quiet"])()


def decode_stream(
    source: str,
    target: str,
    live: LiveDecodeOptions,
    *,
    on_damage: OnDamage | None,
    **options: "Unpack[DecodeOptions]",
) -> None:
    """Decode until the input ends, or soon after a signal."""
    from vqcodec.files.live import decode_live

    with stop_at_signals(grace_seconds=_GRACE_SECONDS) as stop:
        summary = decode_live(
            source_of(source),
            target_of(target),
            raw=live["raw"],
            stop=stop,
            on_ready=_teller("ready", quiet=live["quiet"]),
            on_damage=on_damage,
            **options,
        )
    _teller(f"{target}: {clock(summary.duration_seconds)}", quiet=live["quiet"])()


def live_encode_options(command: Command) -> Command:
    """Add the options of LiveEncodeOptions to a command."""
    for option in (
        _QUIET,
        click.option("--raw-channels", type=_POSITIVE, help="Channels of --raw-rate, interleaved; default 1."),
        click.option("--raw-rate", type=_POSITIVE, help="Live input is 16-bit little-endian samples at so many Hz."),
        click.option(
            "--dtx", is_flag=True, help="Live pauses, when nobody speaks, are noise like the room's: 0.3 kbps."
        ),
        click.option("--chunk-ms", type=_POSITIVE, help="Milliseconds per chunk of a live stream; default 80."),
        _LIVE,
    ):
        command = option(command)
    return command


def live_decode_options(command: Command) -> Command:
    """Add the options of LiveDecodeOptions to a command."""
    raw = click.option("--raw", is_flag=True, help="Live output is 16-bit little-endian samples without a header.")
    return _LIVE(raw(_QUIET(command)))


_POSITIVE = click.IntRange(min=1)
_LIVE = click.option("--live", is_flag=True, help="A stream: every chunk leaves as soon as it is complete.")
_QUIET = click.option("--quiet", is_flag=True, help="A live stream says neither when it is ready nor how it ended.")


def _teller(line: str, *, quiet: bool) -> Callable[[], None]:
    """What prints `line` on stderr, or nothing."""
    return lambda: None if quiet else echo(line, err=True)


@contextlib.contextmanager
def stop_at_signals(*, grace_seconds: float = 0.0) -> Iterator[Stop]:
    """Yield what SIGINT and SIGTERM set; a second one does what it does elsewhere."""
    stop = Stop(grace_seconds=grace_seconds)

    def handle(signal_number: int, frame: FrameType | None) -> None:
        restore()
        stop.set()

    heeded = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) not in (signal.SIG_IGN, None)]
    before = {signal_number: signal.signal(signal_number, handle) for signal_number in heeded}

    def restore() -> None:
        for signal_number, handler in before.items():
            signal.signal(signal_number, handler)

    try:
        yield stop
    finally:
        restore()
        stop.close()
