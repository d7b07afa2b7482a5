"""Streams of samples: the headers of many producers, any chopping, and what is refused."""

import io
import struct
import wave as stdlib_wave

import numpy as np
import pytest
import soundfile

from vqcodec.audio.wavstream import SampleFormat, SampleStream, SampleWriter, wav_header
from vqcodec.errors import AudioError

GUID_END = bytes.fromhex("000000001000800000aa00389b71")


class Chopped(io.RawIOBase):
    """A pipe that gives 1 to `most` bytes at a time."""

    def __init__(self, data, most, seed=0):
        self._data = io.BytesIO(data)
        self._most = most
        self._random = np.random.default_rng(seed)

    def readable(self):
        return True

    def seekable(self):
        return False

    def read(self, size):
        return self._data.read(min(size, int(self._random.integers(1, self._most + 1))))


def chunk(name, body, size=None):
    return name + struct.pack("<I", len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def format_body(*, encoding=1, channels=1, rate_hz=16000, bits=16, frame_bytes=None):
    frame = channels * bits // 8 if frame_bytes is None else frame_bytes
    return struct.pack("<HHIIHH", encoding, channels, rate_hz, rate_hz * frame, frame, bits)


def wav(samples, *before, fmt=None, data_size=None, riff_size=0xFFFFFFFF, riff=b"RIFF"):
    """A stream of int16 samples with other chunks before its format and data."""
    body = np.asarray(samples, "<i2").tobytes()
    data = b"data" + struct.pack("<I", len(body) if data_size is None else data_size) + body
    return (
        riff + struct.pack("<I", riff_size) + b"WAVE" + b"".join(before) + chunk(b"fmt ", fmt or format_body()) + data
    )


def read(data, *, most=1 << 16, raw=None, block=1000):
    stream = SampleStream(Chopped(data, most), name="standard input", raw=raw)
    waves = list(stream.blocks(block))
    assert all(1 <= wave.shape[1] <= block for wave in waves)
    channels = stream.format.channels
    return stream.format, np.concatenate([np.zeros((channels, 0), np.float32), *waves], axis=1)


SAMPLES = np.arange(-500, 500, dtype=np.int16) * 65


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0x7FFFFFFE, 0x80000000, 0x7FFFF000, 0x7FFFFF00, 0xFFFFFFFF, 2000])
def test_sizes_that_producers_write_without_knowing_the_length(size):
    form, got = read(wav(SAMPLES, data_size=size))
    assert (form.rate_hz, form.channels) == (16000, 1)
    assert np.array_equal(got[0], SAMPLES / np.float32(32768))


def test_chunks_before_format_and_data_are_passed_over():
    before = [chunk(b"JUNK", b"x" * 28), chunk(b"LIST", b"INFOISFT\x05\0\0\0Lavf\0"), chunk(b"bext", b"odd" * 67)]
    data = wav(SAMPLES, *before)
    at = data.index(b"data")
    data = data[:at] + chunk(b"LIST", b"abc") + chunk(b"fact", b"\0\0\0\0") + data[at:]
    assert np.array_equal(read(data)[1][0], SAMPLES / np.float32(32768))
    assert np.array_equal(read(wav(SAMPLES, riff=b"RF64"))[1][0], SAMPLES / np.float32(32768))


def test_what_follows_data_of_known_size_is_not_sound():
    data = wav(SAMPLES) + chunk(b"LIST", b"INFO" + b"title" * 20)
    assert read(data, most=7)[1].shape == (1, 1000)


def test_a_stream_that_ends_before_its_header_says_has_what_came():
    assert read(wav(SAMPLES, data_size=4000))[1].shape == (1, 1000)
    assert read(wav(SAMPLES, data_size=0) + b"x")[1].shape == (1, 1000), "half a sample is dropped"


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_samples_are_those_of_libsndfile(noise, subtype, container, channels):
    file = io.BytesIO()
    soundfile.write(file, noise(channels, 701).T * 3, 44100, subtype=subtype, format=container)
    file.seek(0)
    expected, _ = soundfile.read(file, dtype="float32", always_2d=True)
    for most in (1, 5, 4096):
        form, got = read(file.getvalue(), most=most)
        assert (form.rate_hz, form.channels) == (44100, channels)
        assert np.array_equal(got, expected.T)


def test_what_the_standard_library_writes_is_read():
    file = io.BytesIO()
    with stdlib_wave.open(file, "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(SAMPLES.tobytes())
    form, got = read(file.getvalue())
    assert form.rate_hz == 8000
    assert got.shape == (1, 1000)


def test_raw_samples_need_no_header():
    form, got = read(SAMPLES.tobytes(), raw=SampleFormat(8000, 2), most=3)
    assert form.rate_hz == 8000
    assert np.array_equal(got, SAMPLES.reshape(-1, 2).T / np.float32(32768))


def test_samples_leave_without_waiting_for_a_full_block():
    stream = SampleStream(Chopped(wav(SAMPLES), 64), name="standard input")
    assert next(stream.blocks(1000)).shape[1] <= 32


def test_a_header_cut_at_any_byte_is_one_clear_error():
    data = wav(SAMPLES, chunk(b"LIST", b"abc"))
    for length in range(data.index(b"data") + 8):
        with pytest.raises(AudioError, match="^standard input: .*(empty|ends inside)"):
            read(data[:length])


EXTENSIBLE = format_body(encoding=0xFFFE)
REFUSED = {
    "no WAV stream": b"ID3\x04" + bytes(100),
    "starts with b'OggS": b"OggS" + bytes(100),
    "format of 15 bytes": wav(SAMPLES, chunk(b"fmt ", bytes(15))),
    "format of 4097 bytes": wav(SAMPLES, b"fmt " + struct.pack("<I", 4097)),
    "16 bits in WAV format 2": wav(SAMPLES, fmt=format_body(encoding=2)),
    "8 bits in WAV format 7": wav(SAMPLES, fmt=format_body(encoding=7, bits=8)),
    "12 bits": wav(SAMPLES, fmt=format_body(bits=12)),
    "WAV format 65534": wav(SAMPLES, fmt=EXTENSIBLE + struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14)),
    "rate 3999 Hz": wav(SAMPLES, fmt=format_body(rate_hz=3999)),
    "rate 192001 Hz": wav(SAMPLES, fmt=format_body(rate_hz=192001)),
    "0 channels": wav(SAMPLES, fmt=format_body(channels=0)),
    "256 channels": wav(SAMPLES, fmt=format_body(channels=256)),
    "in 3 bytes": wav(SAMPLES, fmt=format_body(frame_bytes=3)),
    "without a format": b"RIFF\0\0\0\0WAVE" + chunk(b"data", bytes(100)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_no_sound_that_we_code_is_refused_by_name(message):
    with pytest.raises(AudioError, match=f"^standard input: .*{message}"):
        read(REFUSED[message])


def test_any_header_gives_a_stream_or_our_own_error():
    random, base = np.random.default_rng(0), bytearray(wav(SAMPLES[:20], chunk(b"LIST", b"abc")))
    for _ in range(2000):
        data = base.copy()
        for place in random.integers(0, 70, 3):
            data[place] = random.integers(256)
        try:
            read(bytes(data))
        except AudioError as error:
            assert "\n" not in str(error)


def test_a_sample_that_is_no_number_is_named():
    samples = np.zeros(3000, np.float32)
    samples[1600] = np.nan
    head = b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", format_body(encoding=3, bits=32)) + b"data\0\0\0\0"
    with pytest.raises(AudioError, match=r"at 0:00:00\.100 is NaN"):
        read(head + samples.tobytes())


@pytest.mark.parametrize("channels", [1, 2])
def test_written_samples_are_those_that_libsndfile_writes(noise, channels):
    wave = noise(channels, 5000) * 5
    ours, theirs = io.BytesIO(), io.BytesIO()
    writer = SampleWriter(ours, rate_hz=22050, channels=channels)
    writer.write(wave[:, :1234])
    writer.write(wave[:, 1234:])
    soundfile.write(theirs, np.clip(wave.T, -1, 1), 22050, subtype="PCM_16", format="WAV")
    assert ours.getvalue()[:44] == wav_header(22050, channels)
    assert ours.getvalue()[44:] == theirs.getvalue()[44:]
    assert soundfile.info(io.BytesIO(ours.getvalue())).frames == 5000, "a header without length is read to the end"
    writer.fill_in_length()
    assert ours.getvalue() == theirs.getvalue()


def test_raw_output_is_the_samples_alone(noise):
    file = io.BytesIO()
    writer = SampleWriter(file, rate_hz=8000, channels=2, raw=True)
    writer.write(noise(2, 100))
    writer.fill_in_length()
    assert len(file.getvalue()) == 400


def test_what_follows_long_or_no_data_is_not_sound():
    samples = np.arange(-500, 500, dtype="<i2")
    after = chunk(b"LIST", b"INFO" + b"x" * 400)
    sizes = chunk(b"ds64", struct.pack("<QQQI", 0, samples.nbytes, len(samples), 0))
    long = b"RF64" + b"\xff" * 4 + b"WAVE" + sizes + chunk(b"fmt ", format_body()) + b"data" + b"\xff" * 4
    assert np.array_equal(read(long + samples.tobytes() + after)[1][0] * 32768, samples)
    empty = chunk(b"fmt ", format_body()) + chunk(b"data", b"") + after
    whole = b"RIFF" + struct.pack("<I", 4 + len(empty)) + b"WAVE" + empty
    assert read(whole)[1].shape == (1, 0)


def test_samples_before_one_that_is_no_number_are_given():
    samples = np.zeros(1000, "<f4")
    samples[700] = np.nan
    stream = SampleStream(io.BytesIO(samples.tobytes()), name="it", raw=SampleFormat(16000, 1, 32, 3))
    blocks, given = stream.blocks(5000), []
    with pytest.raises(AudioError, match="NaN"):
        given.extend(blocks)
    assert sum(block.shape[1] for block in given) == 700


def fault_of(data, **options):
    stream = SampleStream(Chopped(data, 7), name="it", **options)
    assert sum(block.shape[1] for block in stream.blocks(100)) == 1000
    return stream.find_fault()


def test_a_stream_that_is_whole_has_no_fault():
    assert fault_of(wav(SAMPLES)) is None
    assert fault_of(wav(SAMPLES, data_size=0)) is None
    assert fault_of(wav(SAMPLES) + chunk(b"LIST", b"INFO" + b"title" * 20)) is None
    odd = chunk(b"data", bytes(1000 * 3), 1000 * 3)
    of_24_bits = b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", format_body(bits=24)) + odd
    assert fault_of(of_24_bits) is None
    assert fault_of(SAMPLES.tobytes(), raw=SampleFormat(16000, 1)) is None


def test_a_stream_of_another_length_than_it_says_tells_so():
    assert "2000 bytes of audio that its header announces" in fault_of(wav(SAMPLES, data_size=4000))
    assert "its last sample has 1 of 2 bytes" in fault_of(wav(SAMPLES, data_size=0) + b"x")
    assert "its last sample has 1 of 2 bytes" in fault_of(SAMPLES.tobytes() + b"x", raw=SampleFormat(16000, 1))
    assert "another file joined" in fault_of(wav(SAMPLES) + wav(SAMPLES))
    assert "goes on behind the audio" in fault_of(wav(SAMPLES) + SAMPLES.tobytes())


def test_floats_in_the_range_of_integers_are_refused():
    data = (SAMPLES * np.float32(1)).astype("<f4").tobytes()
    stream = SampleStream(io.BytesIO(data), name="it", raw=SampleFormat(16000, 1, 32, 3))
    with pytest.raises(AudioError, match=r"^it: a peak of 32500, where full scale is 1"):
        list(stream.blocks(1000))
