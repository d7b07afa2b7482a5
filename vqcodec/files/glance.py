"""What to say of an input before it is coded: channels that each cost the rate, sound the model is not made for."""

import contextlib
from collections.abc import Iterator

import numpy as np

from vqcodec.arrays import Wave
from vqcodec.audio.glimpse import is_unlike_speech, share_above
from vqcodec.audio.reader import AudioReader
from vqcodec.bitstream.spec import FINGERPRINT_BYTES
from vqcodec.errors import AudioError
from vqcodec.files.request import EncodeRequest
from vqcodec.frames import codebook_kbps
from vqcodec.models import zoo
from vqcodec.models.engine import Engine, codebooks_for, rate_note

SEVERAL_CHANNELS = "several channels, each at the rate of one"
"""The kind of a remark."""
_GLANCE_SECONDS = 12.0
_MOST_SHARE_ABOVE = 0.05
"""Share of the power: what speech has above 8 kHz is a few thousandths, cymbals and hiss have much more."""
_OTHERS = "for such sound there are Opus (opusenc) and --model hf:facebook/encodec_24khz"


def remarks(audio: AudioReader, request: EncodeRequest, channels: int) -> Iterator[tuple[str, str]]:
    """Yield the kind and the text of each remark about a file of which `channels` are coded.

    Loads no model. Raises as `zoo.load` for one that is not there.
    """
    facts = request.facts()
    if (note := rate_note(facts, request.kbps_of(channels))) and request.total_kbps is not None:
        yield "a rate that the model does not have", f"{audio.name}: {note}"
    wave = np.zeros((audio.channels, 0), np.float32)
    with contextlib.suppress(AudioError):  # which is told when it is read in earnest
        wave = audio.glance(_GLANCE_SECONDS)
    if channels > 1 and facts.inputs_per_model == 1:
        yield SEVERAL_CHANNELS, of_channels(audio.name, request, facts, channels)
    elif request.mono is None and channels < audio.channels:
        yield "channels that are all the same", f"{audio.name}: its {audio.channels} channels are the same: coded once"
    if text := _of_sound(audio, wave, facts):
        yield "sound that the model is not made for", text


def of_channels(name: str, request: EncodeRequest, facts: "Engine | zoo.ModelCard", channels: int) -> str:
    """Tell what several channels cost, each at the rate of one."""
    count = codebooks_for(facts, kbps=request.kbps_of(channels), num_codebooks=request.num_codebooks)
    nominal_kbps = count * codebook_kbps(facts.sample_rate_hz, facts.hop_length, facts.codebook_size)
    average_kbps = request.average_of(channels)
    kbps = nominal_kbps if average_kbps is None else average_kbps / channels
    most = "" if request.vbr is None else "at most "
    return (
        f"{name}: {channels} channels, each coded by itself: {most}{channels} x {kbps:g} = {channels * kbps:g} kbps in "
        "all; --mono mean codes one, --total-kbps is the rate of all together"
    )


def _of_sound(audio: AudioReader, wave: Wave, facts: "Engine | zoo.ModelCard") -> str:
    """One text about what comes back otherwise than it went in; empty where nothing is known to."""
    band_hz = facts.sample_rate_hz / 2
    share = share_above(wave, audio.rate_hz, band_hz)
    found = []
    if share > _MOST_SHARE_ABOVE:
        found.append(f"{share:.0%} of its energy is above {band_hz / 1000:g} kHz, which does not come back")
    is_of_speech = zoo.find((facts.fingerprint or b"")[:FINGERPRINT_BYTES]) is not None
    if is_of_speech and is_unlike_speech(wave, audio.rate_hz):
        found.append(
            f"it does not sound like speech, which is all that {facts.model_name} knows: it comes back distorted"
        )
    return f"Warning: {audio.name}: {'; '.join(found)}; {_OTHERS}" if found else ""
