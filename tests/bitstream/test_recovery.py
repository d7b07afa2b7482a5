"""Damage that is passed over: resynchronisation, cut files, and the seconds that are named."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.bitstream import Header, VqcReader, VqcWriter, records, resync
from vqcodec.bitstream.binary import crc32, crc32_ahead_of, crc32_backwards
from vqcodec.bitstream.records import Head, checksum, head_from_bytes, position_of
from vqcodec.bitstream.spec import MAX_LOST_FRAMES
from vqcodec.errors import BitstreamError, TruncatedError

FRAMES, PER_CHUNK, LAYERS = 100, 25, 3


def make_file(entropy=None, *, known=True, tags=None):
    header = Header(b"test", 16000, 320, 16000, 1, FRAMES * 320 if known else None, LAYERS, 32)
    codes = (np.random.default_rng(0).random((1, LAYERS, FRAMES)) ** 6 * 32).astype(np.uint16)
    file = io.BytesIO()
    writer = VqcWriter(file, header, frames_per_chunk=PER_CHUNK, entropy=entropy, tags=tags)
    writer.write(codes)
    writer.close()
    return file.getvalue(), codes


def records_of(data):
    """Where each record begins, and the end."""
    reader = VqcReader(io.BytesIO(data))
    places = [len(reader.header.to_bytes())]
    for record in reader.records():
        places.append(places[-1] + record.head.head_bytes + len(record.body) + 4)
    return places


def recover(data, entropy=None):
    """Frames [F] that are right (by start), errors, and the frames that are lost."""
    errors, got, lost, at = [], {}, 0, 0
    for chunk in VqcReader(io.BytesIO(data)).chunks(entropy=entropy, on_damage=errors.append):
        assert chunk.start_frame == at
        at += chunk.codes.shape[2]
        if chunk.codes.shape[1]:
            got[chunk.start_frame] = chunk.codes
        else:
            lost += chunk.codes.shape[2]
    return got, errors, lost


def check(got, codes):
    for start, part in got.items():
        assert np.array_equal(part, codes[:, :, start : start + part.shape[2]])


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("change", [-40, -3, -1, 1, 2, 500])
@pytest.mark.parametrize("inside", [0, 2, 5, 30])
def test_inserted_and_missing_bytes_cost_the_chunk_that_they_hit(entropy, coded, known, change, inside):
    data, codes = make_file(entropy if coded else None, known=known)
    places = records_of(data)
    place = places[1] + inside
    bad = data[:place] + bytes(range(1, 256)) * 2 + data[place:] if change == 500 else None
    if bad is None:
        bad = data[:place] + b"\x5a" * change + data[place:] if change > 0 else data[:place] + data[place - change :]
    got, errors, lost = recover(bad, entropy if coded else None)
    check(got, codes)
    # Bytes before a record cost nothing; 40 missing ones may reach into the next.
    spans = 0 if inside == 0 and change > 0 else 2 if inside - change > places[2] - places[1] else 1
    assert lost == spans * PER_CHUNK
    assert len(got) == 4 - spans
    assert len(errors) == 1
    assert (errors[0].start_seconds, errors[0].end_seconds) == (0.5, 0.5 + 0.5 * spans)
    with pytest.raises(BitstreamError):
        list(VqcReader(io.BytesIO(bad)).chunks(entropy=entropy))


@pytest.mark.parametrize("known", [True, False])
def test_a_repeated_and_a_missing_chunk_are_noticed_and_passed_over(known):
    data, codes = make_file(known=known)
    places = records_of(data)
    repeated = data[: places[2]] + data[places[1] :]
    got, errors, lost = recover(repeated)
    check(got, codes)
    assert (len(got), lost, len(errors)) == (4, 0, 1)
    assert "no audio lost" in str(errors[0])
    missing = data[: places[1]] + data[places[2] :]
    got, errors, lost = recover(missing)
    check(got, codes)
    assert (len(got), lost, len(errors)) == (3, PER_CHUNK, 1)


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("known", [True, False])
def test_a_file_cut_anywhere_gives_its_whole_chunks(entropy, coded, known):
    model = entropy if coded else None
    data, codes = make_file(model, known=known)
    places = records_of(data)
    for length in range(places[0], len(data)):
        got, errors, lost = recover(data[:length], model)
        check(got, codes)
        assert len(got) == sum(place <= length for place in places[1:])
        assert lost == 0
        assert [type(error) for error in errors] == [TruncatedError]


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("known", [True, False])
def test_every_flipped_byte_costs_one_chunk_at_most(entropy, coded, known):
    model = entropy if coded else None
    data, codes = make_file(model, known=known, tags={"title": "x"})
    start = records_of(data)[0]
    for place in range(start, len(data)):
        for flip in (1, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[place] ^= flip
            got, errors, lost = recover(bytes(damaged), model)
            check(got, codes)
            frames = sum(part.shape[2] for part in got.values())
            assert frames + lost == FRAMES or (not known and frames == FRAMES - PER_CHUNK)
            assert frames >= FRAMES - PER_CHUNK
            assert len(errors) <= 1 or not known
            assert errors or frames == FRAMES


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_mutations_give_only_right_codes(data):
    whole, codes = make_file(known=data.draw(st.booleans()))
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged)))
        damaged[place : place + data.draw(st.integers(0, 60))] = data.draw(st.binary(max_size=60))
    try:
        got, _, _ = recover(bytes(damaged))
    except BitstreamError:
        return
    if VqcReader(io.BytesIO(bytes(damaged))).header == VqcReader(io.BytesIO(whole)).header:
        check(got, codes)


@given(st.integers(0, (1 << 40) - 1), st.binary(max_size=50), st.integers(1, 65535))
def test_a_checksum_tells_the_position(position, body, frames):
    head = Head(0x40, frames)
    stored = checksum(head, body, position=position)
    record = head.to_bytes() + body
    of_position = crc32_ahead_of(int.from_bytes(stored, "little"), start=0, end=crc32(record), length_bytes=len(record))
    assert of_position == crc32(position.to_bytes(8, "little"))
    assert position_of(of_position, near=position >> 32 << 32) == position


@given(st.binary(), st.binary(), st.binary(max_size=3000))
def test_what_stands_ahead_of_known_bytes_follows_from_their_ends(one, other, data):
    found = crc32_ahead_of(crc32(one + data), start=crc32(other), end=crc32(other + data), length_bytes=len(data))
    assert found == crc32(one)


def test_many_megabytes_may_lie_between():
    data = np.random.default_rng(0).bytes((1 << 24) - 1)
    found = crc32_ahead_of(crc32(b"one" + data), start=crc32(b""), end=crc32(data), length_bytes=len(data))
    assert found == crc32(b"one")


class Counted(io.BytesIO):
    """Counts the bytes that are read."""

    taken = 0

    def read(self, size=-1):
        data = super().read(size)
        self.taken += len(data)
        return data


def count_checked(monkeypatch):
    """Counts bytes of which a CRC-32 is computed: forwards in [0], backwards in [1]."""
    counts = [0, 0]

    def forwards(data, *before):
        counts[0] += len(data)
        return crc32(data, *before)

    def backwards(crc, data):
        counts[1] += len(data)
        return crc32_backwards(crc, data)

    for module in (records, resync):
        monkeypatch.setattr(module, "crc32", forwards)
    monkeypatch.setattr(records, "crc32_backwards", backwards)
    return counts


@pytest.mark.parametrize("frames", [1, 1000, 65535])
def test_heads_that_are_none_cost_what_their_bytes_cost(monkeypatch, frames):
    """Each claims a body that ends where another head begins, so that only the checksums tell."""
    header = Header(b"test", 16000, 320, 16000, 1, None, 12, 1024)
    frames = next(count for count in range(frames, 0, -1) if header.payload_bytes(count) % 4 == 0 or count == 1)
    heads = Head(0x40, frames).to_bytes() * 30_000
    file = Counted(header.to_bytes() + bytes(8) + heads)
    counts, errors = count_checked(monkeypatch), []
    assert [chunk.start_frame for chunk in VqcReader(file).chunks(on_damage=errors.append)] == []
    assert len(errors) == 1
    assert file.taken < 4 * len(heads)
    assert counts[0] < 4 * len(heads)
    assert counts[1] <= 16 * 30_000


@pytest.mark.parametrize("damaged", ["body", "head"])
def test_damage_everywhere_costs_what_its_bytes_cost(monkeypatch, damaged):
    """Every third of many small chunks is damaged, and claims 82,000 bytes."""
    header = Header(b"test", 16000, 320, 16000, 1, None, 1, 1024)
    body, data = bytes(header.payload_bytes(1)), header.to_bytes()
    for position in range(4200):
        head = Head(0x40, 1).to_bytes()
        record = head + body + checksum(Head(0x40, 1), body, position=position)
        if position % 3 == 1 and damaged == "body":
            record = Head(0x40, 65535).to_bytes() + record[4:]
        elif position % 3 == 1:
            record = b"\x40\xff\xff\x00" + record[4:]
        data += record
    file = Counted(data)
    counts, errors = count_checked(monkeypatch), []
    chunks = list(VqcReader(file).chunks(on_damage=errors.append))
    assert sum(chunk.codes.shape[1] for chunk in chunks) == 2800
    assert counts[0] < (1 << 26) + 100 * len(data)
    assert file.taken < (1 << 26) + 1400 * (1 << 17)


def test_a_jump_is_believed_within_bounds():
    """Chunks that are whole by themselves, each far behind the one before: silence for hours out of nothing."""
    header = Header(b"test", 16000, 320, 16000, 1, None, 1, 1024)
    body = bytes(header.payload_bytes(1))
    far = [record_at(position, body) for position in range(0, 40 * 65_500, 65_500)]
    errors = []
    chunks = list(VqcReader(io.BytesIO(header.to_bytes() + b"".join(far))).chunks(on_damage=errors.append))
    lost = sum(chunk.codes.shape[2] for chunk in chunks if not chunk.codes.shape[1])
    assert 65_500 <= lost + 1 <= MAX_LOST_FRAMES + 8 * 40 * len(far[0])
    assert errors


def test_a_loss_that_many_bytes_explain_is_believed():
    """After an hour that is whole, a chunk of an hour is lost."""
    header = Header(b"test", 16000, 320, 16000, 1, None, 1, 1024)
    hour = bytes(header.payload_bytes(60_000))
    parts = [record_at(position, hour, frames=60_000) for position in range(0, 8 * 60_000, 60_000)]
    kept = b"".join([*parts[:3], *parts[5:]])  # 120,000 frames
    errors = []
    chunks = list(VqcReader(io.BytesIO(header.to_bytes() + kept)).chunks(on_damage=errors.append))
    whole = [chunk.start_frame for chunk in chunks if chunk.codes.shape[1]]
    assert whole == [0, 60_000, 120_000, *range(300_000, 480_000, 60_000)]


def record_at(position, body, *, frames=1):
    head = Head(0x40, frames)
    return head.to_bytes() + body + checksum(head, body, position=position)


class Unseekable(io.RawIOBase):
    def __init__(self, data):
        self._data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        part = self._data.read(min(len(buffer), 11))
        buffer[: len(part)] = part
        return len(part)


def test_a_pipe_recovers_like_a_file():
    data, _ = make_file(tags={"title": "x"})
    for place in range(40, len(data), 3):
        for bad in (
            data[:place] + b"junk" + data[place:],
            data[:place] + data[place + 5 :],
            data[:place] + b"\xff" + data[place + 1 :],
        ):
            a, b = [], []
            seekable = [
                (c.start_frame, c.codes.tolist()) for c in VqcReader(io.BytesIO(bad)).chunks(on_damage=a.append)
            ]
            piped = [(c.start_frame, c.codes.tolist()) for c in VqcReader(Unseekable(bad)).chunks(on_damage=b.append)]
            assert seekable == piped
            assert list(map(str, a)) == list(map(str, b))


def test_a_last_chunk_whose_samples_cannot_be_is_passed_over_once():
    """Its checksum is right, so only its meaning tells: recovery must not come back to it for ever."""
    data, codes = make_file(known=False)
    start = records_of(data)[3]
    head = head_from_bytes(data[start:])
    body = bytes(5) + data[start + head.head_bytes + 5 : -4]
    wrong = data[: start + head.head_bytes] + body + checksum(head, body, position=3 * PER_CHUNK)
    with pytest.raises(BitstreamError, match="ask for another number"):
        list(VqcReader(io.BytesIO(wrong)).chunks())
    got, errors, lost = recover(wrong)
    check(got, codes)
    assert (sorted(got), len(errors), lost) == ([0, PER_CHUNK, 2 * PER_CHUNK], 1, 0)
