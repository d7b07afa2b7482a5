"""Validation during training: real clips through encode and decode at several depths, scored by PESQ, ESTOI, SI-SDR."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vqcodec.audio.discover import Clip, find_audio
from vqcodec.audio.resample import resample
from vqcodec.errors import ConfigError, TrainingError
from vqcodec.frames import codebook_kbps
from vqcodec.metrics import estoi, pesq_wb, si_sdr
from vqcodec.models.codec import Codec
from vqcodec.training.config import DataConfig
from vqcodec.training.data.segments import SPEAKER_COLUMN, Segments, read_one_channel
from vqcodec.training.monitoring.run_log import NoLog, RunLog


@dataclass(frozen=True)
class ValidationClip:
    """A name and its wave [T] float32 at the model's rate.

    heard:   what is encoded instead, of the same length
    speaker: who shall speak, for a decoder that is told
    """

    name: str
    wave: NDArray[np.float32]
    heard: NDArray[np.float32] | None = None
    speaker: str | None = None

    @property
    def encoded(self) -> NDArray[np.float32]:
        """What the encoder hears, [T]."""
        return self.wave if self.heard is None else self.heard


def load_clips(config: DataConfig, rate_hz: int, speakers: Sequence[str] = ()) -> list[ValidationClip]:
    """Load `valid_clips` clips spread evenly over the validation files, of `speakers` alone where there are some."""
    found = find_audio(config.valid)
    if not found:
        raise TrainingError(f"data.valid {config.valid}: no audio files")
    if speakers and not (found := [clip for clip in found if _speaker_of(clip) in speakers]):
        raise TrainingError(
            f"data.valid {config.valid}: no clip is spoken by one of model.speakers; give a manifest that has some, in "
            f"its column {SPEAKER_COLUMN}"
        )
    chosen = [found[i * len(found) // config.valid_clips] for i in range(min(config.valid_clips, len(found)))]
    if len(found) < config.valid_clips:
        chosen = found
    clips = []
    for clip in chosen:
        samples, original_hz = read_one_channel(str(clip.path), clip.excerpt())
        wave = resample(samples[None], original_hz, rate_hz)[0]
        clips.append(ValidationClip(clip.path.stem, wave, speaker=_speaker_of(clip) if speakers else None))
    return clips


def _speaker_of(clip: Clip) -> str:
    return clip.columns.get(SPEAKER_COLUMN, "").strip()


def degraded_clips(clips: list[ValidationClip], dataset: Segments) -> list[ValidationClip]:
    """Return the clips as an enhancer hears them, the same in every run."""
    pairs = [dataset.degraded(clip.wave, np.random.default_rng((0, index))) for index, clip in enumerate(clips)]
    return [ValidationClip(clip.name, *pair) for clip, pair in zip(clips, pairs, strict=True)]


def round_trip(codec: Codec, clip: ValidationClip, num_codebooks: int) -> NDArray[np.float32]:
    """Pass a clip through codes of `num_codebooks` and back, on the codec's device: [T]."""
    device = next(codec.parameters()).device
    batch = torch.from_numpy(clip.encoded)[None, None].to(device)
    codes = codec.encode(batch, num_codebooks=num_codebooks)
    wave_hat = codec.decode(codes, length_samples=len(clip.wave), speaker=clip.speaker)
    decoded: NDArray[np.float32] = wave_hat[0, 0].cpu().numpy()
    return decoded


def validate_codec(
    codec: Codec, clips: list[ValidationClip], depths: list[int]
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Return the mean PESQ-WB, ESTOI and SI-SDR (dB) over clips where each is defined, a value per depth, and its kbps.

    A metric whose package is not installed is left out: training goes on without a compiler for pesq. The second
    result says why, by name.
    """
    one_kbps = codebook_kbps(codec.sample_rate_hz, codec.hop_length, codec.codebook_size)
    scores: dict[str, list[float]] = {
        "codebooks": [float(depth) for depth in depths],
        "kbps": [round(depth * one_kbps, 3) for depth in depths],
    }
    left_out: dict[str, str] = {}
    for depth in depths:
        decoded = [round_trip(codec, clip, depth) for clip in clips]
        for name, metric in (("pesq_wb", pesq_wb), ("estoi", estoi), ("si_sdr", si_sdr)):
            try:
                values = [metric(c.wave, d, codec.sample_rate_hz) for c, d in zip(clips, decoded, strict=True)]
            except ConfigError as error:
                left_out[name] = str(error)
                continue
            scores.setdefault(name, []).append(round(float(np.nanmean(values)), 4))
    return scores, left_out


def log_round_trips(
    log: RunLog | NoLog, codec: Codec, clips: list[ValidationClip], depths: list[int], step: int
) -> None:
    """Log what `clips` sound and look like, before and after each depth."""
    for clip in clips:
        log.audio(step, f"{clip.name}/original", torch.from_numpy(clip.wave), codec.sample_rate_hz)
        for depth in depths:
            decoded = torch.from_numpy(round_trip(codec, clip, depth))
            log.audio(step, f"{clip.name}/{depth}-codebooks", decoded, codec.sample_rate_hz)
