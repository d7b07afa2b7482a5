"""vqcodec import: files of codes of other tools -> .vqc."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from vqcodec.cli.common import MODEL_HELP, echo, engine_option, force_option, limit_threads, source_of, target_of
from vqcodec.frames import clock
from vqcodec.models.zoo import EngineName

if TYPE_CHECKING:
    from vqcodec.files.foreign.importing import FormatName


@click.group(name="import")
def import_codes() -> None:
    """Turn another tool's file of codes into a .vqc. The codes stay what they are; nothing is decoded.

    The model is the one that made them; its fingerprint goes into the file. Nothing in the input is executed.

    \b
    vqcodec import ecdc speech.ecdc speech.vqc --model hf:facebook/encodec_24khz
    vqcodec import npy codes.npy speech.vqc --model speech-16k
    """


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments and options that all formats have."""
    decorators = (
        click.argument("source", metavar="FILE"),
        click.argument("target", metavar="OUTPUT"),
        click.option("--model", required=True, help=f"What made the codes. {MODEL_HELP}"),
        engine_option,
        force_option,
    )
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


@import_codes.command()
@_shared
def ecdc(source: str, target: str, model: str, engine: EngineName | None, force: bool) -> None:
    """Import EnCodec's own file, .ecdc, of encodec_24khz.

    Not those of --lm, nor of encodec_48khz: decode them with encodec and encode the audio again.

    \b
    vqcodec import ecdc speech.ecdc speech.vqc --model hf:facebook/encodec_24khz
    """
    _run("ecdc", source, target, model=model, engine=engine, force=force)


@import_codes.command()
@_shared
def dac(source: str, target: str, model: str, engine: EngineName | None, force: bool) -> None:
    """Import a file of descript-audio-codec, .dac, that was compressed in one piece (win_duration over its length).

    DAC normalizes its input to a loudness of -16 dB and sets it back when it decodes. A .vqc of its codes decodes to
    -16 dB; the tag input_db tells the loudness that the input had.

    \b
    vqcodec import dac speech.dac speech.vqc --model hf:descript/dac_44khz
    """
    _run("dac", source, target, model=model, engine=engine, force=force)


@import_codes.command()
@_shared
@click.option("--samples", type=click.IntRange(min=0), help="Length per channel; default: all that the frames cover.")
@click.option("--rate", "rate_hz", type=click.IntRange(min=1), help="Rate in Hz that decoding gives back.")
def npy(
    source: str,
    target: str,
    model: str,
    engine: EngineName | None,
    force: bool,
    samples: int | None,
    rate_hz: int | None,
) -> None:
    """Import integers in a .npy: [codebooks, frames], or [channels, codebooks, frames].

    Two dimensions are one channel. With three the first one counts channels: a batch of one clip, [1, K, F], is one
    channel, and a batch of several clips is not told from channels, so save each by itself. --samples counts at --rate,
    by default the model's.

    \b
    vqcodec import npy codes.npy speech.vqc --model speech-16k --samples 81920
    """
    _run("npy", source, target, model=model, engine=engine, force=force, samples=samples, rate_hz=rate_hz)


def _run(
    format: "FormatName",
    source: str,
    target: str,
    *,
    model: str,
    engine: EngineName | None,
    force: bool,
    samples: int | None = None,
    rate_hz: int | None = None,
) -> None:
    limit_threads()
    from vqcodec.files.foreign.importing import import_codes as import_file

    summary = import_file(
        source_of(source),
        target_of(target),
        format=format,
        model=model,
        samples=samples,
        rate_hz=rate_hz,
        engine=engine,
        force=force,
    )
    echo(f"{target}: {clock(summary.duration_seconds)}, {summary.file_bytes} bytes", err=True)
