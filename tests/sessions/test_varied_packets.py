"""Packets of frames that have as many codebooks as they need: their bytes, losses, hostile ones, and what is heard."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.bitstream.binary import crc16
from vqcodec.errors import BitstreamError, DamagedError, TruncatedError
from vqcodec.sessions.depacketizer import Depacketizer, depacketize
from vqcodec.sessions.packetizer import Packetizer, packetize
from vqcodec.sessions.packets import from_bytes, to_bytes
from vqcodec.sessions.stream import DecodeSession, EncodeSession


def cut(codes, depths):
    """`codes` [C, K, n] that are -1 above depths [C, n]."""
    return np.where(np.arange(codes.shape[1])[:, None] < np.asarray(depths)[:, None], codes, -1)


def make_codes(frames, *, channels=1, num_codebooks=6, codebook_size=1024, seed=0, run=1):
    """Codes [C, K, n] of random depths, of which `run` in a row are the same."""
    random = np.random.default_rng(seed)
    depths = random.integers(1, num_codebooks + 1, (channels, frames)).repeat(run, axis=1)[:, :frames]
    return cut(random.integers(0, codebook_size, (channels, num_codebooks, frames)), depths)


def padded(items, channels, num_codebooks):
    """Codes [C, K, n] of what a depacketizer gave, -1 where there is none."""
    frames = [np.full((channels, num_codebooks, 0), -1)]
    for item in items:
        frame = np.full((channels, num_codebooks, 1 if item is None else item.shape[2]), -1)
        if item is not None:
            frame[:, : item.shape[1]] = item
        frames.append(frame)
    return np.concatenate(frames, axis=2)


def sealed(body, bits=10):
    """A packet of any content whose checksum is right."""
    return body + crc16(bytes([bits]) + body).to_bytes(2, "little")


shapes = {
    "frames": st.integers(0, 30),
    "channels": st.integers(1, 16),
    "num_codebooks": st.sampled_from([1, 2, 3, 4, 12, 255]),
    "run": st.integers(1, 20),
    "seed": st.integers(0, 9),
}


@given(
    **shapes,
    frames_per_packet=st.integers(1, 16),
    codebook_size=st.integers(2, 65536),
    redundancy=st.integers(0, 16),
    layers=st.integers(1, 16),
)
@settings(max_examples=40, deadline=None)
def test_codes_of_any_depths_come_back(frames_per_packet, redundancy, layers, **shape):
    codes = make_codes(**shape)
    kind = {"codebook_size": shape["codebook_size"]}
    packets = packetize(codes, frames_per_packet=frames_per_packet, redundancy=redundancy, layers=layers, **kind)
    assert len(packets) == -(-shape["frames"] // frames_per_packet)
    items = list(depacketize(packets, Depacketizer(channels=shape["channels"], **kind)))
    assert np.array_equal(padded(items, *codes.shape[:2]), codes)
    for item in items:
        depths = (item >= 0).sum(axis=1)
        assert (depths == depths[:, :1]).all()
        assert depths.max() == item.shape[1]
        assert item.dtype == (np.int32 if depths.min() < item.shape[1] else np.uint16)


@given(cuts=st.lists(st.integers(0, 30), max_size=5).map(sorted), frames_per_packet=st.integers(1, 4), **shapes)
@settings(max_examples=30, deadline=None)
def test_codes_of_any_depths_in_any_split_make_the_packets_of_all_at_once(cuts, frames_per_packet, **shape):
    codes = make_codes(**shape)
    options = {"frames_per_packet": frames_per_packet, "redundancy": 3, "layers": 2}
    packetizer = Packetizer(**options)
    packets = [packet for piece in np.split(codes, cuts, axis=2) for packet in packetizer.push(piece)]
    assert [*packets, *packetizer.flush()] == packetize(codes, **options)


def test_a_frame_in_a_packet_of_its_own_costs_what_its_codebooks_do():
    """Receivers that know nothing of depths read it."""
    codes = make_codes(20)
    for frame, packet in enumerate(packetize(codes)):
        alone = codes[:, codes[0, :, frame] >= 0, frame : frame + 1]
        assert [packet] == packetize(alone, first_frame=frame)
    pause = cut(make_codes(8, run=8), np.full((1, 8), 2))
    assert packetize(pause, frames_per_packet=4) == packetize(pause[:, :2], frames_per_packet=4)


def test_the_layout_with_depths_is_the_documented_one():
    """By hand: frames of two codebooks and of one; then one and three, behind them, of which two codebooks are."""
    codes = np.array([[[1, 2, 3, 4], [1023, -1, -1, 512], [-1, -1, -1, 5]]])
    payload = f"{1:010b}{2:010b}{1023:010b}00"
    first = b"\x02\x01" + bytes([0, 0x01, 0, 2, 0, 0b10_01_0000]) + int(payload, 2).to_bytes(4)
    payload = f"{3:010b}{4:010b}{512:010b}{5:010b}{1:010b}{2:010b}{1023:010b}00"
    second = b"\x04\x01" + bytes([0, 0x01, 0, 3, 2, 0b01_11_10_01]) + int(payload, 2).to_bytes(9)
    options = {"frames_per_packet": 2, "first_frame": 0x0102, "redundancy": 2, "layers": 2}
    assert packetize(codes, **options) == [sealed(first), sealed(second)]


def test_channels_of_different_depths_are_the_documented_layout():
    codes = np.array([[[7], [-1]], [[8], [9]]])
    body = bytes([0, 0, 0, 0x10, 0, 2, 0, 0b01_10_0000]) + int(f"{7:010b}{8:010b}{9:010b}00", 2).to_bytes(4)
    assert packetize(codes) == [sealed(body)]
    (item,) = Depacketizer(channels=2).push(sealed(body))
    assert item.tolist() == codes.tolist()


@pytest.mark.parametrize(
    ("depths", "frames_per_packet", "packet_bytes"),
    [([1, 1, 1, 1], 4, 6 + 5), ([1, 1, 2, 2], 4, 9 + 1 + 8), ([1, 6, 6, 6], 4, 9 + 2 + 24), ([1, 12], 2, 9 + 1 + 17)],
)
def test_depths_cost_3_bytes_and_their_bits(depths, frames_per_packet, packet_bytes):
    codes = cut(np.zeros((1, 12, len(depths)), np.int64), [depths])
    (packet,) = packetize(codes, frames_per_packet=frames_per_packet)
    assert len(packet) == packet_bytes


@given(st.sets(st.integers(0, 12)), st.integers(0, 6), st.integers(1, 6), st.integers(1, 3), st.integers(1, 2))
@settings(max_examples=40, deadline=None)
def test_a_lost_frame_comes_back_with_codebooks_that_it_had(lost, redundancy, layers, frames_per_packet, channels):
    """As many of the lowest `layers` as all have that are repeated, or more; exactly so many where layers is 1."""
    codes = make_codes(40, channels=channels, run=2)
    packets = packetize(codes, frames_per_packet=frames_per_packet, redundancy=redundancy, layers=layers)
    left = [packet for number, packet in enumerate(packets) if number not in lost]
    items = padded(depacketize(left, Depacketizer(channels=channels, first_frame=0)), *codes.shape[:2])
    assert items.shape == codes.shape
    gone = np.isin(np.arange(40) // frames_per_packet, list(lost))
    assert np.array_equal(items[:, :, ~gone], codes[:, :, ~gone])
    back = items[:, :, gone]
    assert ((back == codes[:, :, gone]) | (back == -1)).all()
    assert (back[:, layers:] == -1).all()
    if redundancy >= 2 * frames_per_packet and not any({number, number + 1} <= lost for number in lost):
        assert (back[:, 0] >= 0).all()


def test_where_depths_are_told_each_frame_is_repeated_with_as_many_codebooks_as_it_has():
    codes = cut(make_codes(6, seed=1) % 2, [[6, 1, 3, 2, 1, 4]])
    codes[:, :4] = np.where(codes[:, :4] < 0, -1, 5)
    packets = packetize(codes, frames_per_packet=2, redundancy=2, layers=3)
    items = list(depacketize([packets[0], packets[2]]))
    assert [item.shape for item in items] == [(1, 6, 1), (1, 1, 1), (1, 3, 1), (1, 2, 1), (1, 1, 1), (1, 4, 1)]


def test_a_frame_of_few_codebooks_holds_back_others_only_as_long_as_it_is_repeated():
    codes = cut(np.zeros((1, 6, 9), np.int64), [[6, 6, 6, 1, 6, 6, 6, 6, 6]])
    packets = packetize(codes, redundancy=2, layers=3)
    repeated = [from_bytes(packet, 10).before.shape[1:] for packet in packets[2:]]
    assert repeated == [(3, 2), (3, 2), (1, 2), (1, 2), (3, 2), (3, 2), (3, 2)]


VARIED = make_codes(12, channels=2, num_codebooks=5)
PACKETS = [*packetize(VARIED, frames_per_packet=4, redundancy=3, layers=2), *packetize(VARIED)[:2]]


def test_every_damaged_byte_and_every_truncation_of_packets_with_depths_is_our_error():
    for packet in PACKETS[1:2]:
        for place in range(len(packet)):
            for flip in range(1, 256):
                damaged = packet[:place] + bytes([packet[place] ^ flip]) + packet[place + 1 :]
                with pytest.raises(DamagedError):
                    Depacketizer(channels=2).push(damaged)
        for length in range(len(packet)):
            with pytest.raises(TruncatedError if length < 6 else DamagedError):
                Depacketizer(channels=2).push(packet[:length])


HEAD = b"\x00\x00\x00\x01\x00"


@pytest.mark.parametrize(
    "body",
    [
        HEAD,
        HEAD + b"\x02",
        HEAD + b"\x02\x00",
        HEAD + b"\x00\x00" + bytes(4),
        HEAD + b"\x02\x11" + bytes([0b01_10_01_01, *[0b01_01_01_01] * 3, 0b01_01_01_00]) + bytes(25),
        HEAD + b"\x02\x00" + bytes([0b00_10_0000]) + bytes(3),
        HEAD + b"\x02\x00" + bytes([0b11_10_0000]) + bytes(7),
        HEAD + b"\x03\x00" + bytes([0b01_10_0000]) + bytes(4),
        HEAD + b"\x02\x00" + bytes([0b10_10_0000]) + bytes(5),
        HEAD + b"\x02\x02" + bytes([0b10_10_01_01]) + bytes(8),
        HEAD + b"\x02\x00" + bytes([0b01_10_0001]) + bytes(4),
        HEAD + b"\x02\x00" + bytes([0b01_10_0000]) + b"\x00\x00\x00\x01",
        HEAD + b"\x02\x00" + bytes([0b01_10_0000]) + bytes(3),
        HEAD + b"\x02\x00" + bytes([0b01_10_0000]) + bytes(5),
        b"\x00\x00\x00\xff\x00\xff\x10" + b"\xff" * 512,
        b"\x00\x00\x00\xff\x00\xff\x10" + b"\xff" * 511 + b"\xfe",
    ],
    ids=[
        *("head ends at K", "head ends at r", "no depths", "depths up to 0", "17 frames repeated", "a depth of 0"),
        *("a depth above K", "no depth that is K", "all depths the same", "all the same in both", "bits behind depths"),
        *("bits behind codes", "a byte too few", "a byte too many", "the most depths", "the most codes"),
    ],
)
def test_depths_that_contradict_themselves_are_refused_with_a_right_checksum(body):
    for channels in (1, 16):
        with pytest.raises(BitstreamError) as caught:
            Depacketizer(channels=channels).push(sealed(body))
        assert "\n" not in str(caught.value)


@given(
    which=st.integers(0, 4),
    edits=st.lists(st.tuples(st.integers(0, 60), st.one_of(st.integers(0, 17), st.integers(0, 255))), max_size=3),
    end=st.integers(-3, 3),
)
@settings(max_examples=150, deadline=None)
def test_what_is_read_of_a_bent_packet_is_what_would_be_written(which, edits, end):
    """So no two packets mean the same, and what is none ends in our error."""
    body = bytearray(PACKETS[which][:-2])
    for place, byte in edits:
        body[place % min(len(body), 12)] = byte
    data = sealed(bytes(body[: len(body) + min(end, 0)]) + bytes(max(end, 0)))
    try:
        packet = from_bytes(data, 10)
    except BitstreamError as error:
        assert "\n" not in str(error)
    else:
        assert to_bytes(packet, 10) == data


def test_packets_with_depths_of_another_kind_of_stream_are_refused():
    codes = cut(np.full((1, 4, 2), 999), [[1, 4]])
    (packet,) = packetize(codes, frames_per_packet=2)
    assert len(Depacketizer(total_codebooks=4, codebook_size=1000).push(packet)) == 2
    for options in ({"total_codebooks": 3}, {"codebook_size": 999}, {"channels": 2}):
        with pytest.raises(BitstreamError):
            Depacketizer(**options).push(packet)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.array([[[1, -1], [1, -1]]]), "a frame has no code, expected one or more"),
        (np.array([[[1, 1], [1, 1]], [[-1, 1], [-1, 1]]]), "a frame has no code, expected one or more"),
        (np.array([[[1, 1], [-1, 1], [1, -1]]]), "a frame has a code above one that is -1, which is not a depth"),
        (np.array([[[1, 1], [-2, 1]]]), "codes are not integers in 0..1023, or -1 above a depth"),
        (np.array([[[1, 1], [-1, 1024]]]), "codes are not integers in 0..1023, or -1 above a depth"),
    ],
)
def test_what_are_no_depths_is_refused_and_the_stream_goes_on(codes, message):
    packetizer = Packetizer(frames_per_packet=2, redundancy=2)
    good = make_codes(4)
    packets = packetizer.push(good[:, :, :3])
    with pytest.raises(ValueError, match=message):
        packetizer.push(codes)
    assert [*packets, *packetizer.push(good[:, :, 3:])] == packetize(good, frames_per_packet=2, redundancy=2)


def test_a_session_plays_packets_with_depths_as_it_plays_a_file_also_where_some_are_lost(codec, speech):
    waves = np.stack((speech[:12800], speech[8000:20800]))
    codes = EncodeSession(codec, kbps=3, batch=2).push(waves)
    for count, frames_per_packet in ((1, 1), (2, 3)):
        its = cut(codes[:count], np.random.default_rng(1).integers(1, 7, (count, 10)).repeat(4, axis=1))
        lost = np.isin(np.arange(40) // frames_per_packet, (4, 5, 9))
        packets = packetize(its, frames_per_packet=frames_per_packet)
        left = [packet for number, packet in enumerate(packets) if number not in (4, 5, 9)]
        session, whole = DecodeSession(codec, batch=count), DecodeSession(codec, batch=count)
        items = depacketize(left, Depacketizer(channels=count))
        wave = np.concatenate([*(session.push(item) for item in items), session.flush()], axis=1)
        wanted = np.concatenate((whole.push(its, lost), whole.flush()), axis=1)
        assert wave.shape == wanted.shape == (count, 12800)
        assert np.abs(wave - wanted).max() < 1e-5  # float rounding, as of any split
