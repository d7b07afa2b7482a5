"""Sound that libsndfile does not read (.m4a, .mp4, .webm, .aac ...), decoded by PyAV, where that is installed.

It goes through a temporary file of floats, which then is read as any other.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import soundfile

from vqcodec.audio import OnTruncated
from vqcodec.audio.libsndfile import HeldSoundFile
from vqcodec.errors import AudioError, how_to_install
from vqcodec.frames import clock
from vqcodec.output import output_errors

_SLACK_SECONDS = 0.25
"""How much less than its container says a whole stream may hold: clocks of containers are coarse."""
_MAGICS = (b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75", b"\x0b\x77", b"\xff\xf1", b"\xff\xf9", b"#!AMR")
"""How they begin: Matroska and WebM, ASF (.wma), AC-3, ADTS (.aac) of two versions, AMR. MP4 says so behind 4 bytes."""


def is_container(head: bytes) -> bool:
    """Tell whether a file that begins so may hold sound that libsndfile does not read."""
    return head.startswith(_MAGICS) or head[4:8] == b"ftyp"


@contextlib.contextmanager
def decoded(file: BinaryIO, name: str, on_truncated: OnTruncated) -> Iterator[BinaryIO]:
    """Yield the sound of `file` as a WAV (RF64) of floats at its own rate.

    Raises AudioError for what cannot be decoded, holds no sound or several streams of it, or is cut, and where PyAV is
    missing.
    """
    try:
        import av
    except ImportError:
        raise AudioError(
            f"{name}: sound that libsndfile does not read; convert it to FLAC, or {how_to_install('av')}"
        ) from None
    with tempfile.TemporaryFile() as copy:
        file.seek(0)
        try:
            with av.open(file, metadata_errors="replace") as container, output_errors("temporary file"):
                _decode(container, copy, name, on_truncated)
        except (av.FFmpegError, soundfile.LibsndfileError) as error:
            why = getattr(error, "strerror", error)
            raise AudioError(f"{name}: no sound that PyAV decodes ({why}); is it cut?") from None
        copy.seek(0)
        yield copy


def _decode(container: Any, copy: BinaryIO, name: str, on_truncated: OnTruncated) -> None:
    import av

    streams = container.streams.audio
    if len(streams) != 1:
        remedy = "extract the one that is meant" if streams else "give a file with sound"
        raise AudioError(f"{name}: has {len(streams)} streams of sound; {remedy}")
    stream = streams[0]
    if stream.codec_context is None or not stream.codec_context.sample_rate:
        raise AudioError(f"{name}: has sound of a kind that PyAV does not know; convert it to FLAC")
    rate_hz, channels, samples = stream.rate, stream.channels, 0
    resampler = av.AudioResampler(format="flt", layout=stream.layout, rate=rate_hz)
    with HeldSoundFile(copy, "w", rate_hz, channels, subtype="FLOAT", format="RF64") as target:
        for tag, text in {**container.metadata, **stream.metadata}.items():
            if tag.lower() in ("title", "artist", "album", "date", "genre", "comment", "copyright"):
                setattr(target, tag.lower(), text)
        try:
            for frame in container.decode(stream):
                for part in resampler.resample(frame):
                    target.write(part.to_ndarray().reshape(-1, channels))
                    samples += part.samples
        except (av.FFmpegError, ValueError) as error:
            if on_truncated == "refuse":
                why = getattr(error, "strerror", error)
                raise AudioError(
                    f"{name}: unreadable after {clock(samples / rate_hz)} ({why}); it is damaged"
                ) from None
    seconds = _seconds(container, stream)
    if on_truncated == "refuse" and samples / rate_hz < seconds - _SLACK_SECONDS:
        raise AudioError(f"{name}: is cut: {clock(samples / rate_hz)} of {clock(seconds)} are there; fetch it anew")


def _seconds(container: Any, stream: Any) -> float:
    """The length that the stream, or else the whole container, says it has; 0 if neither does."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    is_alone = len(container.streams) == 1
    return container.duration / 1e6 if is_alone and container.duration is not None else 0.0
