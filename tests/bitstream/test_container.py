"""VqcWriter and VqcReader together: what is written is read, in any split, from files and pipes."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.bitstream import Header, VqcReader, VqcWriter, spec
from vqcodec.bitstream.binary import ByteSource
from vqcodec.bitstream.open_vqc import open_vqc
from vqcodec.bitstream.writer import max_frames_per_chunk
from vqcodec.errors import BitstreamError, DamagedError, TruncatedError, VersionError


def make_header(frames=100, *, channels=1, layers=3, known=True):
    samples = max(0, frames * 320 - 7)
    return Header(b"test", 16000, 320, 16000, channels, samples if known else None, layers, 1024)


def make_codes(header, frames, seed=0):
    return np.random.default_rng(seed).integers(0, 1024, (header.channels, header.num_codebooks, frames))


def write(header, codes, *, frames_per_chunk=None, splits=(), samples=None):
    file = io.BytesIO()
    writer = VqcWriter(file, header, frames_per_chunk=frames_per_chunk)
    for part in np.split(codes, splits, axis=2):
        writer.write(part)
    writer.close(samples)
    return file.getvalue()


def read(data, *args, **kwargs):
    chunks = list(VqcReader(io.BytesIO(data)).chunks(*args, **kwargs))
    return np.concatenate([chunk.codes for chunk in chunks], axis=2) if chunks else None


class Pipe(io.RawIOBase):
    """A stream that cannot seek and returns fewer bytes than asked."""

    def __init__(self, data):
        self._data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        part = self._data.read(min(len(buffer), 7))
        buffer[: len(part)] = part
        return len(part)


@given(
    st.integers(1, 60),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 70),
    st.lists(st.integers(0, 60), max_size=4).map(sorted),
    st.booleans(),
)
@settings(max_examples=150)
def test_any_split_and_chunk_length_gives_the_codes_back(frames, channels, layers, per_chunk, splits, known):
    header = make_header(frames, channels=channels, layers=layers, known=known)
    codes = make_codes(header, frames)
    data = write(header, codes, frames_per_chunk=per_chunk, splits=splits, samples=frames * 320 - 7)
    assert data == write(header, codes, frames_per_chunk=per_chunk, samples=frames * 320 - 7)
    assert np.array_equal(read(data), codes)
    reader = VqcReader(Pipe(data))
    assert np.array_equal(np.concatenate([c.codes for c in reader.chunks()], axis=2), codes)
    assert reader.samples == frames * 320 - 7
    scan = VqcReader(io.BytesIO(data)).scan()
    assert (scan.frames, scan.chunks, scan.samples) == (frames, -(-frames // per_chunk), frames * 320 - 7)


@given(st.integers(0, 100), st.integers(0, 110), st.integers(1, 3))
def test_a_span_is_the_same_frames_of_the_whole(start, length, depth):
    header = make_header(100)
    codes = make_codes(header, 100)
    data = write(header, codes, frames_per_chunk=16)
    got = read(data, start, start + length, num_codebooks=depth)
    wanted = codes[:, :depth, start : start + length]
    assert wanted.shape[2] == 0 if got is None else np.array_equal(got, wanted)


def test_seeking_reads_heads_only():
    header = make_header(1000)
    data = write(header, make_codes(header, 1000), frames_per_chunk=10)

    class Counting(io.BytesIO):
        total = 0

        def read(self, size=-1):
            got = super().read(size)
            Counting.total += len(got)
            return got

    reader = VqcReader(Counting(data))
    assert len(list(reader.chunks(990))) == 1
    assert Counting.total < 100 * 4 + 100


def test_an_excerpt_from_a_file_on_the_disk_reads_heads_and_its_own_chunks(entropy, tmp_path, monkeypatch):
    header = Header(b"test", 16000, 320, 16000, 1, 20_000 * 320, 8, 32)
    codes = (np.random.default_rng(0).random((1, 8, 20_000)) ** 8 * 32).astype(np.uint16)
    with (tmp_path / "a.vqc").open("wb") as file:
        writer = VqcWriter(file, header, entropy=entropy)
        writer.write(codes)
        writer.close()
    taken = []
    read = ByteSource.read
    monkeypatch.setattr(ByteSource, "read", lambda self, length: taken.append(read(self, length)) or taken[-1])
    with open_vqc(tmp_path / "a.vqc") as reader:
        assert reader._source._file.__class__.__name__ == "FileIO", "no buffer that reads ahead"
        chunks = list(reader.chunks(18_000, 18_250, entropy=entropy))
    assert np.array_equal(np.concatenate([c.codes for c in chunks], axis=2), codes[:, :, 18_000:18_250])
    assert sum(map(len, taken)) < 0.05 * (tmp_path / "a.vqc").stat().st_size


def test_no_samples_is_a_valid_file_without_chunks():
    header = make_header(0)
    data = write(header, make_codes(header, 0))
    assert len(data) == len(header.to_bytes())
    assert read(data) is None
    stream = make_header(0, known=False)
    data = write(stream, make_codes(stream, 0), samples=0)
    assert read(data) is None
    assert VqcReader(io.BytesIO(data)).scan().samples == 0


def test_overhead_of_ten_seconds_at_1500_bit_per_second_is_below_two_percent():
    header = Header(b"test", 16000, 320, 16000, 1, 160000, 3, 1024)
    data = write(header, make_codes(header, 500))
    assert len(data) - 1875 <= 37
    one_second = Header(b"test", 16000, 320, 16000, 1, 16000, 3, 1024)
    assert len(write(one_second, make_codes(one_second, 50))) <= 225


def test_the_writer_refuses_wrong_codes():
    header = make_header(10)
    writer = VqcWriter(io.BytesIO(), header)
    for bad in (np.zeros((2, 3, 1), int), np.zeros((1, 3, 1)), np.full((1, 3, 1), 1024), np.full((1, 3, 1), -1)):
        with pytest.raises(ValueError):
            writer.write(bad)
    with pytest.raises(ValueError, match="more frames"):
        writer.write(np.zeros((1, 3, 11), int))
    with pytest.raises(ValueError, match="need 10 frames"):
        writer.close()
    with pytest.raises(ValueError):
        VqcWriter(io.BytesIO(), header, frames_per_chunk=max_frames_per_chunk(header) + 1)


def test_the_largest_chunk_fits_the_bound_on_payloads():
    for channels, layers in ((1, 1), (1, 12), (255, 255), (6, 12)):
        header = make_header(10, channels=channels, layers=layers)
        most = max_frames_per_chunk(header)
        assert header.payload_bytes(most) <= spec.MAX_PAYLOAD_BYTES
        assert most == spec.MAX_CHUNK_FRAMES or header.payload_bytes(most + 8) > spec.MAX_PAYLOAD_BYTES


def test_a_damaged_chunk_names_its_seconds_and_the_others_survive():
    header = make_header(100)
    codes = make_codes(header, 100)
    data = bytearray(write(header, codes, frames_per_chunk=25))
    data[len(data) // 2 + 20] ^= 1
    with pytest.raises(DamagedError) as caught:
        read(bytes(data))
    assert (caught.value.start_seconds, caught.value.end_seconds) == (1.0, 1.5)
    errors = []
    chunks = list(VqcReader(io.BytesIO(bytes(data))).chunks(on_damage=errors.append))
    assert [error.start_seconds for error in errors] == [1.0]
    assert [chunk.codes.shape[1] for chunk in chunks] == [3, 3, 0, 3]
    for chunk in chunks:
        if chunk.codes.shape[1]:
            span = slice(chunk.start_frame, chunk.start_frame + 25)
            assert np.array_equal(chunk.codes, codes[:, :, span])


def test_a_lost_a_repeated_and_a_swapped_chunk_are_noticed():
    header = make_header(75)
    data = write(header, make_codes(header, 75), frames_per_chunk=25)
    start, size = len(header.to_bytes()), (len(data) - len(header.to_bytes())) // 3
    head, a, b, c = data[:start], *(data[start + i * size : start + (i + 1) * size] for i in range(3))
    assert head + a + b + c == data
    for wrong in (head + a + c, head + a + a + b, head + b + a + c, head + a + b, data + c, data + b"x"):
        with pytest.raises(BitstreamError):
            read(wrong)


def record(tag, body, position=0):
    from vqcodec.bitstream.records import Head, checksum

    is_coded_chunk = tag & 0xC0 == 0x40 and tag & 0x3E
    head = Head(tag, len(body), size=len(body) if is_coded_chunk else None)
    return head.to_bytes() + body + checksum(head, body, position=position)


def test_unknown_skippable_records_are_passed_over_anywhere():
    header = make_header(10)
    codes = make_codes(header, 10)
    data = write(header, codes)
    start = len(header.to_bytes())
    extra = record(0x80, b"a later release's tag")
    assert np.array_equal(read(data[:start] + extra + data[start:]), codes)
    assert np.array_equal(read(data + record(0xFF, b"", position=10)), codes)


@pytest.mark.parametrize("tag", [0x00, 0x3F, 0x46, 0x7E])
def test_records_of_a_later_version_are_refused_by_name(tag):
    header = make_header(10)
    with pytest.raises(VersionError):
        read(header.to_bytes() + record(tag, b"12345678"))


def test_a_tiny_file_that_claims_a_trillion_samples_costs_nothing():
    header = Header(b"test", 16000, 320, 16000, 255, spec.MAX_SAMPLES, 255, 65536)
    with pytest.raises(TruncatedError):
        read(header.to_bytes() + record(0x40, b"x"))
