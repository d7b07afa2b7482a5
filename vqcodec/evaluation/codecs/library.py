"""Codecs in this process: our models, and what libsndfile codes (Opus, MP3, FLAC, PCM)."""

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from typing_extensions import override

from vqcodec import __version__
from vqcodec.arrays import Wave
from vqcodec.bitstream import VqcReader
from vqcodec.errors import AudioError, UnavailableError
from vqcodec.evaluation.codecs.bits import kbps_over_time
from vqcodec.evaluation.codecs.codec_under_test import CodecUnderTest, Coded, PacketCodec
from vqcodec.evaluation.codecs.over_packets import heard_over
from vqcodec.evaluation.codecs.payloads import flac_payload_bytes, ogg_payload_bytes
from vqcodec.evaluation.codecs.rates import clamped, nearest, settled
from vqcodec.evaluation.codecs.trained import trained_on
from vqcodec.evaluation.codecs.waves import check_wave, fitting_hz, resampled
from vqcodec.files.convert import compress, decompress
from vqcodec.frames import codebook_kbps
from vqcodec.models import zoo
from vqcodec.models.hub import PREFIX
from vqcodec.system.signals import signals_held


class NeuralCodec(CodecUnderTest, PacketCodec):
    """A neural model: a bundled one by name, a weights file, a folder with a model.safetensors, one of a hub (`hf:`).

    With `fixed_width`, files are written without entropy coding, which shows what it saves. With `average`, frames have
    as many codebooks as they need for the bytes to meet the rate.

    Its rates are those of its codebooks; files are smaller where the model has an entropy coder. Resampling of clips
    at other rates than the model's is part of `compress` and `decompress`, and of their seconds.
    """

    def __init__(self, model: str, *, fixed_width: bool = False, average: bool = False) -> None:
        path = Path(model) / "model.safetensors" if Path(model).is_dir() else Path(model)
        self.name = path.parent.name if path.name == "model.safetensors" and path.parent.name else path.stem
        if model.startswith(PREFIX):
            self.name = Path(model.removeprefix(PREFIX)).resolve().name
        self._engine = zoo.load_engine(model if model in zoo.MODELS or model.startswith(PREFIX) else path)
        sha256 = (self._engine.fingerprint or b"").hex()
        self.version = f"{sha256[:16]} vqcodec {__version__}"  # how codes are searched for changes with releases
        self.trained_on = trained_on(None if model.startswith(PREFIX) else path, sha256)
        if fixed_width:
            self.name, self._engine.entropy = f"fixed:{self.name}", None
        self._average = average
        if average:
            self.name = f"abr:{self.name}"

    @override
    def rates_kbps(self, asked: list[float]) -> list[float | None]:
        engine = self._engine
        step_kbps = codebook_kbps(engine.sample_rate_hz, engine.hop_length, engine.codebook_size)
        modes = [round(count * step_kbps, 6) for count in range(1, engine.total_codebooks + 1)]
        return clamped(asked, modes[0], modes[-1]) if self._average else nearest(asked, modes)

    @override
    def run(self, wave: Wave, rate_hz: int, kbps: float | None) -> Coded:
        check_wave(wave)
        self._engine.prepare("encoder")
        self._engine.prepare("decoder")
        start = time.perf_counter()
        data = compress(wave, rate_hz, model=self._engine, kbps=settled(self, kbps), abr=self._average)
        encoded = time.perf_counter()
        wave_hat, _ = decompress(data, model=self._engine)
        decoded = time.perf_counter()
        payload_bytes, codes = self._contents(data)
        return Coded(
            wave_hat[0],
            data,
            encoded - start,
            decoded - encoded,
            payload_bytes,
            None if codes.min(initial=0) < 0 else codes.astype(np.uint16),
            self._engine.codebook_size,
            kbps_over_time(codes, self._engine),
        )

    @property
    @override
    def has_packets(self) -> bool:
        return self._engine.is_streaming and not self._average

    @override
    def run_over(self, wave: Wave, rate_hz: int, kbps: float | None, lost_slots: NDArray[np.bool_]) -> Coded:
        check_wave(wave)
        engine = self._engine
        engine.prepare("encoder")
        engine.prepare("decoder")
        given = resampled(wave, rate_hz, engine.sample_rate_hz)
        heard = heard_over(engine, given, settled(self, kbps), lost_slots)
        return Coded(
            resampled(heard.wave_hat, engine.sample_rate_hz, rate_hz),
            b"".join(heard.packets),
            heard.encode_seconds,
            heard.decode_seconds,
            heard.payload_bytes,
            heard.codes.astype(np.uint16),
            engine.codebook_size,
        )

    def _contents(self, data: bytes) -> tuple[int, NDArray[Any]]:
        """Bytes of codes in a .vqc, and the codes [K, F], -1 where a frame has none."""
        reader = VqcReader(io.BytesIO(data))
        payload_bytes = sum(len(record.body or b"") for record in reader.records() if record.frames)
        chunks = [chunk.codes[0] for chunk in reader.chunks(entropy=self._engine.entropy)]
        return payload_bytes, np.concatenate(chunks, axis=1)


class _SoundFileCodec(CodecUnderTest):
    """What libsndfile codes to and from memory; subclasses say how. 16 bits, as the programs get: soundfile clips."""

    name: str
    format: str
    subtype: str
    rates_hz: tuple[int, ...] = ()  # empty: any

    def __init__(self) -> None:
        if self.subtype not in soundfile.available_subtypes(self.format):
            raise UnavailableError(f"{self.name} needs a newer libsndfile: pip install --upgrade soundfile")
        self.version = f"libsndfile {soundfile.__libsndfile_version__}"

    @override
    def rates_kbps(self, asked: list[float]) -> list[float | None]:
        return [None]

    @override
    def run(self, wave: Wave, rate_hz: int, kbps: float | None) -> Coded:
        check_wave(wave)
        coding_hz = self._coding_hz(rate_hz, kbps)
        given = resampled(wave, rate_hz, coding_hz)
        file = io.BytesIO()
        try:
            start = time.perf_counter()
            options = self._options(coding_hz, kbps)
            with signals_held():
                soundfile.write(file, given, coding_hz, format=self.format, subtype=self.subtype, **options)
            encoded = time.perf_counter()
            file.seek(0)
            with signals_held():
                wave_hat, decoded_hz = soundfile.read(file, dtype="float32")
            decoded = time.perf_counter()
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise AudioError(f"{self.name} cannot code {len(wave)} samples at {rate_hz} Hz: {error}") from None
        data = file.getvalue()
        wave_hat = resampled(wave_hat, decoded_hz, rate_hz)
        return Coded(wave_hat, data, encoded - start, decoded - encoded, self._payload_bytes(data))

    def _coding_hz(self, rate_hz: int, kbps: float | None) -> int:
        """The rate at which a clip at `rate_hz` is coded."""
        return fitting_hz(rate_hz, self.rates_hz) if self.rates_hz else rate_hz

    def _options(self, coding_hz: int, kbps: float | None) -> Mapping[str, float | str]:
        """More arguments of soundfile.write."""
        return {}

    def _payload_bytes(self, data: bytes) -> int | None:
        """Bytes of audio in a file."""
        return None


class OpusCodec(_SoundFileCodec):
    """Opus in Ogg, 6 to 256 kbps: which are the payload's; its bitrate varies: within 6 % on clips of seconds."""

    name, format, subtype = "opus", "OGG", "OPUS"
    rates_hz = (8000, 12000, 16000, 24000, 48000)

    @override
    def rates_kbps(self, asked: list[float]) -> list[float | None]:
        return clamped(asked, 6, 256)

    @override
    def _options(self, coding_hz: int, kbps: float | None) -> Mapping[str, float | str]:
        # libsndfile's ogg_opus.c: bitrate = (1 - level) * 250 kbps + 6 kbps for each channel
        return {"compression_level": 1 - (settled(self, kbps) - 6) / 250}

    @override
    def _payload_bytes(self, data: bytes) -> int | None:
        return ogg_payload_bytes(data)


_MP3_KBPS = {
    (32000, 44100, 48000): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (16000, 22050, 24000): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (8000, 11025, 12000): (8, 16, 24, 32, 40, 48, 56, 64),
}
"""Bitrates by sampling rates: MPEG-1, MPEG-2 and what libsndfile allows of MPEG-2.5, layer III."""


class Mp3Codec(_SoundFileCodec):
    """MP3 by LAME at a constant bitrate; at a rate that does not go with the clip's, the clip is resampled."""

    name, format, subtype = "mp3", "MP3", "MPEG_LAYER_III"

    @override
    def rates_kbps(self, asked: list[float]) -> list[float | None]:
        return nearest(asked, sorted({kbps for modes in _MP3_KBPS.values() for kbps in modes}))

    @override
    def _coding_hz(self, rate_hz: int, kbps: float | None) -> int:
        wanted = settled(self, kbps)
        return fitting_hz(rate_hz, [hz for rates_hz, modes in _MP3_KBPS.items() if wanted in modes for hz in rates_hz])

    @override
    def _options(self, coding_hz: int, kbps: float | None) -> Mapping[str, float | str]:
        modes = next(modes for rates_hz, modes in _MP3_KBPS.items() if coding_hz in rates_hz)
        level = (modes[-1] - settled(self, kbps)) / (modes[-1] - modes[0])
        # libsndfile first takes the level for LAME's variable bitrate, which has no 1.0; it rounds to the nearest mode.
        return {"bitrate_mode": "CONSTANT", "compression_level": min(level, 0.9999)}


class FlacCodec(_SoundFileCodec):
    """FLAC of 16 bits: no loss but rounding, the ceiling of quality."""

    name, format, subtype = "flac", "FLAC", "PCM_16"

    @override
    def _payload_bytes(self, data: bytes) -> int | None:
        return flac_payload_bytes(data)


_WAV_HEADER_BYTES = 44


class PcmCodec(_SoundFileCodec):
    """WAV of 16 bits: the ceiling of rates."""

    name, format, subtype = "pcm", "WAV", "PCM_16"

    @override
    def _payload_bytes(self, data: bytes) -> int | None:
        return len(data) - _WAV_HEADER_BYTES
