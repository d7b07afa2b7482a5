"""Codecs that are two programs, one to encode and one to decode: those of Debian, and any that a template names."""

import hashlib
import io
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from typing_extensions import override

from vqcodec.arrays import Wave
from vqcodec.errors import AudioError, UnavailableError
from vqcodec.evaluation.codecs.codec_under_test import CodecUnderTest, Coded
from vqcodec.evaluation.codecs.payloads import codec2_payload_bytes, lc3_payload_bytes, ogg_payload_bytes
from vqcodec.evaluation.codecs.processes import execute
from vqcodec.evaluation.codecs.rates import clamped, nearest, settled
from vqcodec.evaluation.codecs.templates import RATE_NAMES, filled, names_in, parse_template
from vqcodec.evaluation.codecs.waves import check_wave, fitting_hz, resampled
from vqcodec.output import output_errors
from vqcodec.system.signals import signals_held

TIME_LIMIT_SECONDS = 600.0
"""What one program may take for one clip."""


@dataclass(frozen=True)
class Program:
    """What is known of a codec's two programs.

    package:       Debian's name of what they come in
    rates_hz:      rates of waves that they take; empty: any
    limits_kbps:   the range of the codec's rates
    modes:         or its rates, and what {kbps} is at each
    suffix:        of the coded file
    is_raw:        waves are samples without a header
    payload_bytes: bytes of audio in the coded file
    """

    name: str
    template: str
    package: str | None = None
    rates_hz: tuple[int, ...] = ()
    limits_kbps: tuple[float, float] | None = None
    modes: Mapping[float, str] = field(default_factory=dict)
    suffix: str = ".bits"
    is_raw: bool = False
    payload_bytes: Callable[[bytes], int] | None = None


class ProgramCodec(CodecUnderTest):
    """A codec of two programs, each run once per clip; its files lie in a temporary folder of their own meanwhile."""

    def __init__(self, program: Program, *, limit_seconds: float = TIME_LIMIT_SECONDS) -> None:
        self.name = program.name
        self.version = hashlib.sha256(program.template.encode()).hexdigest()[:16]
        self._program = program
        self._limit_seconds = limit_seconds
        self._encode, self._decode = parse_template(program.template)
        for command in (self._encode, self._decode):
            if shutil.which(command[0]) is None:
                remedy = f"apt install {program.package}" if program.package else "install it or correct its path"
                raise UnavailableError(f"{self.name} needs the program {command[0]}; {remedy}")

    @override
    def rates_kbps(self, asked: list[float]) -> list[float | None]:
        """Take every rate for a template with {kbps} or {bps}, and none for one without."""
        if self._program.modes:
            return nearest(asked, list(self._program.modes))
        if self._program.limits_kbps:
            return clamped(asked, *self._program.limits_kbps)
        return [*sorted(set(asked))] if self._has_rates else [None]

    @override
    def run(self, wave: Wave, rate_hz: int, kbps: float | None) -> Coded:
        check_wave(wave)
        program = self._program
        coding_hz = fitting_hz(rate_hz, program.rates_hz) if program.rates_hz else rate_hz
        suffix = ".raw" if program.is_raw else ".wav"
        names = {"in": f"in{suffix}", "bits": f"coded{program.suffix}", "out": f"out{suffix}"}
        with tempfile.TemporaryDirectory(prefix="vqcodec-") as temporary:
            folder = Path(temporary)
            settings = {key: str(folder / name) for key, name in names.items()} | self._settings(coding_hz, kbps)
            container = "RAW" if program.is_raw else "WAV"
            given = resampled(wave, rate_hz, coding_hz)
            with output_errors(settings["in"]):
                file = io.BytesIO()  # libsndfile does not tell why a file cannot be written
                with signals_held():
                    soundfile.write(file, given, coding_hz, format=container, subtype="PCM_16")
                Path(settings["in"]).write_bytes(file.getvalue())
            encode_seconds = self._execute(self._encode, settings, folder, "to encode")
            data = self._read_bits(Path(settings["bits"]))
            decode_seconds = self._execute(self._decode, settings, folder, "to decode")
            wave_hat, decoded_hz = self._read_wave(settings["out"], coding_hz)
        payload_bytes = program.payload_bytes(data) if program.payload_bytes else None
        return Coded(resampled(wave_hat, decoded_hz, rate_hz), data, encode_seconds, decode_seconds, payload_bytes)

    @property
    def _has_rates(self) -> bool:
        return bool(RATE_NAMES & (names_in(self._encode) | names_in(self._decode)))

    def _settings(self, coding_hz: int, kbps: float | None) -> dict[str, str]:
        """What the names in the template stand for, but for files."""
        if not self._has_rates:
            return {"rate": str(coding_hz)}
        rate = settled(self, kbps)
        mode = self._program.modes.get(rate, f"{rate:g}")
        return {"rate": str(coding_hz), "kbps": mode, "bps": str(round(1000 * rate))}

    def _execute(self, command: list[str], settings: Mapping[str, str], folder: Path, purpose: str) -> float:
        try:
            return execute(filled(command, settings), limit_seconds=self._limit_seconds, folder=folder)
        except AudioError as error:
            raise AudioError(f"{self.name}, {purpose}: {error}") from None

    def _read_bits(self, path: Path) -> bytes:
        if not path.is_file():
            raise AudioError(f"{self.name}: {self._encode[0]} wrote no {{bits}}")
        return path.read_bytes()

    def _read_wave(self, path: str, coding_hz: int) -> tuple[Wave, int]:
        """The decoded wave and the rate that its file says."""
        raw = {"samplerate": coding_hz, "channels": 1, "subtype": "PCM_16", "format": "RAW"}
        try:
            wave, rate_hz = soundfile.read(path, dtype="float32", **(raw if self._program.is_raw else {}))
        except (soundfile.LibsndfileError, RuntimeError):
            raise AudioError(f"{self.name}: {self._decode[0]} wrote no {{out}} that is a sound file") from None
        if wave.ndim != 1:
            raise AudioError(f"{self.name}: {self._decode[0]} gave {wave.shape[1]} channels for one")
        if not np.isfinite(wave).all():
            raise AudioError(f"{self.name}: {self._decode[0]} gave samples that are NaN or infinite")
        return wave, rate_hz


OPUSENC = Program(
    name="opusenc",
    # A serial number of its own makes two files of the same wave the same.
    template="opusenc --quiet --serial 1 --bitrate {kbps} --comp 10 --framesize 20 {in} {bits};"
    "opusdec --quiet --rate {rate} {bits} {out}",
    package="opus-tools",
    rates_hz=(8000, 12000, 16000, 24000, 48000),
    limits_kbps=(6, 256),
    suffix=".opus",
    payload_bytes=ogg_payload_bytes,
)
"""Opus in Ogg; the rate is that of the payload, over time and for sound that needs it: speech at 6 takes 5.5."""

OPUSENC_WB = Program(
    name="opusenc-wb",
    # 4008 is OPUS_SET_BANDWIDTH, 1103 OPUS_BANDWIDTH_WIDEBAND.
    template=OPUSENC.template.replace(" {in}", " --set-ctl-int 4008=1103 {in}", 1),
    package="opus-tools",
    rates_hz=(16000, 24000, 48000),
    limits_kbps=(6, 24),
    suffix=".opus",
    payload_bytes=ogg_payload_bytes,
)
"""The same, told to keep what lies up to 8 kHz also below 9 kbps, where by itself it falls back to 4 kHz."""

CODEC2 = Program(
    name="codec2",
    template="c2enc {kbps} {in} {bits}; c2dec {kbps} {bits} {out}",
    package="codec2",
    rates_hz=(8000,),
    modes={0.7: "700C", 1.2: "1200", 1.3: "1300", 1.4: "1400", 1.6: "1600", 2.4: "2400", 3.2: "3200"},
    suffix=".c2",
    is_raw=True,
    payload_bytes=codec2_payload_bytes,
)
"""Codec 2, 8 kHz. Frames are whole bytes: 0.7 takes 0.8 kbps, 1.3 takes 1.4."""

_SPEEX_FRAME_BYTES = (10, 15, 20, 25, 32, 42, 52, 60, 70, 86, 106)
SPEEX = Program(
    name="speex",
    template="speexenc -w --quality {kbps} --comp 10 {in} {bits}; speexdec {bits} {out}",
    package="speex",
    rates_hz=(16000,),
    modes={size * 8 * 50 / 1000: str(quality) for quality, size in enumerate(_SPEEX_FRAME_BYTES)},
    suffix=".spx",
    payload_bytes=ogg_payload_bytes,
)
"""Wide-band Speex in Ogg at qualities 0 to 10: a constant bitrate each, of frames of 20 ms."""

LC3 = Program(
    name="lc3",
    template="elc3 -b {bps} {in} {bits}; dlc3 {bits} {out}",
    package="liblc3-tools",
    rates_hz=(8000, 16000, 24000, 32000, 48000),
    limits_kbps=(16, 320),
    suffix=".lc3",
    payload_bytes=lc3_payload_bytes,
)
"""LC3 in frames of 10 ms, 20 to 400 bytes; its file adds two bytes to each."""
