"""A clip through a codec under a condition: coded, aligned, and coded again."""

from dataclasses import dataclass

import numpy as np

from vqcodec.arrays import Wave
from vqcodec.errors import AudioError, ConfigError
from vqcodec.evaluation.alignment import align
from vqcodec.evaluation.clips import random_of
from vqcodec.evaluation.codecs.codec_under_test import CodecUnderTest, Coded, PacketCodec
from vqcodec.evaluation.conditions import Condition
from vqcodec.evaluation.noise import Noise, mixed
from vqcodec.evaluation.packet_loss import parse_loss, slots_of


@dataclass(frozen=True)
class Rendering:
    """What became of a clip.

    wave_hat:       float32 [T], as long as the clip and aligned with it
    coded:          what the last coding gave
    coded_seconds:  of the wave that the last coding was given
    delay_samples:  taken out, of all codings together
    """

    wave_hat: Wave
    coded: Coded
    coded_seconds: float
    delay_samples: int


def under(wave: Wave, rate_hz: int, condition: Condition, noise: Noise | None) -> Wave:
    """Return the clip [T] that is coded and compared with: with noise, and at the level that `condition` asks.

    Raises AudioError where it would leave [-1, 1] at that level, and as `mixed`.
    """
    if noise is not None and condition.snr_db is not None:
        wave = mixed(wave, rate_hz, noise, condition.snr_db)
    if not condition.level_db:
        return wave
    scaled: Wave = wave * np.float32(10 ** (condition.level_db / 20))
    peak = float(np.abs(scaled).max(initial=0.0))
    if peak > 1:
        most = condition.level_db - 20 * np.log10(peak)
        raise AudioError(
            f"at {condition.level_db:+g} dB the peak of the clip is {peak:.3g}, over 1; give {most:.1f} dB or less"
        )
    return scaled


def code(
    codec: CodecUnderTest, wave: Wave, rate_hz: int, kbps: float | None, condition: Condition, *, clip: str = ""
) -> Rendering:
    """Pass `wave` [T] in [-1, 1] through `codec` as often as `condition` says.

    After each coding the codec's delay is taken out and the wave is cut or filled to its length, as a recording that is
    passed on would be, and clipped to [-1, 1] before the next. Lost packets are drawn by the name of the clip, others
    for each coding. Raises VqcodecError for what the codec cannot code, as `packets_of` where packets are lost.
    """
    shift, given, delay = round(condition.shift_ms / 1000 * rate_hz), wave, 0
    for generation in range(1, condition.generations + 1):
        if generation > 1:
            given = np.clip(given, -1, 1)
        ahead = generation * shift
        shifted = np.concatenate((np.zeros(ahead, np.float32), given)) if ahead else given
        if condition.loss is None:
            coded = codec.run(shifted, rate_hz, kbps)
        else:
            random = random_of(clip, condition.loss_seed, generation)
            lost = parse_loss(condition.loss).draw(slots_of(len(shifted), rate_hz), random)
            coded = packets_of(codec).run_over(shifted, rate_hz, kbps, lost)
        aligned = align(shifted, coded.wave_hat, rate_hz)
        given, delay = aligned.wave_hat[ahead:], delay + aligned.delay_samples
    return Rendering(given, coded, len(shifted) / rate_hz, delay)


def packets_of(codec: CodecUnderTest) -> PacketCodec:
    """Return a codec that has packets as what it is. Raises ConfigError for one that has none that could be lost."""
    if isinstance(codec, PacketCodec) and codec.has_packets:
        return codec
    raise ConfigError(f"{codec.name} has no packets that could be lost; leave it out where --loss is given")
