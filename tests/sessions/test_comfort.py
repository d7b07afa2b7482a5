"""Pauses that are hardly sent: codes, chunks and packets of them, and what is heard."""

import io
import itertools

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.audio.wavstream import SampleFormat
from vqcodec.bitstream import Header, VqcReader, VqcWriter
from vqcodec.bitstream.payload import fill_pauses
from vqcodec.errors import ConfigError
from vqcodec.files.convert import decode_file
from vqcodec.files.live import decode_live, encode_live
from vqcodec.sessions.comfort import PausingEncoder
from vqcodec.sessions.depacketizer import Depacketizer, depacketize
from vqcodec.sessions.packetizer import Packetizer, packetize
from vqcodec.sessions.stream import DecodeSession, EncodeSession


@pytest.fixture(scope="module")
def scene(speech):
    """Room, speech, room, speech, room: [T] at 16 kHz; the room is noise of -60 dB."""
    random, voice = np.random.default_rng(0), speech[:20000]
    pause = np.zeros(40000, np.float32)
    clean = np.concatenate((pause, voice, pause, voice, pause))
    return clean + (1e-3 * random.standard_normal(len(clean))).astype(np.float32)


def depths_of(codes):
    return (codes >= 0).sum(axis=1)


def joined(runs):
    return np.concatenate([run.codes for run in runs], axis=2)


@pytest.mark.parametrize("cuts", [[0, 1, 159, 160], [7777, 9100, 9101, 15999]])
def test_any_split_gives_the_same_frames(toy_codec, cuts):
    wave = (1e-3 * np.random.default_rng(0).standard_normal((2, 16000))).astype(np.float32)
    wave[:, 9000:9500] += 0.3

    def coded(cuts):
        encoder = PausingEncoder(toy_codec, num_codebooks=3, batch=2)
        return joined([run for piece in np.split(wave, cuts, axis=1) for run in encoder.push(piece)] + encoder.flush())

    whole = coded([])
    assert np.array_equal(coded(cuts), whole)
    assert {0, 2, 3} == set(depths_of(whole)[0])


def test_frames_of_speech_have_the_codes_that_they_have_without_and_pauses_four_of_two(toy_codec):
    wave = (1e-3 * np.random.default_rng(0).standard_normal((1, 24000))).astype(np.float32)
    wave[:, 16000:17000] += 0.3
    encoder = PausingEncoder(toy_codec)
    runs = encoder.push(wave)
    codes, plain = joined(runs), EncodeSession(toy_codec).push(wave)
    assert np.array_equal(codes, np.where(codes < 0, -1, plain))
    for run in runs:
        depths = depths_of(run.codes)[0]
        places = np.arange(len(depths)) % encoder.pause_frames
        assert depths.tolist() == np.where(places < 4, 2, 0).tolist() if run.is_pause else (depths == 3).all()
    assert [run.is_pause for run in runs] == [False, True, False, True]


def test_channels_pause_together(toy_codec):
    quiet = (1e-3 * np.random.default_rng(0).standard_normal((2, 16000))).astype(np.float32)
    quiet[1, 8000:] += 0.3
    depths = depths_of(joined(PausingEncoder(toy_codec, batch=2).push(quiet)))
    assert np.array_equal(depths[0], depths[1])
    assert (depths[:, 55:] == 3).all()
    assert (depths[:, :50] == 0).any()


def live(wave, codec, **options):
    """The bytes of a live stream of `wave` [T] at the codec's rate."""
    file, samples = io.BytesIO(), (np.clip(wave, -1, 1) * 32767).astype("<i2").tobytes()
    encode_live(io.BytesIO(samples), file, raw=SampleFormat(codec.sample_rate_hz, 1), model=codec, **options)
    return file.getvalue()


@pytest.mark.slow
def test_a_live_stream_takes_less_than_0_4_kbps_in_pauses_and_sounds_like_the_room(codec, scene):
    for kbps, chunk_ms in ((3, 80), (6, 20)):
        data = live(scene, codec, kbps=kbps, chunk_ms=chunk_ms, dtx=True)
        reader = VqcReader(io.BytesIO(data))
        records = [record for record in reader.records() if record.frames]
        depths = np.concatenate([depths_of(chunk.codes)[0] for chunk in reader.chunks(entropy=codec.entropy)])
        pauses = [record for record in records if depths[record.position + record.frames - 1] < 3]
        sizes = [record.head.head_bytes + len(record.body) + 4 for record in pauses]
        assert sum(sizes) * 8 / (sum(record.frames for record in pauses) / 50) <= 400
        assert (depths[60:124] < 3).all() and (depths[126:186] == reader.header.num_codebooks).all()
        # What was not in a pause, and what was, leaves at once: chunks are as long as ever.
        assert max(record.frames for record in records if record not in pauses) == chunk_ms // 20
    out = io.BytesIO()
    decode_live(io.BytesIO(data), out, raw=True, model=codec)
    heard = np.frombuffer(out.getvalue(), "<i2") / 32768
    assert len(heard) == len(scene)
    for start, end in ((20000, 38000), (78000, 98000)):
        level_db = 20 * np.log10(heard[start:end].std() / scene[start:end].std())
        assert abs(level_db) < 3
    whole = io.BytesIO()
    decode_live(io.BytesIO(live(scene, codec, kbps=6)), whole, raw=True, model=codec)
    plain = np.frombuffer(whole.getvalue(), "<i2") / 32768
    for start in (40000, 100000):  # the first words after pauses, the decoder's past being another
        word = slice(start, start + 20000)
        assert np.square(heard[word] - plain[word]).sum() < 0.02 * np.square(plain[word]).sum()


@pytest.mark.parametrize("samples", [0, 1, 640, 6400, 6401, 7999, 8000])
def test_every_length_comes_back(toy_codec, samples):
    wave = (1e-3 * np.random.default_rng(0).standard_normal(samples)).astype(np.float32)
    out = io.BytesIO()
    decode_live(io.BytesIO(live(wave, toy_codec, dtx=True)), out, raw=True, model=toy_codec)
    assert len(out.getvalue()) == 2 * samples


def test_an_excerpt_that_begins_in_a_pause_is_that_of_the_whole(toy_codec):
    wave = (1e-3 * np.random.default_rng(0).standard_normal(24000)).astype(np.float32)
    data = live(wave, toy_codec, dtx=True)
    reader = VqcReader(io.BytesIO(data))
    assert any(depths_of(chunk.codes).min() == 0 for chunk in reader.chunks())

    def decoded(**options):
        file = io.BytesIO()
        decode_file(io.BytesIO(data), file, model=toy_codec, **options)
        file.seek(0)
        return soundfile.read(file, dtype="int16")[0].astype(int)

    whole = decoded()
    for start in (0.7, 1.1, 1.5, 2.3, 2.9):
        part = decoded(start_seconds=start, duration_seconds=0.3)
        assert np.abs(part - whole[round(start * 8000) : round(start * 8000) + len(part)]).max() <= 1
        assert len(part)


def test_frames_without_codes_sound_as_the_documented_ones():
    """By hand, from `spec`: the chunk begins at frame 5; x is 8178 * ..., and j grows by 1, 2 or 3."""
    codes = np.full((1, 2, 12), -1)
    codes[0, 0, 1:6] = [10, 11, 12, 13, 14]
    codes[0, 1, 3] = 7
    x, j, wanted = 5, 0, []
    for _ in range(6):
        x = (25173 * x + 13849) % 65536
        j += 1 + (x >> 8) % 3
        wanted.append([11, 12, 13, 14][j % 4])
    filled = fill_pauses(codes, 5)
    assert filled[0, 0].tolist() == [-1, 10, 11, 12, 13, 14, *wanted]
    assert filled[0, 1].tolist() == [-1, -1, -1, 7, -1, -1, *(7 if code == 12 else -1 for code in wanted)]
    assert all(left != right for left, right in itertools.pairwise(wanted))
    alone = np.array([[[3, -1, -1]], [[-1, -1, -1]]])
    assert fill_pauses(alone, 0).tolist() == [[[3, 3, 3]], [[-1, -1, -1]]]


def test_frames_of_which_nothing_is_known_are_concealed_as_lost_ones(toy_codec):
    random = np.random.default_rng(0)
    codes = random.integers(0, 16, (1, 3, 30))
    codes[:, :, 10:20] = -1  # a chunk of its own
    header = Header(toy_codec.fingerprint[:4], 8000, 160, 8000, 1, 4800, 3, 16)
    file = io.BytesIO()
    writer = VqcWriter(file, header, frames_per_chunk=10, varied=True)
    writer.write(codes)
    writer.close()
    out = io.BytesIO()
    decode_file(io.BytesIO(file.getvalue()), out, model=toy_codec)
    out.seek(0)
    session = DecodeSession(toy_codec)
    parts = [session.push(codes[:, :, :10]), session.conceal(10), session.push(codes[:, :, 20:]), session.flush()]
    wanted = np.concatenate(parts, axis=1)[0]
    assert np.abs(soundfile.read(out)[0] - np.clip(wanted, -1, 1)).max() < 2 / 32768


def test_dtx_is_refused_where_a_model_has_no_depths_before_anything_is_written(toy_codec, monkeypatch, tmp_path):
    monkeypatch.setattr(type(toy_codec), "has_depths", False)
    with pytest.raises(ConfigError, match="leave dtx out"):
        encode_live(io.BytesIO(b""), tmp_path / "x.vqc", raw=SampleFormat(8000, 1), model=toy_codec, dtx=True)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="leave dtx out"):
        PausingEncoder(toy_codec)


def paused(frames, spans, *, channels=1, num_codebooks=6, seed=0):
    """Random codes with pauses: of each span of frames the first four have two codes, the others none."""
    codes = np.random.default_rng(seed).integers(0, 1024, (channels, num_codebooks, frames))
    for start, end in spans:
        codes[:, 2:, start:end] = -1
        codes[:, :, start + 4 : end] = -1
    return codes


def frames_of(items):
    return [
        None if item is None else item[:, :, at] for item in items for at in range(1 if item is None else item.shape[2])
    ]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frames_per_packet", [1, 3])
def test_packets_of_pauses_are_few_and_are_filled_with_what_sounds_like_them(channels, frames_per_packet):
    codes = paused(120, [(10, 50), (50, 70)], channels=channels)
    packets = packetize(codes, frames_per_packet=frames_per_packet, dtx=True)
    if frames_per_packet == 1:
        assert len(packets) == 10 + 4 + 1 + 4 + 1 + 50
        assert len(packets[14]) == 8
    frames = frames_of(depacketize(packets, Depacketizer(channels=channels)))
    assert len(frames) == 120
    for number, frame in enumerate(frames):
        own = codes[:, codes[0, :, number] >= 0, number]
        if own.size:
            assert np.array_equal(frame, own)
        else:
            room = range(10, 14) if number < 50 else range(50, 54)
            assert any(np.array_equal(frame, codes[:, :2, known]) for known in room)
    assert len({frame.tobytes() for frame in frames[14:50]}) == 4


@given(st.lists(st.integers(0, 90), max_size=5).map(sorted), st.integers(1, 4), st.integers(0, 3))
@settings(max_examples=8, deadline=None)
def test_pauses_in_any_split_make_the_packets_of_all_at_once(cuts, frames_per_packet, redundancy):
    codes = paused(90, [(0, 20), (33, 60), (60, 90)])
    options = {"frames_per_packet": frames_per_packet, "redundancy": redundancy, "dtx": True}
    packetizer = Packetizer(**options)
    packets = [packet for piece in np.split(codes, cuts, axis=2) for packet in packetizer.push(piece)]
    assert [*packets, *packetizer.flush()] == packetize(codes, **options)


def test_a_frame_that_is_asked_for_in_a_pause_is_there_and_the_first_word_is_whole():
    codes = paused(60, [(10, 40)])
    packets = packetize(codes, dtx=True)
    receiver, played = Depacketizer(first_frame=0), []
    arrives = {number: packet for number, packet in zip([*range(15), *range(40, 60)], packets, strict=True)}
    for number in range(60):  # a player takes a frame at a time
        played += receiver.push(arrives[number]) if number in arrives else receiver.skip()
    frames = frames_of(played)
    assert len(frames) == 60 and receiver.lost_frames == receiver.recovered_frames == 0
    assert all(np.array_equal(frames[number], codes[:, :, number]) for number in range(40, 60))
    assert all(frame.shape == (1, 2) for frame in frames[10:40])


def test_lost_frames_of_a_pause_sound_like_it_and_those_of_speech_are_lost():
    codes = paused(60, [(10, 40)])
    packets = packetize(codes, dtx=True)
    left = [packet for place, packet in enumerate(packets) if place not in (5, 15, 17)]
    receiver = Depacketizer(first_frame=0)
    frames = frames_of([item for packet in left for item in receiver.push(packet)] + receiver.flush())
    assert [number for number, frame in enumerate(frames) if frame is None] == [5, 42]
    # Nobody can tell that a pause has ended where its first frame is lost, unless it is repeated.
    assert frames[40].shape == (1, 2)
    again = packetize(codes, dtx=True, redundancy=1)
    frames = frames_of(depacketize([*again[:15], *again[16:]], Depacketizer(first_frame=0)))
    assert np.array_equal(frames[40], codes[:, :1, 40])


def test_old_packets_that_come_again_in_a_pause_are_not_heard_in_it():
    codes = paused(60, [(10, 50)])
    packets = packetize(codes, dtx=True)
    receiver = Depacketizer(first_frame=0)
    for packet in [*packets[:15], packets[3], packets[9], packets[14]]:
        receiver.push(packet)
    heard = [receiver.skip()[0] for _ in range(30)]
    assert {item.shape for item in heard} == {(1, 2, 1)}


def test_a_pause_is_refused_without_dtx_and_in_some_channels_only():
    codes = paused(9, [(0, 9)], channels=2)
    with pytest.raises(ValueError, match="a frame has no code"):
        packetize(codes)
    codes[0, :, 7] = 1
    with pytest.raises(ValueError, match="a frame has no code"):
        packetize(codes, dtx=True)
