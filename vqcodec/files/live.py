"""Live streams: sound that is coded and decoded while it comes, chunk by chunk, from pipe to pipe.

`convert` does whole files, which appear complete or not at all; here every chunk leaves as soon as it is full, and
what was written before an error stays. The samples and the codes are the same.
"""

import contextlib
import functools
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, Unpack, cast

import numpy as np
from typing_extensions import override

from vqcodec.audio.downmix import to_mono
from vqcodec.audio.wavstream import SampleFormat, SampleStream, SampleWriter
from vqcodec.bitstream import Header, VqcReader
from vqcodec.bitstream.open_vqc import content_errors
from vqcodec.bitstream.reader import OnDamage
from vqcodec.bitstream.writer import max_frames_per_chunk
from vqcodec.errors import AudioError, ConfigError, OutputError
from vqcodec.files.convert import OnRemark, Summary
from vqcodec.files.glance import SEVERAL_CHANNELS, of_channels
from vqcodec.files.request import (
    DecodeOptions,
    DecodeRequest,
    EncodeOptions,
    EncodeRequest,
    Source,
    check_target,
    codec_of,
    new_header,
    repeated,
    usable_tags,
)
from vqcodec.files.transcode import block_frames, decode_stream, encode_blocks, encode_pausing
from vqcodec.frames import ceil_div
from vqcodec.models import zoo
from vqcodec.output import Target, output_errors
from vqcodec.sessions.stream import streaming
from vqcodec.system.pipes import (
    BlockedError,
    Stop,
    StoppableFile,
    is_at_hand,
    open_unless_stopped,
    write_unless_stopped,
)

DEFAULT_CHUNK_MS = 80
"""Four frames at 50 Hz: the shortest chunk whose 10-bit codes end on whole bytes."""
LEAST_VBR_MS = 400
"""In shorter chunks what layers and depths take beside the codes is more than frames of few codes save (measured)."""
OnReady = Callable[[], None]
"""Called when the model is loaded and warm, before the first byte is read."""


def encode_live(
    source: Source,
    target: Target,
    *,
    raw: SampleFormat | None = None,
    chunk_ms: int = DEFAULT_CHUNK_MS,
    dtx: bool = False,
    stop: Stop | None = None,
    on_ready: OnReady | None = None,
    on_remark: OnRemark | None = None,
    **options: Unpack[EncodeOptions],
) -> Summary:
    """Encode a stream of samples to a .vqc of unknown length; each chunk of at most `chunk_ms` leaves when it is full.

    `source` is a path or a binary file object that gives WAV (integers of 8 to 32 bits, floats) or, with `raw`,
    bare samples. With `dtx` pauses, in which nobody speaks, are chunks of noise like the room's, which take 0.2 to 0.4
    kbps and leave when speech begins, or after 0.8 s. `vbr` asks for chunks of `LEAST_VBR_MS` or more. The stream ends
    with its source, with the data that a WAV header announces, or when `stop` is set, and then is a complete file.
    `on_remark` hears of channels that each cost the rate. `options` as in `EncodeOptions`. Raises AudioError,
    OutputError, ModelError and ConfigError; what was written before stays. So does the complete file of a WAV that ends
    before its header says, or goes on with another one, which is an AudioError at the end unless `on_truncated` is
    "take".
    """
    request = EncodeRequest(**options)
    _check_varied(request, chunk_ms, dtx=dtx)
    check_target(source, target, force=request.force, is_coded=True)
    kept = usable_tags(request.tags or {})
    codec = streaming(request.codec())
    if dtx and not codec.has_depths:
        raise ConfigError(f"{codec.model_name} has as many codebooks in all frames; leave dtx out")
    count = request.codebooks_of(codec)
    codec.encode_block(np.zeros((1, codec.hop_length), np.float32), count)
    _tell_ready(on_ready)
    with _opened_source(source, stop) as file:
        stream = SampleStream(file, name=_name(source), raw=raw)
        rate_hz, channels = stream.format.rate_hz, stream.format.channels if request.mono is None else 1
        count = request.codebooks_of(codec, channels)
        if channels > 1 and on_remark is not None:
            on_remark(SEVERAL_CHANNELS, of_channels(_name(source), request, codec, channels))
        header = new_header(codec, rate_hz=rate_hz, channels=channels, samples=None, num_codebooks=count)
        frames = _chunk_frames(header, chunk_ms)
        most_samples = ceil_div(block_frames(channels) * codec.hop_length * rate_hz, codec.sample_rate_hz)
        with opened_target(target, stop) as out:
            read = stream.blocks(most_samples)
            blocks = read if request.mono is None else to_mono(read, request.mono, _name(source))
            binary_out = cast(BinaryIO, out)
            if dtx:
                samples = encode_pausing(blocks, codec, header, binary_out, tags=kept, live_frames=frames)
            else:
                samples = encode_blocks(
                    blocks, codec, header, binary_out, tags=kept, live_frames=frames, vbr=request.vbr
                )
            is_ended = stop is not None and stop.is_set
            if request.on_truncated == "refuse" and not is_ended and (fault := stream.find_fault()):
                raise AudioError(f"{_name(source)}: {fault}; what came is coded, to a file that is complete")
    return Summary(samples / rate_hz, out.written_bytes)


def decode_live(
    source: Source,
    target: Target,
    *,
    raw: bool = False,
    stop: Stop | None = None,
    on_ready: OnReady | None = None,
    on_damage: OnDamage | None = None,
    **options: Unpack[DecodeOptions],
) -> Summary:
    """Decode a .vqc while it comes to a WAV stream or, with `raw`, bare samples: 16 bits, each chunk as it is decoded.

    The header of the WAV leaves the length open (4 GiB) until a path is complete. `stop` ends the input, which is an
    error like a cut: all that was whole before it is written. `on_damage` as in `decode_file`, `options` as in
    `DecodeOptions`. Raises BitstreamError and its kinds, ModelError, OutputError, AudioError (a target that is no .wav)
    and ConfigError; what was written before stays.
    """
    request = DecodeRequest(**options)
    check_target(source, target, force=request.force)
    if isinstance(target, str | Path) and not raw and Path(target).suffix.lower() not in (".wav", ""):
        raise AudioError(f"{target}: a live stream is WAV; give .wav or ask for raw samples")
    engines = request.loader
    codec = streaming(engines.get(request.model or zoo.DEFAULT_MODEL))
    codec.decode_block(np.zeros((1, codec.total_codebooks, 1), np.int64))
    _tell_ready(on_ready)
    with _opened_source(source, stop) as file, content_errors(_name(source)):
        reader = VqcReader(file)
        header = reader.header
        card = zoo.find(header.fingerprint)
        is_other = request.model is None and (card is None or card.name != zoo.DEFAULT_MODEL)
        codec = streaming(request.codec_of(header) if is_other else codec_of(header, codec, engines))
        rate = request.rate_of(header)
        depth = request.depth_of(header)
        with opened_target(target, stop) as out:
            writer = SampleWriter(cast(BinaryIO, out), rate_hz=rate, channels=reader.decoded_channels, raw=raw)
            try:
                more = functools.partial(is_at_hand, file)
                waves = decode_stream(reader, codec, rate, depth, on_damage, is_more_at_hand=more)
                for wave in repeated(waves, reader):
                    writer.write(wave)
            finally:
                if out.is_own_file:
                    writer.fill_in_length()
    return Summary(writer.samples / rate, out.written_bytes)


def _check_varied(request: EncodeRequest, chunk_ms: int, *, dtx: bool) -> None:
    """Raise ConfigError for frames of varied depth where they do not fit a live stream."""
    if request.abr:
        raise ConfigError("abr looks a minute ahead, which no live stream can; leave it out")
    if request.vbr is not None and dtx:
        raise ConfigError("vbr and dtx are two ways to save in pauses of a live stream; give one of them")
    if request.vbr is not None and chunk_ms < LEAST_VBR_MS:
        raise ConfigError(
            f"vbr saves nothing in a live stream in chunks of {chunk_ms} ms; give {LEAST_VBR_MS} ms or more"
        )


def _tell_ready(on_ready: OnReady | None) -> None:
    """To be called after a frame that nobody waits for: the first takes a model several times as long as the others."""
    if on_ready is not None:
        on_ready()


def _chunk_frames(header: Header, chunk_ms: int) -> int:
    """Whole frames in `chunk_ms`. Raises ConfigError where there are none, or too many for the format."""
    frame_ms = 1000 * header.hop_length / header.sample_rate_hz
    frames, most = chunk_ms * header.sample_rate_hz // (1000 * header.hop_length), max_frames_per_chunk(header)
    if not 1 <= frames <= most:
        raise ConfigError(f"chunks of {chunk_ms} ms are not in {frame_ms:.10g}..{most * frame_ms:.10g} ms")
    return frames


def _name(source: Source) -> str:
    return str(source) if isinstance(source, str | Path) else "standard input"


@contextlib.contextmanager
def _opened_source(source: Source, stop: Stop | None) -> Iterator[BinaryIO]:
    """`source` as a file that gives what has come; unbuffered where it is a path."""
    with contextlib.ExitStack() as stack:
        file: IO[bytes]
        if isinstance(source, str | Path):
            try:
                file = cast(BinaryIO, stack.enter_context(open_unless_stopped(source, "rb", stop)))
            except OSError as error:
                raise AudioError(f"{source}: cannot read ({error.strerror}); give a file or named pipe") from None
        else:
            file = source
        yield cast(BinaryIO, file if stop is None else StoppableFile(file, stop))


@contextlib.contextmanager
def opened_target(target: Target, stop: Stop | None) -> Iterator["LiveOutput"]:
    """Open what a live stream is written to. Raises OutputError."""
    if not isinstance(target, str | Path):
        yield LiveOutput(target, "standard output", stop)
        return
    with contextlib.ExitStack() as stack:
        with output_errors(target):
            file = stack.enter_context(open_unless_stopped(target, "wb", stop))
        yield LiveOutput(cast(BinaryIO, file), str(target), stop, is_own_file=Path(target).is_file())


class LiveOutput(io.RawIOBase):
    """`file`, to write: each write leaves at once and whole. Raises the OutputError that names `name`.

    Also where it is a pipe whose reader takes nothing, once `stop` is set.

    written_bytes: in all
    is_own_file:   a file that nobody else writes, so that its start can be written again
    """

    def __init__(self, file: BinaryIO, name: str, stop: Stop | None, *, is_own_file: bool = False) -> None:
        self._file, self._name, self._stop = file, name, stop
        self.is_own_file = is_own_file
        self.written_bytes = 0

    @override
    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write and flush all of `data`."""
        try:
            with output_errors(self._name):
                write_unless_stopped(self._file, data, self._stop)
        except BlockedError:
            raise OutputError(f"{self._name}: its reader takes nothing; what was not written yet is lost") from None
        self.written_bytes += len(data)
        return len(data)

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Seek in `file`."""
        return self._file.seek(offset, whence)
