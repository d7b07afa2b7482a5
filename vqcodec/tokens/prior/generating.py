"""Speech that is drawn from a prior, as audio files and live streams."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from vqcodec.arrays import Wave
from vqcodec.audio.downmix import Downmix
from vqcodec.audio.excerpt import Excerpt
from vqcodec.audio.reader import AudioReader
from vqcodec.audio.resample import resample
from vqcodec.audio.wavstream import SampleWriter
from vqcodec.audio.writer import AudioWriter, check_format
from vqcodec.errors import AudioError, ConfigError
from vqcodec.files.live import opened_target
from vqcodec.files.request import check_target
from vqcodec.frames import num_frames
from vqcodec.models.engine import Engine
from vqcodec.output import Target, atomic_output
from vqcodec.sessions.new import new_decoder, new_encoder
from vqcodec.sessions.stream import streaming
from vqcodec.system.pipes import Stop
from vqcodec.tokens.prior.priorfile import LoadedPrior, load_prior
from vqcodec.tokens.prior.sampling import Sampler, SamplerOptions

_BLOCK_FRAMES = 4
"""Frames that are decoded at once: 80 ms at 50 Hz."""
_BLOCK_SAMPLES = 1 << 16
_MOST_SECONDS = 24 * 3600.0


def generate_file(
    target: Target,
    *,
    prior: str | Path | LoadedPrior,
    prompt: str | Path | None = None,
    seconds: float = 5.0,
    model: str | Path | None = None,
    force: bool = False,
    live: bool = False,
    stop: Stop | None = None,
    **options: Unpack[SamplerOptions],
) -> float:
    """Write speech that is drawn from a prior; returns its seconds, those of the prompt included.

    prompt:  an audio file that it goes on from, which comes first in the output, as it is coded
    seconds: what is drawn, up to whole frames
    model:   the weights that the prior is for, if they are not bundled
    live:    a WAV stream that leaves as it is drawn, until it is done or `stop` is set
    options: temperature, top_k and seed, as in `Sampler`

    `target` is WAV where it is a file object, else what its suffix says. Raises ModelError, AudioError, ConfigError
    and OutputError; a failing call leaves no file, unless `live`.
    """
    if not 0 < seconds <= _MOST_SECONDS:
        raise ConfigError(f"seconds {seconds} are not above 0 and at most {_MOST_SECONDS:.0f}")
    check_target("" if prompt is None else prompt, target, force=force)
    loaded = prior if isinstance(prior, LoadedPrior) else load_prior(prior)
    sampler = Sampler(loaded.network, **options)
    codec = loaded.codec(model)
    loaded.check(codec)
    if live:
        codec = streaming(codec)
    suffix = Path(target).suffix if isinstance(target, str | Path) else ".wav"
    if live and suffix.lower() not in (".wav", ""):
        raise AudioError(f"{target}: a live stream is WAV; give .wav")
    if not live:
        check_format(Path(f"speech{suffix}"), rate_hz=codec.sample_rate_hz, channels=1)
    given = None if prompt is None else _codes_of(codec, prompt, loaded.network.sizes.num_codebooks)
    frames = num_frames(round(seconds * codec.sample_rate_hz), codec.hop_length)
    waves = _waves(codec, sampler, given, frames, stop)
    return (_write_live if live else _write)(waves, target, codec.sample_rate_hz, force, stop)


def _waves(
    codec: Engine, sampler: Sampler, prompt: NDArray[np.int64] | None, frames: int, stop: Stop | None
) -> Iterator[Wave]:
    """Yield the samples [1, n] of the prompt and of what is drawn after it."""
    given = 0 if prompt is None else prompt.shape[1]
    decoder = new_decoder(codec, batch=1, tags={}, frames=given + frames)
    if prompt is not None:
        yield decoder.push(prompt[None])
    drawn = islice(sampler.frames(prompt), frames)
    while (block := list(islice(drawn, _BLOCK_FRAMES))) and not (stop is not None and stop.is_set):
        yield decoder.push(np.stack(block, axis=1)[None])
    yield decoder.flush()


def _codes_of(codec: Engine, path: str | Path, num_codebooks: int) -> NDArray[np.int64]:
    """The codes [K, F] of the mono wave of an audio file."""
    downmix = Downmix(str(path))
    with AudioReader(path) as audio:
        blocks = [downmix.push(block) for block in Excerpt().read(audio, _BLOCK_SAMPLES, str(path))]
    downmix.check()
    wave = resample(np.concatenate(blocks, axis=1), audio.rate_hz, codec.sample_rate_hz)
    encoder = new_encoder(codec, num_codebooks, batch=1)
    codes: NDArray[np.int64] = np.concatenate((encoder.push(np.clip(wave, -1, 1)), encoder.flush()), axis=2)
    first: NDArray[np.int64] = codes[0]
    return first


def _write(waves: Iterator[Wave], target: Target, rate_hz: int, force: bool, _stop: Stop | None) -> float:
    samples = 0
    with (
        atomic_output(target, force=force, suffix=".wav") as temporary,
        AudioWriter(temporary, rate_hz=rate_hz, channels=1, name=str(target)) as writer,
    ):
        for wave in waves:
            writer.write(wave)
            samples += wave.shape[1]
    return samples / rate_hz


def _write_live(waves: Iterator[Wave], target: Target, rate_hz: int, _force: bool, stop: Stop | None) -> float:
    with opened_target(target, stop) as out:
        writer = SampleWriter(cast(BinaryIO, out), rate_hz=rate_hz, channels=1)
        try:
            for wave in waves:
                writer.write(wave)
        finally:
            if out.is_own_file:
                writer.fill_in_length()
    return writer.samples / rate_hz
