"""Damaged files: every truncation, every flipped byte, random mutations -> the right codes or our own error."""

import io
from pathlib import Path

import numpy as np
import pytest

from vqcodec.bitstream import Header, VqcReader, VqcWriter
from vqcodec.errors import BitstreamError, TruncatedError

GOLDEN = Path(__file__).parents[1] / "golden"


def make_file(*, known=True):
    header = Header(b"test", 16000, 320, 16000, 1, 60 * 320 if known else None, 2, 1024)
    codes = np.random.default_rng(0).integers(0, 1024, (1, 2, 60))
    file = io.BytesIO()
    writer = VqcWriter(file, header, frames_per_chunk=20)
    writer.write(codes)
    writer.close()
    return file.getvalue(), codes


def read(data):
    return np.concatenate([c.codes for c in VqcReader(io.BytesIO(data)).chunks()] or [np.zeros((1, 2, 0))], axis=2)


def test_memory_is_bounded(bounded_memory):
    with pytest.raises(MemoryError):
        bytearray(250_000_000)


@pytest.mark.parametrize("known", [True, False])
def test_every_truncation_is_an_error(known):
    data, _ = make_file(known=known)
    for length in range(len(data)):
        with pytest.raises(TruncatedError):
            read(data[:length])
        with pytest.raises(TruncatedError):
            VqcReader(io.BytesIO(data[:length])).scan()


@pytest.mark.parametrize("junk", [0, 12, 1000])
def test_no_more_frames_are_lost_than_the_bytes_can_have_held(junk):
    """A header may claim 2**40 samples; whoever conceals would write silence until the disk is full."""
    header = Header(b"test", 16000, 320, 16000, 1, (1 << 40) - 1, 2, 1024)
    damage = []
    chunks = VqcReader(io.BytesIO(header.to_bytes() + bytes(junk))).chunks(on_damage=damage.append)
    assert sum(chunk.codes.shape[2] for chunk in chunks) <= 256 + 8 * junk
    assert damage


@pytest.mark.parametrize("known", [True, False])
def test_every_flipped_byte_gives_the_right_codes_or_names_the_damage(known):
    data, codes = make_file(known=known)
    right = 0
    for place in range(len(data)):
        for flip in (1, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[place] ^= flip
            try:
                assert np.array_equal(read(bytes(damaged)), codes)
                right += 1
            except BitstreamError as error:
                assert "\n" not in str(error)
    assert right == 3 * 4 * 3, "the head of each chunk is repaired, nothing else"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.vqc")), ids=lambda path: path.stem)
def test_every_truncation_and_flip_of_a_golden_file_is_our_error_or_right_codes(entropy, path, bounded_memory):
    whole = path.read_bytes()
    start = len(VqcReader(io.BytesIO(whole)).header.to_bytes())
    wanted = {c.start_frame: c.codes for c in VqcReader(io.BytesIO(whole)).chunks(entropy=entropy)}
    damaged = [whole[:length] for length in range(len(whole))]
    damaged += [
        whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :] for at in range(len(whole)) for flip in (1, 0xFF)
    ]
    for number, data in enumerate(damaged):
        in_header = len(data) < start or data[:start] != whole[:start]
        if in_header:
            with pytest.raises(BitstreamError):
                VqcReader(io.BytesIO(data))
            continue
        errors = []
        for chunk in VqcReader(io.BytesIO(data)).chunks(entropy=entropy, on_damage=errors.append):
            if chunk.codes.shape[1]:
                assert np.array_equal(chunk.codes, wanted[chunk.start_frame]), number
        try:
            list(VqcReader(io.BytesIO(data)).chunks(entropy=entropy))
            assert not errors, "damage that is told is an error when nobody asks to be told"
        except BitstreamError:
            assert errors


@pytest.mark.slow
def test_ten_thousand_random_mutations_raise_only_our_errors_in_bounded_memory(bounded_memory):
    data, _ = make_file()
    random = np.random.default_rng(1)
    for number in range(10_000):
        damaged = bytearray(data)
        for _ in range(random.integers(1, 9)):
            place = int(random.integers(0, len(damaged) + 1))
            kind = random.integers(0, 3)
            if kind == 0:
                damaged[place : place + 1] = bytes([random.integers(0, 256)])
            elif kind == 1:
                del damaged[place : place + int(random.integers(1, 30))]
            else:
                damaged[place:place] = random.bytes(int(random.integers(1, 30)))
        try:
            reader = VqcReader(io.BytesIO(bytes(damaged)))
            on_damage = (lambda error: None) if number % 2 else None
            for chunk in reader.chunks(on_damage=on_damage):
                assert chunk.codes.shape[0] == reader.header.channels
            list(reader.records(on_damage=on_damage))
            reader.scan()
        except BitstreamError:
            pass
