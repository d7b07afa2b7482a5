"""Parity of packets: its bytes, what it brings back of losses, against ranks of matrices, and hostile ones."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.bitstream.binary import crc16
from vqcodec.errors import BitstreamError, DamagedError
from vqcodec.sessions.depacketizer import Depacketizer, depacketize
from vqcodec.sessions.packetizer import Packetizer, packetize
from vqcodec.sessions.packets import from_bytes


def make_codes(frames, *, channels=1, num_codebooks=6, codebook_size=1024):
    return np.random.default_rng(frames).integers(0, codebook_size, (channels, num_codebooks, frames))


def sealed(body, bits=10):
    """A packet with parity of any content, whose checksum is right."""
    return body + crc16(bytes([bits + 128]) + body).to_bytes(2, "little")


def test_the_layout_is_the_documented_one():
    """By hand: the fourth frame, of which two codebooks are, with the sum of the first codes of the first and third."""
    codes = np.array([[[1, 2, 6, 4], [1023, 0, 512, 7]]])
    body = b"\x05\x01" + bytes([2, 0x00, 0b101, 0x00]) + int(f"{4:010b}{7:010b}{1 ^ 6:010b}00", 2).to_bytes(4)
    packets = packetize(codes, first_frame=0x0102, parity=(1, 3))
    assert packets[3] == sealed(body)
    assert packets[0] == packetize(codes, first_frame=0x0102)[0], "nothing came before"
    wide = packetize(np.concatenate((codes, codes)), frames_per_packet=2, parity=(1,), layers=2)[1]
    values = [6, 4, 6, 4, 512, 7, 512, 7, 1, 2, 1, 2, 1023, 0, 1023, 0]
    payload = int("".join(f"{value:010b}" for value in values), 2).to_bytes(20)
    assert wide == sealed(b"\x02\x00" + bytes([2, 0x11, 0x01, 0x10]) + payload)


GOLDEN_CODES = (np.arange(30).reshape(2, 3, 5) * 37) % 1024


@pytest.mark.parametrize(
    ("codes", "options", "packets"),
    [
        (
            GOLDEN_CODES[:1],
            {"first_frame": 65534, "parity": (1, 3), "layers": 2},
            ["feff0300000b95c84c00", "ffff03000110094de65c002e40eecb", "000003000110129036f025378076ea",
             "0100030005101bd287844a6e80f0f6", "0200030005102514d8184a7d80c7ce"],
        ),
        (
            GOLDEN_CODES,
            {"first_frame": 7, "parity": (1,), "frames_per_packet": 2},
            ["07000311000258ae502e4deb93095c997e77c2ac7f",
             "0900031101001286f9d69a40d28cbb536f1e1f9c0c000258ae5053cc", "0b000310252bf53778818310386d"],
        ),
    ],
)  # fmt: skip
def test_packets_with_parity_are_written_and_read_as_they_were(codes, options, packets):
    packets = [bytes.fromhex(packet) for packet in packets]
    assert packetize(codes, **options) == packets
    items = depacketize(packets, Depacketizer(channels=len(codes), first_frame=options["first_frame"]))
    assert np.array_equal(np.concatenate(list(items), axis=2), codes)


@pytest.mark.parametrize(("layers", "repeated"), [(1, 1), (2, 2), (3, 3)])
def test_parity_of_any_number_of_frames_costs_what_one_layer_of_as_many_frames_does(layers, repeated):
    codes = make_codes(30)
    with_parity = packetize(codes, parity=(1, 3, 4, 12), layers=layers)
    assert len(with_parity[-1]) == len(packetize(codes, redundancy=repeated)[-1])


@pytest.mark.parametrize(("parity", "longest"), [((1, 3), 2), ((1,), 1), ((12,), 12), ((1, 3, 5), 3)])
def test_losses_in_a_row_come_back(parity, longest):
    codes = make_codes(60)
    packets = packetize(codes, parity=parity, layers=2)
    for lost in (1, longest):
        receiver = Depacketizer(reorder_packets=20)
        items = list(depacketize(packets[:30] + packets[30 + lost :], receiver))
        assert [item.shape[1] for item in items] == [6] * 30 + [2] * lost + [6] * (30 - lost)
        assert np.array_equal(np.concatenate([item[:, :2] for item in items], axis=2), codes[:, :2])
        assert (receiver.recovered_frames, receiver.lost_frames) == (lost, 0)


def follows(parity, lost, frame, frames):
    """Whether what is lost follows from the sums that came: modulo 2, their rank is one more with it than without."""
    sums = [[(at - other) in parity for other in lost] for at in range(frames) if at not in lost]
    every = np.array(sums, int)
    others = np.delete(every, lost.index(frame), axis=1)
    return rank(every) == rank(others) + 1


def rank(rows):
    """The rank of a matrix over the integers modulo 2."""
    rows, found = rows.copy(), 0
    for column in range(rows.shape[1]):
        ones = np.flatnonzero(rows[found:, column]) + found
        if ones.size:
            rows[[found, ones[0]]] = rows[[ones[0], found]]
            for other in np.flatnonzero(rows[:, column]):
                if other != found:
                    rows[other] ^= rows[found]
            found += 1
    return found


@given(
    parity=st.sets(st.integers(1, 12), min_size=1, max_size=5),
    lost=st.sets(st.integers(0, 18)),
    frames_per_packet=st.sampled_from([1, 3]),
    channels=st.integers(1, 2),
)
@settings(max_examples=100, deadline=None)
def test_what_comes_back_is_all_that_follows_and_right(parity, lost, frames_per_packet, channels):
    """Nothing is given up before all have come: 20 packets, of which the last comes."""
    codes = make_codes(20 * frames_per_packet, channels=channels, codebook_size=1000)
    options = {"codebook_size": 1000}
    packets = packetize(codes, parity=sorted(parity), layers=2, frames_per_packet=frames_per_packet, **options)
    receiver = Depacketizer(channels=channels, reorder_packets=20, first_frame=0, **options)
    came = [packet for at, packet in enumerate(packets) if at not in lost]
    items = list(depacketize(came, receiver))
    start = 0
    for item in items:
        packet, length = start // frames_per_packet, 1 if item is None else item.shape[2]
        if packet not in lost:
            assert np.array_equal(item, codes[:, :, start : start + length])
        elif follows(parity, sorted(lost), packet, 20):
            assert np.array_equal(item, codes[:, :2, start : start + length])
        else:
            assert item is None
        start += length
    assert start == codes.shape[2]


@given(cuts=st.lists(st.integers(0, 30), max_size=5).map(sorted), frames_per_packet=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_codes_pushed_in_any_split_make_the_packets_of_all_at_once(cuts, frames_per_packet):
    codes = make_codes(30, channels=2)
    options = {"frames_per_packet": frames_per_packet, "parity": [1, 3], "layers": 2, "first_frame": 65530}
    packetizer = Packetizer(**options)
    packets = [packet for piece in np.split(codes, cuts, axis=2) for packet in packetizer.push(piece)]
    packets += packetizer.flush()
    assert packets == packetize(codes, **options)
    items = list(depacketize(packets, Depacketizer(channels=2)))
    assert np.array_equal(np.concatenate(items, axis=2), codes)


def test_parity_follows_depths_pauses_codebooks_and_channels_that_change():
    """It is of packets that are deep enough and as long, and what is lost of these comes back."""
    shallow, deep = make_codes(1, num_codebooks=1), make_codes(8)
    sender = Packetizer(parity=(1, 2, 3), layers=2, dtx=True)
    pieces = [deep[:, :, :3], shallow, deep[:, :, 3:], np.full((1, 2, 4), -1), deep, np.repeat(deep, 2, axis=0)]
    packets = [packet for piece in pieces for packet in sender.push(piece)]
    about = [from_bytes(packet, 10).distances for packet in packets]
    a, b, c = (1,), (1, 2), (1, 2, 3)
    assert about[:10] == [(), a, b, c, (2, 3), (1, 3), b, c, c, ()]
    assert about[10:] == [(), a, b, c, c, c, c, c] * 2
    for gone in (1, 2, 4, 5, 6, 7, 10, 11, 15):
        items = list(depacketize([*packets[:gone], *packets[gone + 1 : 18]], Depacketizer(reorder_packets=4)))
        whole = list(depacketize(packets[:18]))
        frame = gone if gone < 9 else gone + 3
        assert np.array_equal(items[frame], whole[frame][:, :2]), gone
    for gone in (3, 8):  # one codebook, and the last before a pause
        items = list(depacketize([*packets[:gone], *packets[gone + 1 : 18]], Depacketizer(reorder_packets=4)))
        assert items[gone] is None


def test_a_receiver_without_parity_takes_such_packets_for_damaged_and_every_flip_is_damage():
    packet = packetize(make_codes(3), parity=(1, 2))[2]
    assert crc16(bytes([10]) + packet[:-2]).to_bytes(2, "little") != packet[-2:]
    for place, flip in itertools.product(range(len(packet)), range(1, 256)):
        damaged = packet[:place] + bytes([packet[place] ^ flip]) + packet[place + 1 :]
        with pytest.raises(DamagedError):
            Depacketizer().push(damaged)


@pytest.mark.parametrize(
    "body",
    [
        b"\x00\x00\x02\x00",
        b"\x00\x00\x02\x00\x01",
        b"\x00\x00\x02\x00\x00\x00" + bytes(4),
        b"\x00\x00\x02\x00\x01\x00" + bytes(5),
        b"\x00\x00\x00\x00\x01\x00" + bytes(2),
        b"\x00\x00\x01\x00\x01\x10" + bytes(4),
    ],
    ids=["no parity", "half a head", "no distance", "a byte too many", "no codebook", "more layers than codebooks"],
)
def test_a_packet_that_contradicts_itself_is_refused_with_a_right_checksum(body):
    with pytest.raises(BitstreamError, match="cannot hold"):
        Depacketizer().push(sealed(body))


def test_sums_that_cannot_be_give_no_code_that_a_codebook_has_not():
    codes = make_codes(3, codebook_size=1000)
    packets = packetize(codes, parity=(1,), codebook_size=1000)
    forged = sealed(packets[2][:6] + packets[2][6:-2][:-2] + b"\xff\xfc")
    assert list(depacketize([packets[0], forged], Depacketizer(codebook_size=1000)))[1] is None


hostile = st.builds(
    lambda number, k, shape, about, codes: sealed(
        number.to_bytes(2, "little") + bytes([k, shape]) + about.to_bytes(2, "little") + codes, 4
    ),
    st.integers(0, 40),
    st.integers(1, 3),
    st.sampled_from([0, 1]),
    st.integers(1, 0x1FFF),
    st.binary(min_size=1, max_size=5),
)


@given(st.lists(hostile, max_size=40), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_whatever_comes_codes_are_given_that_can_be_played(packets, reorder_packets):
    receiver = Depacketizer(
        total_codebooks=3, codebook_size=16, reorder_packets=reorder_packets, on_damage=lambda _: None
    )
    items = [item for packet in packets for item in receiver.push(packet)] + receiver.flush()
    for codes in items:
        if codes is not None:
            assert (codes.shape[0], codes.dtype) == (1, np.uint16)
            assert 1 <= codes.shape[1] <= 3
            assert codes.max() < 16


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"parity": (0,)}, "parity 0 is not in 1..12"),
        ({"parity": (13,)}, "parity 13 is not in 1..12"),
        ({"parity": (1.5,)}, "parity is 1.5"),
        ({"parity": (1,), "redundancy": 1}, "redundancy 1 and parity .* exclude each other"),
    ],
)
def test_what_cannot_be_is_refused(options, said):
    with pytest.raises((ValueError, TypeError), match=said):
        packetize(make_codes(2), **options)
