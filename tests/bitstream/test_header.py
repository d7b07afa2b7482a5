import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqcodec.bitstream import Header, spec
from vqcodec.bitstream.binary import ByteSource, crc16
from vqcodec.bitstream.header import read_header
from vqcodec.errors import BitstreamError, DamagedError, TruncatedError, VersionError

rates = st.one_of(st.sampled_from(spec.COMMON_RATES_HZ), st.integers(4000, 192000))
headers = st.builds(
    Header,
    fingerprint=st.binary(min_size=4, max_size=4),
    sample_rate_hz=rates,
    hop_length=st.integers(1, 65535),
    original_rate_hz=rates,
    channels=st.integers(1, 255),
    samples=st.one_of(st.none(), st.integers(0, spec.MAX_SAMPLES)),
    num_codebooks=st.integers(1, 255),
    codebook_size=st.integers(1, 16).map(lambda bits: 2**bits),
)
SPEECH = Header(bytes(4), 16000, 320, 44100, 1, 441000, 3, 1024)


def parse(data):
    return read_header(ByteSource(io.BytesIO(data)))


@given(headers)
def test_a_header_comes_back_from_its_bytes(header):
    assert parse(header.to_bytes()) == header


def test_a_header_of_common_rates_takes_at_most_21_bytes():
    assert len(SPEECH.to_bytes()) == 19
    longest = Header(bytes(4), 48000, 65535, 192000, 255, spec.MAX_SAMPLES, 255, 65536)
    assert len(longest.to_bytes()) == 21


@given(headers)
def test_every_truncation_is_a_truncated_error(header):
    data = header.to_bytes()
    for length in range(len(data)):
        with pytest.raises(TruncatedError):
            parse(data[:length])


@pytest.mark.parametrize("place", range(len(SPEECH.to_bytes())))
def test_every_flipped_byte_is_refused(place):
    for flip in range(1, 256):
        data = bytearray(SPEECH.to_bytes())
        data[place] ^= flip
        with pytest.raises(BitstreamError):
            parse(bytes(data) + bytes(8))


def test_another_format_and_a_later_version_are_told_apart():
    with pytest.raises(BitstreamError, match="not a .vqc"):
        parse(b"RIFF" + bytes(30))
    with pytest.raises(VersionError, match="version 2"):
        parse(b"VQC\x02" + bytes(30))
    with pytest.raises(DamagedError):
        parse(SPEECH.to_bytes()[:-1] + b"\x00")


def test_a_second_spelling_of_the_same_header_is_refused():
    """Samples in more bytes than needed, with a right checksum."""
    data = bytearray(Header(bytes(4), 16000, 320, 16000, 1, 5, 1, 1024).to_bytes()[:-2])
    data[8] += 1
    data.append(0)
    with pytest.raises(BitstreamError, match="shortest"):
        parse(bytes(data) + crc16(bytes(data)).to_bytes(2, "little"))


@pytest.mark.parametrize(
    "field", [{"channels": 0}, {"channels": 256}, {"codebook_size": 1000}, {"samples": -1}, {"original_rate_hz": 3999}]
)
def test_values_outside_the_format_are_refused(field):
    with pytest.raises(BitstreamError):
        Header(**{**SPEECH.__dict__, **field})


def test_frames_and_seconds_follow_the_samples():
    assert SPEECH.frames == 500
    assert SPEECH.duration_seconds == 10
    assert SPEECH.seconds_at(250) == 5
    assert SPEECH.payload_bytes(500) == 3 * 625
