"""Live streams in the container: chunks that leave when they are full, and readers that wait for no more."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqcodec.bitstream import Header, VqcReader, VqcWriter
from vqcodec.errors import DamagedError

HEADER = Header(b"test", 16000, 320, 16000, 1, None, 2, 1024)


class Sink(io.BytesIO):
    """Notes how much has been written at every flush."""

    def __init__(self):
        super().__init__()
        self.flushed = []

    def flush(self):
        self.flushed.append(self.tell())


class Pipe(io.RawIOBase):
    """Gives what has arrived, and fails instead of waiting for more."""

    def __init__(self):
        self.arrived = b""
        self.ended = False

    def readable(self):
        return True

    def read(self, size):
        if not self.arrived and not self.ended:
            raise AssertionError("the reader waits for bytes that it does not need")
        data, self.arrived = self.arrived[:size], self.arrived[size:]
        return data


def random_codes(frames):
    return np.random.default_rng(frames).integers(0, 1024, (1, 2, frames))


@pytest.mark.parametrize("per_chunk", [1, 4])
def test_a_chunk_leaves_when_its_last_frame_comes(per_chunk):
    file = Sink()
    writer = VqcWriter(file, HEADER, frames_per_chunk=per_chunk, live=True)
    header_bytes = len(HEADER.to_bytes())
    chunk_bytes = HEADER.payload_bytes(per_chunk) + 8
    codes = random_codes(9)
    for frame in range(9):
        writer.write(codes[:, :, frame : frame + 1])
        full = header_bytes + (frame + 1) // per_chunk * chunk_bytes
        assert file.flushed[-1] == file.tell() == full


@given(st.integers(0, 20), st.integers(1, 5), st.integers(0, 20), st.integers(0, 319))
def test_codes_and_length_come_back_however_the_end_falls(frames, per_chunk, tail, missing):
    frames, tail = max(frames, tail), min(frames, tail)
    samples = max(0, frames * 320 - missing)
    file, codes = io.BytesIO(), random_codes(frames)
    writer = VqcWriter(file, HEADER, frames_per_chunk=per_chunk, live=True)
    writer.write(codes[:, :, : frames - tail])
    writer.close(samples, tail=codes[:, :, frames - tail :])
    reader = VqcReader(io.BytesIO(file.getvalue()))
    chunks = [chunk.codes for chunk in reader.chunks()]
    assert np.array_equal(np.concatenate([codes[:, :, :0], *chunks], axis=2), codes)
    assert reader.samples == samples


def test_the_tail_is_in_the_last_chunk_so_that_the_length_is_known_before_it_is_played():
    file = io.BytesIO()
    writer = VqcWriter(file, HEADER, frames_per_chunk=2, live=True)
    writer.write(random_codes(4))
    writer.close(5 * 320 + 1, tail=random_codes(2))
    reader = VqcReader(io.BytesIO(file.getvalue()))
    assert [(chunk.start_frame, reader.samples) for chunk in reader.chunks()] == [(0, None), (2, None), (4, 1601)]


def test_without_live_a_tail_changes_no_byte():
    plain, tailed = io.BytesIO(), io.BytesIO()
    codes = random_codes(8)
    writer = VqcWriter(plain, HEADER, frames_per_chunk=4)
    writer.write(codes)
    writer.close()
    writer = VqcWriter(tailed, HEADER, frames_per_chunk=4)
    writer.write(codes[:, :, :3])
    writer.close(tail=codes[:, :, 3:])
    assert plain.getvalue() == tailed.getvalue()


def test_a_header_that_knows_its_length_is_no_live_stream():
    with pytest.raises(ValueError, match="live"):
        VqcWriter(io.BytesIO(), Header(b"test", 16000, 320, 16000, 1, 320, 2, 1024), live=True)


def live_records(frames):
    """The header, and each chunk of one frame."""
    file = Sink()
    writer = VqcWriter(file, HEADER, frames_per_chunk=1, live=True)
    codes = random_codes(frames)
    for frame in range(frames):
        writer.write(codes[:, :, frame : frame + 1])
    data = file.getvalue()
    return data[: file.flushed[0]], [data[a:b] for a, b in zip(file.flushed, file.flushed[1:], strict=False)], codes


def test_a_chunk_is_read_before_the_next_one_comes():
    header, records, codes = live_records(5)
    pipe = Pipe()
    pipe.arrived = header + records[0]
    chunks = VqcReader(pipe).chunks()
    for frame, record in enumerate(records):
        pipe.arrived = pipe.arrived if frame == 0 else record
        assert np.array_equal(next(chunks).codes, codes[:, :, frame : frame + 1])


@pytest.mark.parametrize("place", [0, 1, 3, 5])
def test_behind_a_damaged_byte_a_pipe_need_not_give_more_than_a_few_chunks(place):
    header, records, codes = live_records(8)
    records[2] = bytes([*records[2][:place], records[2][place] ^ 0x11, *records[2][place + 1 :]])
    pipe, errors = Pipe(), []
    pipe.arrived = header + records[0]
    chunks = VqcReader(pipe).chunks(on_damage=errors.append)
    got = [next(chunks)]
    pipe.arrived += b"".join(records[1:6])
    got += [next(chunks) for _ in range(3)]
    lost = [chunk.start_frame for chunk in got if chunk.codes.shape[1] == 0]
    assert [chunk.start_frame for chunk in got] == [0, 1, 2, 3]
    if place < 4:  # the head is repaired
        assert (lost, errors) == ([], [])
    else:
        assert lost == [2]
        assert [type(error) for error in errors] == [DamagedError]
    assert np.array_equal(got[3].codes, codes[:, :, 3:4])
