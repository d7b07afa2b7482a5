"""The bytes of packets, and what Packetizer and Depacketizer make of codes and losses."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.bitstream.binary import crc16
from vqcodec.errors import BitstreamError, DamagedError, TruncatedError
from vqcodec.sessions.depacketizer import MAX_GAP_FRAMES, Depacketizer, depacketize
from vqcodec.sessions.packetizer import Packetizer, packetize
from vqcodec.sessions.stream import DecodeSession


def make_codes(frames, *, channels=1, num_codebooks=3, codebook_size=1024):
    return np.random.default_rng(frames).integers(0, codebook_size, (channels, num_codebooks, frames))


def received(items, channels=1, num_codebooks=3):
    """Codes [C, K, n] of what a depacketizer gave, -1 where a frame is lost."""
    lost = np.full((channels, num_codebooks, 1), -1)
    empty = lost[:, :, :0]
    return np.concatenate([empty, *(lost if item is None else item.astype(np.int64) for item in items)], axis=2)


def receive(packets, **options):
    return received(depacketize(packets, Depacketizer(**options)))


def with_lost(codes, *frames):
    lost = codes.copy()
    lost[:, :, list(frames)] = -1
    return lost


def sealed(body, bits=10):
    """A packet of any content whose checksum is right."""
    return body + crc16(bytes([bits]) + body).to_bytes(2, "little")


@given(
    frames=st.integers(0, 40),
    channels=st.integers(1, 16),
    num_codebooks=st.integers(1, 255),
    frames_per_packet=st.integers(1, 16),
    codebook_size=st.integers(2, 65536),
)
@settings(max_examples=60, deadline=None)
def test_codes_come_back(frames, channels, num_codebooks, frames_per_packet, codebook_size):
    codes = make_codes(frames, channels=channels, num_codebooks=num_codebooks, codebook_size=codebook_size)
    packets = packetize(codes, frames_per_packet=frames_per_packet, codebook_size=codebook_size)
    assert len(packets) == -(-frames // frames_per_packet)
    back = list(depacketize(packets, Depacketizer(channels=channels, codebook_size=codebook_size)))
    assert np.array_equal(received(back, channels, num_codebooks), codes)


def test_the_layout_is_the_documented_one():
    """By hand: number 0x0102, 2 codebooks, 1 channel, 3 frames; the codes of the example in the .vqc format."""
    codes = np.array([[[1, 2, 3], [1023, 0, 512]]])
    payload = f"{1:010b}{2:010b}{3:010b}{1023:010b}{0:010b}{512:010b}0000"
    body = b"\x02\x01\x02\x02" + int(payload, 2).to_bytes(8)
    assert packetize(codes, frames_per_packet=3, first_frame=0x0102) == [sealed(body)]


@pytest.mark.parametrize(("num_codebooks", "packet_bytes"), [(1, 8), (3, 10), (12, 21)])
def test_a_packet_is_6_bytes_and_its_codes(num_codebooks, packet_bytes):
    assert {len(packet) for packet in packetize(make_codes(9, num_codebooks=num_codebooks))} == {packet_bytes}


GOLDEN_CODES = (np.arange(30).reshape(2, 3, 5) * 37) % 1024
GOLDEN = [
    (
        GOLDEN_CODES[:1],
        {"first_frame": 65534},
        ["feff0300000b95c84c00", "ffff0300094de65cd285", "00000300129036f0d0f7", "010003001bd287849623",
         "020003002514d818b3ad"],
    ),
    (
        GOLDEN_CODES,
        {"frames_per_packet": 3, "first_frame": 7},
        ["070003120002512a2b942752e4de40ee4c272e5c9976f39df0be70771a", "0a0003111bc94a6abf4a14dd4f7878606030313ae0"],
    ),
    (GOLDEN_CODES[:1, :1] % 16, {"frames_per_packet": 5, "codebook_size": 16}, ["0000010405af4087f0"]),
]  # fmt: skip


@pytest.mark.parametrize(("codes", "options", "packets"), GOLDEN)
def test_packets_of_version_0_1_are_written_and_read_as_they_were(codes, options, packets):
    packets = [bytes.fromhex(packet) for packet in packets]
    assert packetize(codes, **options) == packets
    kind = {name: options[name] for name in options if name in ("first_frame", "codebook_size")}
    items = depacketize(packets, Depacketizer(channels=len(codes), **kind))
    assert np.array_equal(received(items, *codes.shape[:2]), codes)


def test_the_layout_with_redundancy_is_the_documented_one():
    """By hand: two codebooks and one frame after two others, of which the first codebook is repeated."""
    codes = np.array([[[1, 2, 3], [1023, 0, 512]]])
    payload = f"{3:010b}{512:010b}{1:010b}{2:010b}"
    body = b"\x04\x01" + bytes([0, 0x00, 2, 0x01]) + int(payload, 2).to_bytes(5)
    assert packetize(codes, first_frame=0x0102, redundancy=2)[2] == sealed(body)
    with_two = f"{3:010b}{512:010b}{1:010b}{2:010b}{1023:010b}{0:010b}0000"
    body = b"\x04\x01" + bytes([0, 0x00, 2, 0x11]) + int(with_two, 2).to_bytes(8)
    assert packetize(codes, first_frame=0x0102, redundancy=2, layers=2)[2] == sealed(body)


@pytest.mark.parametrize(
    ("num_codebooks", "redundancy", "layers", "packet_bytes"),
    [(3, 1, 1, 13), (6, 0, 1, 14), (6, 1, 1, 17), (6, 2, 1, 18), (6, 2, 2, 21), (12, 3, 3, 35)],
)
def test_redundancy_costs_2_bytes_and_its_codes(num_codebooks, redundancy, layers, packet_bytes):
    codes = make_codes(9, num_codebooks=num_codebooks)
    packets = packetize(codes, redundancy=redundancy, layers=layers)
    assert {len(packet) for packet in packets[redundancy:]} == {packet_bytes}
    assert packets[0] == packetize(codes)[0], "nothing came before"


@given(
    cuts=st.lists(st.integers(0, 30), max_size=5).map(sorted),
    frames_per_packet=st.integers(1, 4),
    redundancy=st.integers(0, 16),
    layers=st.integers(1, 16),
)
@settings(max_examples=60, deadline=None)
def test_codes_pushed_in_any_split_make_the_packets_of_all_at_once(cuts, frames_per_packet, redundancy, layers):
    codes = make_codes(30, channels=2)
    options = {"frames_per_packet": frames_per_packet, "redundancy": redundancy, "layers": layers, "first_frame": 65530}
    packetizer = Packetizer(**options)
    packets = [packet for piece in np.split(codes, cuts, axis=2) for packet in packetizer.push(piece)]
    packets += packetizer.flush()
    assert packets == packetize(codes, **options)
    assert np.array_equal(received(depacketize(packets, Depacketizer(channels=2)), 2), codes)


def lowest(codes, layers, *frames):
    """`codes` where of some frames only the lowest layers are left; -1 where a code is not."""
    left = codes.copy()
    left[:, layers:, list(frames)] = -1
    return left


def padded(items, num_codebooks=3):
    """As `received`, where items may have fewer codebooks: -1 for those that are not there."""
    frames = []
    for item in items:
        frame = np.full((1, num_codebooks, 1 if item is None else item.shape[2]), -1)
        if item is not None:
            frame[:, : item.shape[1]] = item
        frames.append(frame)
    return np.concatenate(frames, axis=2)


@given(
    st.sets(st.integers(0, 39)),
    st.integers(0, 4),
    st.integers(1, 2),
    st.integers(0, 3),
)
@settings(max_examples=100, deadline=None)
def test_a_lost_frame_comes_back_from_the_next_packets_that_came(lost, redundancy, layers, reorder_packets):
    """It is given up when `reorder_packets` + 1 packets behind it have come: what they repeat is known."""
    codes = make_codes(40)
    packets = packetize(codes, redundancy=redundancy, layers=layers)
    depacketizer = Depacketizer(first_frame=0, reorder_packets=reorder_packets)
    items = list(depacketize([packet for frame, packet in enumerate(packets) if frame not in lost], depacketizer))
    came = [frame for frame in range(40) if frame not in lost]
    end = came[-1] + 1 if came else 0
    back = {frame for frame in lost if frame < end and min(c for c in came if c > frame) - frame <= redundancy}
    gone = {frame for frame in lost if frame < end} - back
    wanted = lowest(codes, layers, *back)
    wanted[:, :, list(gone)] = -1
    if end:
        assert np.array_equal(padded(items), wanted[:, :, :end])
    assert (depacketizer.recovered_frames, depacketizer.lost_frames) == (len(back), len(gone))


def test_a_frame_that_is_late_within_the_bound_is_whole_though_it_was_repeated():
    codes = make_codes(10)
    packets = packetize(codes, redundancy=2)
    late = packets[:3] + packets[4:6] + [packets[3]] + packets[6:]
    assert np.array_equal(receive(late, reorder_packets=2), codes)


def test_a_lost_packet_of_several_frames_comes_back_where_as_many_are_repeated():
    codes = make_codes(30)
    packets = packetize(codes, frames_per_packet=3, redundancy=3)
    items = list(depacketize(packets[:4] + packets[5:]))
    assert np.array_equal(padded(items), lowest(codes, 1, 12, 13, 14))
    packets = packetize(codes, frames_per_packet=3, redundancy=2)
    fewer = list(depacketize(packets[:4] + packets[5:]))
    assert fewer[4] is None
    assert [item.shape for item in fewer[5:7]] == [(1, 1, 1)] * 2


def test_of_several_copies_the_one_with_most_codebooks_is_taken():
    codes = make_codes(6)
    packets = packetize(codes, redundancy=2)[:4] + packetize(codes, redundancy=2, layers=2)[4:]
    items = list(depacketize(packets[:2] + packets[3:]))
    assert items[2].shape == (1, 2, 1)


def test_who_joins_late_hears_nothing_of_before_but_one_who_knows_the_beginning_does():
    codes = make_codes(20)
    packets = packetize(codes, redundancy=2)
    assert np.array_equal(receive(packets[5:]), codes[:, :, 5:])
    items = list(depacketize(packets[1:], Depacketizer(first_frame=0)))
    assert np.array_equal(padded(items), lowest(codes, 1, 0))


def test_what_must_be_played_now_is_played_from_a_packet_that_came_behind_it():
    codes = make_codes(10)
    packets = packetize(codes, redundancy=1)
    depacketizer = Depacketizer(reorder_packets=5)
    items = [*depacketizer.push(packets[0]), *depacketizer.push(packets[2]), *depacketizer.skip()]
    assert np.array_equal(padded(items), lowest(codes, 1, 1)[:, :, :3])


def test_redundancy_follows_codebooks_and_channels_that_change():
    packetizer = Packetizer(redundancy=3, layers=2)
    packets = [
        *packetizer.push(make_codes(2, num_codebooks=6)),
        *packetizer.push(make_codes(2, num_codebooks=1)),
        *packetizer.push(make_codes(2, num_codebooks=6)),
        *packetizer.push(make_codes(1, channels=2)),
    ]
    # Head, codes, checksum: of two layers, then of the one that all frames before have.
    assert [len(packet) for packet in packets] == [14, 6 + 10 + 2, 6 + 7 + 2, 6 + 5 + 2, 6 + 12 + 2, 6 + 12 + 2, 6 + 8]


@pytest.mark.parametrize("frames_per_packet", [1, 3])
def test_every_single_lost_packet_costs_its_own_frames_only(frames_per_packet):
    codes = make_codes(30)
    packets = packetize(codes, frames_per_packet=frames_per_packet)
    for number in range(len(packets) - 1):
        left = packets[:number] + packets[number + 1 :]
        start = number * frames_per_packet
        wanted = with_lost(codes, *range(start, start + frames_per_packet))
        assert np.array_equal(receive(left, first_frame=0), wanted)
    assert np.array_equal(receive(packets[:-1], first_frame=0), codes[:, :, :-frames_per_packet])


def test_nothing_waits_without_a_loss():
    depacketizer = Depacketizer()
    assert [len(depacketizer.push(packet)) for packet in packetize(make_codes(20))] == [1] * 20


@pytest.mark.parametrize("reorder_packets", [0, 1, 2, 5])
def test_a_lost_packet_is_given_up_when_more_than_the_bound_wait_behind_it(reorder_packets):
    packets = packetize(make_codes(20))
    depacketizer = Depacketizer(reorder_packets=reorder_packets)
    given_frames = [len(depacketizer.push(packet)) for packet in packets[:3] + packets[4:]]
    assert given_frames[3 : 3 + reorder_packets] == [0] * reorder_packets
    assert given_frames[3 + reorder_packets] == 1 + reorder_packets + 1


@given(st.lists(st.integers(0, 3), min_size=40, max_size=40), st.sets(st.integers(1, 39)), st.data())
@settings(max_examples=100, deadline=None)
def test_packets_repeated_and_late_within_the_bound_come_back_in_order(delays, repeated, data):
    codes = make_codes(40)
    packets = packetize(codes)
    # A packet that is delayed by d is overtaken by d others at most.
    order = sorted(range(40), key=lambda number: (number + delays[number] + 0.5 * (delays[number] > 0), number))
    for number in repeated:
        order.insert(data.draw(st.integers(order.index(number) + 1, len(order))), number)
    assert np.array_equal(receive([packets[number] for number in order], first_frame=0, reorder_packets=3), codes)


def test_a_packet_later_than_the_bound_is_passed_over():
    codes = make_codes(20)
    packets = packetize(codes)
    late = packets[:3] + packets[4:12] + [packets[3]] + packets[12:]
    assert np.array_equal(receive(late), with_lost(codes, 3))


@pytest.mark.parametrize("frames_per_packet", [1, 3, 16])
def test_numbers_wrap_around(frames_per_packet):
    codes = make_codes(96)
    packets = packetize(codes, frames_per_packet=frames_per_packet, first_frame=(1 << 32) - 48)
    assert np.array_equal(receive(packets), codes)
    lost = len(packets) // 2
    packets[lost - 1], packets[lost + 1] = packets[lost + 1], packets[lost - 1]
    wanted = with_lost(codes, *range(lost * frames_per_packet, (lost + 1) * frames_per_packet))
    assert np.array_equal(receive(packets[:lost] + packets[lost + 1 :]), wanted)


def test_a_stream_goes_on_through_many_wraps():
    depacketizer, packet = Depacketizer(), {}
    for frame in range(0, 200_000, 16):
        number = frame % 65536
        if number not in packet:
            packet[number] = packetize(np.full((1, 1, 16), frame % 1000), frames_per_packet=16, first_frame=frame)[0]
        (codes,) = depacketizer.push(packet[number])
        assert codes.shape == (1, 1, 16)
    assert len(packet) == 4096


def test_codebooks_and_frames_per_packet_may_change_within_a_stream():
    codes = make_codes(8, num_codebooks=12)
    packets = packetize(codes[:, :3, :4])
    packets += packetize(codes[:, :, 4:6], first_frame=4)
    packets += packetize(codes[:, :1, 6:], frames_per_packet=2, first_frame=6)
    items = list(depacketize(packets))
    assert [item.shape for item in items] == [(1, 3, 1)] * 4 + [(1, 12, 1)] * 2 + [(1, 1, 2)]
    assert np.array_equal(items[4], codes[:, :, 4:5])


def test_packets_that_overlap_give_each_frame_once():
    """A sender may send frames again, grouped otherwise."""
    codes = make_codes(12)
    threes = packetize(codes, frames_per_packet=3)
    twos = packetize(codes, frames_per_packet=2)
    assert np.array_equal(receive([threes[0], twos[0], twos[1], threes[1], *twos[3:]]), codes)


def test_skipping_gives_up_what_cannot_be_waited_for():
    codes = make_codes(10)
    packets = packetize(codes)
    depacketizer = Depacketizer(reorder_packets=5)
    assert depacketizer.skip() == []
    items = [*depacketizer.push(packets[0]), *depacketizer.push(packets[2])]
    assert len(items) == 1
    items += depacketizer.skip()
    items += depacketizer.push(packets[1])  # too late
    items += depacketizer.push(packets[3])
    assert np.array_equal(received(items), with_lost(codes, 1)[:, :, :4])
    assert [depacketizer.skip() for _ in range(6)] == [[None]] * 6
    assert np.array_equal(received(depacketizer.push(packetize(codes, first_frame=10)[0])), codes[:, :, :1])


def test_after_flush_a_depacketizer_starts_anew():
    codes = make_codes(10)
    depacketizer = Depacketizer()
    for first in (0, 60_000, 5):
        items = [item for packet in packetize(codes, first_frame=first) for item in depacketizer.push(packet)]
        assert np.array_equal(received([*items, *depacketizer.flush()]), codes)


def test_a_claimed_gap_gives_no_more_lost_frames_than_the_bound():
    codes = make_codes(4)
    packets = packetize(codes)
    for claimed in (MAX_GAP_FRAMES + 5, 32_767, 32_768, 40_000, 65_535 - MAX_GAP_FRAMES):
        hostile = packetize(codes[:, :, :1], first_frame=claimed)
        assert np.array_equal(receive(packets[:2] + hostile + packets[2:], reorder_packets=0), codes), claimed
    near = packetize(codes[:, :, :1], first_frame=MAX_GAP_FRAMES)
    items = list(depacketize(packets[:1] + near, Depacketizer(reorder_packets=0)))
    assert sum(item is None for item in items) == MAX_GAP_FRAMES - 1


@pytest.mark.parametrize("first_frame", [20_000, 65_535])
def test_a_sender_who_starts_anew_far_away_is_followed_at_the_second_packet(first_frame):
    codes = make_codes(6)
    packets = packetize(codes, first_frame=1000) + packetize(codes, first_frame=first_frame)
    wanted = np.concatenate((codes, codes[:, :, 1:]), axis=2)
    assert np.array_equal(receive(packets), wanted)
    # What waits behind a loss is not forgotten.
    del packets[4]
    assert np.array_equal(receive(packets), with_lost(wanted, 4))


def test_strays_between_packets_of_the_stream_are_not_followed():
    codes = make_codes(10)
    strays = packetize(codes, first_frame=20_000)
    mixed = [packet for pair in zip(packetize(codes), strays, strict=True) for packet in pair]
    assert np.array_equal(receive(mixed), codes)


def test_every_damaged_byte_and_every_truncation_is_our_error():
    redundant = packetize(make_codes(2), redundancy=1)[1:]
    for packet in (
        packetize(make_codes(2), frames_per_packet=2) + packetize(make_codes(1, num_codebooks=12)) + redundant
    ):
        for place in range(len(packet)):
            for flip in range(1, 256):
                damaged = packet[:place] + bytes([packet[place] ^ flip]) + packet[place + 1 :]
                with pytest.raises(DamagedError):
                    Depacketizer().push(damaged)
        for length in range(len(packet)):
            with pytest.raises(TruncatedError if length < 6 else DamagedError):
                Depacketizer().push(packet[:length])


@pytest.mark.parametrize(
    "body",
    [
        b"\x00\x00\x00\x00",
        b"\x00\x00\x03\x00",
        b"\x00\x00\x03\x00" + bytes(5),
        b"\x00\x00\x03\x10" + bytes(8),
        b"\x00\x00\xff\xff" + bytes(4),
        b"\x00\x00\x03\x00\x00\x00\x00\x01",
        b"\x00\x00\x00\x00\x00\x00" + bytes(4),
        b"\x00\x00\x00\x00\x03",
        b"\x00\x00\x00\x00\x03\x00" + bytes(4),
        b"\x00\x00\x00\x00\x03\xff" + bytes(6),
    ],
    ids=[
        *("no codebooks", "no codes", "a byte too many", "another channel", "65280 codes", "bits behind the codes"),
        *("no codebooks but redundancy", "a head that ends", "no redundancy behind the head", "256 codes more"),
    ],
)
def test_a_packet_that_contradicts_itself_is_refused_with_a_right_checksum(body):
    with pytest.raises(BitstreamError):
        Depacketizer().push(sealed(body))


def test_packets_of_another_kind_of_stream_are_refused():
    refused = [
        packetize(make_codes(1, channels=2)),
        packetize(make_codes(1, num_codebooks=13)),
        packetize(np.full((1, 3, 1), 1000)),
        packetize(make_codes(1, codebook_size=512), codebook_size=512),
        packetize(np.array([[[1000, 1]]]), redundancy=1)[1:],
        [sealed(b"\x00\x00\x00\x00\x01\xd0" + bytes((15 * 10 + 7) // 8))],
    ]
    for (packet,) in refused:
        with pytest.raises(BitstreamError):
            Depacketizer(total_codebooks=12, codebook_size=1000).push(packet)


def test_damage_is_told_once_and_costs_one_packet():
    codes = make_codes(10)
    packets = packetize(codes)
    packets[4] = packets[4][:-1] + b"x"
    errors = []
    assert np.array_equal(receive(packets, on_damage=errors.append), with_lost(codes, 4))
    assert [type(error) for error in errors] == [DamagedError]
    depacketizer = Depacketizer()
    items = []
    for packet in packets:
        try:
            items += depacketizer.push(packet)
        except DamagedError:
            continue
    assert np.array_equal(received([*items, *depacketizer.flush()]), with_lost(codes, 4))


def test_a_bad_packet_does_not_end_a_call_but_one_of_bad_packets_only_does():
    codes = make_codes(10)
    packets = packetize(codes)
    packets[4] = b"not a packet"
    packets[7] = packets[7][:-1]
    depacketizer = Depacketizer()
    with pytest.warns(UserWarning, match=r"2 of 10 packets cannot be read and count as lost; the first: the checksum"):
        assert np.array_equal(received(depacketize(packets, depacketizer)), with_lost(codes, 4, 7))
    assert (depacketizer.damaged_packets, depacketizer.lost_frames) == (2, 2)
    with pytest.raises(BitstreamError, match="none of 2 packets can be read; the first: a packet has 1 bytes"):
        list(depacketize([b"x", b"y" * 20]))
    with pytest.raises(BitstreamError, match="none of 10 packets can be read$"):
        list(depacketize(packets, Depacketizer(codebook_size=2048, on_damage=lambda error: None)))
    assert list(depacketize([])) == []
    with pytest.raises(TypeError, match="packet is a str, expected bytes"):
        list(depacketize(["0a"]))


bodies = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda number, k, shape, codes: number.to_bytes(2, "little") + bytes([k, shape]) + codes,
        st.integers(0, 65535),
        st.integers(0, 4),
        st.sampled_from([0, 1, 16]),
        st.binary(max_size=6),
    ),
    st.builds(
        lambda number, repeated, codes: number.to_bytes(2, "little") + bytes([0, 0, 1, repeated]) + codes,
        st.integers(0, 300),
        st.sampled_from([0, 1, 16]),
        st.binary(min_size=1, max_size=2),
    ),
)


@given(st.lists(st.tuples(bodies, st.booleans()), max_size=30), st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_a_session_can_play_what_is_given(arrivals, reorder_packets):
    depacketizer = Depacketizer(total_codebooks=3, codebook_size=16, reorder_packets=reorder_packets)
    items = []
    for body, right in arrivals:
        try:
            ready = depacketizer.push(sealed(body, 4) if right else body)
            assert sum(item is None for item in ready) <= MAX_GAP_FRAMES
            items += ready
        except BitstreamError as error:
            assert "\n" not in str(error)
    items += depacketizer.flush()
    for codes in items:
        if codes is not None:
            assert (codes.shape[0], codes.dtype) == (1, np.uint16)
            assert codes.shape[1] <= 3
            assert codes.shape[2] >= 1
            assert codes.max() < 16


def test_memory_is_bounded_whatever_comes():
    """Gaps that never close, strays and restarts: ten thousand packets leave no more than the buffer holds."""
    random = np.random.default_rng(0)
    codes = make_codes(16, num_codebooks=255)
    depacketizer = Depacketizer(reorder_packets=4)
    packets = [packetize(codes, frames_per_packet=16, first_frame=int(n))[0] for n in random.integers(0, 65536, 300)]
    packets += [packetize(codes, frames_per_packet=16, first_frame=int(n))[0] for n in random.integers(0, 600, 300)]
    for packet in packets:
        depacketizer.push(packet)
    tracemalloc.start()
    for number in random.integers(0, len(packets), 2000):
        depacketizer.push(packets[number])
    left = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert left < (4 + 2) * 2 * codes.size


@pytest.mark.parametrize(
    ("codes", "options"),
    [
        (np.zeros((3, 1), np.int64), {}),
        (np.zeros((17, 3, 1), np.int64), {}),
        (np.zeros((1, 0, 1), np.int64), {}),
        (np.zeros((1, 256, 1), np.int64), {}),
        (np.zeros((1, 3, 1)), {}),
        (np.full((1, 3, 1), 1024), {}),
        (np.full((1, 3, 1), -1), {}),
        (np.zeros((1, 3, 1), np.int64), {"frames_per_packet": 0}),
        (np.zeros((1, 3, 1), np.int64), {"frames_per_packet": 17}),
        (np.zeros((1, 3, 1), np.int64), {"redundancy": -1}),
        (np.zeros((1, 3, 1), np.int64), {"redundancy": 17}),
        (np.zeros((1, 3, 1), np.int64), {"layers": 0}),
        (np.zeros((1, 3, 1), np.int64), {"layers": 17}),
        (np.zeros((1, 3, 1), np.int64), {"codebook_size": 1}),
        (np.zeros((1, 3, 1), np.int64), {"codebook_size": 65537}),
    ],
)
def test_what_no_packet_can_hold_is_refused(codes, options):
    with pytest.raises(ValueError, match=r"expected|not"):
        packetize(codes, **options)


def test_packets_need_no_torch():
    program = "import sys, vqcodec; vqcodec.packetize; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_a_session_plays_frames_that_came_back_with_fewer_codebooks(codec, speech):
    import torch

    codes = codec.encode(torch.from_numpy(speech[None, None, :32000]), kbps=3).numpy()
    packets = packetize(codes, redundancy=1)
    left = [packet for frame, packet in enumerate(packets) if frame % 5 != 2]
    items = list(depacketize(left))
    assert {item.shape[1] for item in items} == {1, 6}
    session = DecodeSession(codec)
    wave = np.concatenate([*(session.push(item) for item in items), session.flush()], axis=1)
    assert wave.shape == (1, 32000)
    assert np.isfinite(wave).all()


def test_a_session_plays_packets_as_it_plays_codes(codec, speech):
    import torch

    codes = codec.encode(torch.from_numpy(speech[None, None, :32000]), kbps=1.5).numpy()
    session = DecodeSession(codec)
    pieces = [session.push(item) for item in depacketize(packetize(codes, frames_per_packet=4))]
    wave = np.concatenate([*pieces, session.flush()], axis=1)
    assert np.abs(wave - codec.decode(torch.from_numpy(codes))[:, 0].numpy()).max() < 1e-5
