import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqcodec.errors import BitstreamError, TruncatedError, VersionError
from vqcodec.files.foreign import ecdc
from vqcodec.files.foreign.ecdc import parse_ecdc


def some_codes(num_codebooks, frames):
    return np.random.default_rng(frames).integers(0, 1024, (num_codebooks, frames))


@given(num_codebooks=st.integers(1, 32), samples=st.integers(0, 9000))
def test_every_code_comes_back(ecdc_bytes, num_codebooks, samples):
    codes = some_codes(num_codebooks, -(-samples // 320))
    foreign = parse_ecdc(ecdc_bytes(codes, samples))
    np.testing.assert_array_equal(foreign.codes, codes[None])
    assert (foreign.samples, foreign.rate_hz, foreign.model.name) == (samples, 24000, "encodec_24khz")


def test_the_bits_are_those_of_encodecs_bit_packer():
    """Codes 1 and 1023: the first fills the low 10 bits of the first two bytes, the second goes on above it."""
    text = json.dumps({"m": "encodec_24khz", "al": 320, "nc": 2, "lm": False}).encode()
    head = b"ECDC" + bytes([0, 0, 0, 0, len(text)]) + text
    np.testing.assert_array_equal(parse_ecdc(head + bytes([0x01, 0xFC, 0x0F])).codes, [[[1], [1023]]])


def test_long_files_are_unpacked_in_runs(ecdc_bytes, monkeypatch):
    codes = some_codes(3, 41)
    monkeypatch.setattr(ecdc, "_CODES_AT_ONCE", 16)
    np.testing.assert_array_equal(parse_ecdc(ecdc_bytes(codes, 41 * 320)).codes[0], codes)


def test_a_file_cut_anywhere_is_told_as_cut(ecdc_bytes):
    data = ecdc_bytes(some_codes(4, 5), 1500)
    for size in range(len(data)):
        with pytest.raises(TruncatedError):
            parse_ecdc(data[:size])


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"lm": True}, "language model.*without --lm"),
        ({"lm": 0}, "language model"),
        ({"m": "encodec_48khz"}, "overlapping segments.*encode the audio again"),
        ({"m": "my_own"}, "made by the model 'my_own'; only encodec_24khz"),
        ({"m": [[]]}, "only encodec_24khz"),
        ({"nc": 33}, '"nc".*1..32'),
        ({"nc": True}, '"nc"'),
        ({"nc": 0}, '"nc"'),
        ({"al": -1}, '"al"'),
        ({"al": 1500.0}, '"al"'),
        ({"al": 10**30}, "ask for"),
        ({"al": 900}, "10 bytes follow the codes"),
    ],
)
def test_what_fixed_frames_cannot_hold_is_refused_in_one_line(ecdc_bytes, metadata, message):
    with pytest.raises(BitstreamError, match=message) as caught:
        parse_ecdc(ecdc_bytes(some_codes(4, 5), 1500, **metadata))
    assert "\n" not in str(caught.value)


def with_text(text):
    return b"ECDC\x00" + len(text).to_bytes(4, "big") + text


@pytest.mark.parametrize(
    "data",
    [
        b"RIFF" + bytes(40),
        b"ECDC\x00\xff\xff\xff\xff{}",
        with_text(b"[]"),
        with_text(b"{"),
        with_text(b"\xff"),
        with_text(b"[" * 50_000),
        with_text(b'{"m": ' + b"[" * 900 + b"]" * 900 + b"}"),
        with_text(b'{"al": ' + b"9" * 5000 + b"}"),
        with_text(b'{"m": "encodec_24khz", "al": 320, "nc": 1, "lm": false}') + bytes(3),
        with_text(b'{"m": "encodec_24khz", "al": 320, "nc": 1, "lm": false}') + b"\0\xff",
    ],
)
def test_damage_is_refused_in_one_line(data):
    with pytest.raises(BitstreamError) as caught:
        parse_ecdc(data)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_another_version_is_told():
    with pytest.raises(VersionError, match="version 1"):
        parse_ecdc(b"ECDC\x01" + bytes(20))


@given(st.data())
def test_changed_bytes_give_codes_or_our_own_error(ecdc_bytes, data):
    original = bytearray(ecdc_bytes(some_codes(2, 3), 900))
    for _ in range(data.draw(st.integers(1, 4))):
        original[data.draw(st.integers(0, len(original) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert parse_ecdc(bytes(original)).codes.max(initial=0) < 1024
    except BitstreamError as error:
        assert "\n" not in str(error)
