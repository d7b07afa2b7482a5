"""The header of a .vqc file: its fields, their bytes, and what follows from them for frames and payloads."""

from dataclasses import dataclass

from vqcodec.bitstream import payload, spec
from vqcodec.bitstream.binary import ByteSource, bytes_to_uint, crc16, uint_to_bytes
from vqcodec.errors import BitstreamError, DamagedError, TruncatedError, VersionError
from vqcodec.frames import bits_per_code, ceil_div, num_frames, resampled_length

_FIXED_BYTES = 14
_RATE_BYTES = 3
_CRC_BYTES = 2


@dataclass(frozen=True)
class Header:
    """What every reader must know before the first chunk; raises BitstreamError for values outside the format.

    `fingerprint`: the first 4 bytes of the SHA-256 of the model's weights. `sample_rate_hz` and `hop_length` are
    the model's, `original_rate_hz` and `channels` the input's. `samples`: per channel at the original rate, None
    while unknown (a stream; the last chunk carries it).
    """

    fingerprint: bytes
    sample_rate_hz: int
    hop_length: int
    original_rate_hz: int
    channels: int
    samples: int | None
    num_codebooks: int
    codebook_size: int

    def __post_init__(self) -> None:
        if len(self.fingerprint) != spec.FINGERPRINT_BYTES:
            raise BitstreamError(f"a fingerprint has {spec.FINGERPRINT_BYTES} bytes, not {len(self.fingerprint)}")
        _check("sample_rate_hz", self.sample_rate_hz, low=spec.MIN_RATE_HZ, high=spec.MAX_RATE_HZ)
        _check("original_rate_hz", self.original_rate_hz, low=spec.MIN_RATE_HZ, high=spec.MAX_RATE_HZ)
        _check("hop_length", self.hop_length, low=1, high=65535)
        _check("channels", self.channels, low=1, high=spec.MAX_CHANNELS)
        _check("num_codebooks", self.num_codebooks, low=1, high=255)
        _check("codebook_size", self.codebook_size, low=2, high=65536)
        if self.codebook_size & (self.codebook_size - 1):
            raise BitstreamError(f"codebook_size {self.codebook_size} is no power of two")
        if self.samples is not None:
            _check("samples", self.samples, low=0, high=spec.MAX_SAMPLES)

    @property
    def bits_per_code(self) -> int:
        """Bits of one fixed-width code, 1 to 16."""
        return bits_per_code(self.codebook_size)

    @property
    def frames(self) -> int | None:
        """Frames of the whole file, None while `samples` is unknown."""
        return None if self.samples is None else self.frames_for(self.samples)

    @property
    def duration_seconds(self) -> float | None:
        """Length of the audio, None while `samples` is unknown."""
        return None if self.samples is None else self.samples / self.original_rate_hz

    def frames_for(self, samples: int) -> int:
        """Count the frames that `samples` samples per channel at the original rate need."""
        return num_frames(resampled_length(samples, self.original_rate_hz, self.sample_rate_hz), self.hop_length)

    def seconds_at(self, frame: int) -> float:
        """Tell where frame `frame` starts, at most the duration."""
        seconds = frame * self.hop_length / self.sample_rate_hz
        return seconds if self.samples is None else min(seconds, self.samples / self.original_rate_hz)

    def payload_bytes(self, frames: int, num_codebooks: int | None = None) -> int:
        """Count the bytes of the fixed-width codes of `frames` frames, all channels, `num_codebooks` layers."""
        layers = self.num_codebooks if num_codebooks is None else num_codebooks
        return layers * payload.layer_bytes(self.channels * frames, self.bits_per_code)

    def varied_bytes(self, frames: int) -> int:
        """Count the most bytes that a payload of varied depth of `frames` frames has; 0 where there may be none."""
        if self.channels * frames * self.num_codebooks > spec.MAX_VARIED_CODES:
            return 0
        layer_bytes = payload.varied_layer_bytes(self.channels * frames, self.bits_per_code)
        return min(self.num_codebooks * (layer_bytes + spec.MAX_VARINT_BYTES), spec.MAX_PAYLOAD_BYTES)

    def to_bytes(self) -> bytes:
        """Return the header as it stands in a file, 16 to 27 bytes."""
        model_rate, model_rate_bytes = _rate_to_code(self.sample_rate_hz)
        original_rate, original_rate_bytes = _rate_to_code(self.original_rate_hz)
        samples_bytes = b""
        if self.samples is not None:
            samples_bytes = uint_to_bytes(self.samples, max(1, ceil_div(self.samples.bit_length(), 8)))
        sizes = (self.bits_per_code - 1) << 4 | len(samples_bytes)
        fields = bytes([sizes, self.num_codebooks, self.channels, model_rate << 4 | original_rate])
        fields += uint_to_bytes(self.hop_length, 2) + model_rate_bytes + original_rate_bytes + samples_bytes
        body = spec.MAGIC + bytes([spec.VERSION]) + self.fingerprint + fields
        return body + uint_to_bytes(crc16(body), _CRC_BYTES)


def read_header(source: ByteSource) -> Header:
    """Read the header at the current position of `source` and stop right after it.

    Raises BitstreamError (no .vqc, or impossible values), VersionError, TruncatedError, or DamagedError (checksum).
    """
    start = source.read(len(spec.MAGIC) + 1)
    _check_magic(start)
    data = start + source.read(_FIXED_BYTES - len(start))
    if len(data) == _FIXED_BYTES:
        data += source.read(_variable_bytes(data) + _CRC_BYTES)
    if len(data) < _FIXED_BYTES or len(data) < _FIXED_BYTES + _variable_bytes(data) + _CRC_BYTES:
        raise TruncatedError(f"the .vqc ends inside its header, after {len(data)} bytes")
    if bytes_to_uint(data[-_CRC_BYTES:]) != crc16(data[:-_CRC_BYTES]):
        raise DamagedError("the header of the .vqc is damaged (its checksum does not fit)")
    header = _parse(data)
    if header.to_bytes() != data:
        raise BitstreamError("the header of the .vqc is not in its shortest form")
    return header


def _check(name: str, value: int, *, low: int, high: int) -> None:
    if not low <= value <= high:
        raise BitstreamError(f"{name} {value} is outside {low} to {high}")


def _check_magic(start: bytes) -> None:
    if not start:
        raise TruncatedError("not a .vqc file (it is empty)")
    if not spec.MAGIC.startswith(start[: len(spec.MAGIC)]):
        raise BitstreamError(f"not a .vqc file (it starts with {start!r})")
    if len(start) > len(spec.MAGIC) and start[-1] != spec.VERSION:
        raise VersionError(f".vqc version {start[-1]} is not known here, only version {spec.VERSION}")


def _variable_bytes(data: bytes) -> int:
    codes = (data[11] >> 4, data[11] & 15)
    return _RATE_BYTES * codes.count(spec.EXPLICIT_RATE) + (data[8] & 15)


def _parse(data: bytes) -> Header:
    width = data[8] & 15
    samples_at = len(data) - _CRC_BYTES - width
    sample_rate_hz = _rate_from_code(data[11] >> 4, data[_FIXED_BYTES:])
    # Two explicit rates stand one after the other, the original one last.
    original_rate_hz = _rate_from_code(data[11] & 15, data[samples_at - _RATE_BYTES :])
    return Header(
        fingerprint=data[4:8],
        sample_rate_hz=sample_rate_hz,
        hop_length=bytes_to_uint(data[12:14]),
        original_rate_hz=original_rate_hz,
        channels=data[10],
        samples=bytes_to_uint(data[samples_at:-_CRC_BYTES]) if width else None,
        num_codebooks=data[9],
        codebook_size=2 << (data[8] >> 4),
    )


def _rate_to_code(rate_hz: int) -> tuple[int, bytes]:
    if rate_hz in spec.COMMON_RATES_HZ:
        return spec.COMMON_RATES_HZ.index(rate_hz), b""
    return spec.EXPLICIT_RATE, uint_to_bytes(rate_hz, _RATE_BYTES)


def _rate_from_code(code: int, explicit: bytes) -> int:
    if code == spec.EXPLICIT_RATE:
        return bytes_to_uint(explicit[:_RATE_BYTES])
    if code >= len(spec.COMMON_RATES_HZ):
        raise BitstreamError(f"rate code {code} is not defined")
    return spec.COMMON_RATES_HZ[code]
