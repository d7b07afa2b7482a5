"""Streams of one session that join, leave and lose frames of their own: each as if it were alone."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vqcodec
from vqcodec.errors import ConfigError
from vqcodec.models.engine import StreamEngine
from vqcodec.sessions.stream import DecodeSession, EncodeSession


def item(seed, *, depth=3, frames=1, size=16):
    return np.random.default_rng(seed).integers(0, size, (1, depth, frames))


def alone(engine, items):
    """The wave of one stream's items, None for a lost frame."""
    session = DecodeSession(engine)
    return np.concatenate([*(session.push(each) for each in items), session.flush()], axis=1)


frames_of_streams = st.lists(
    st.lists(st.sampled_from([None, 1, 2, 3]), min_size=14, max_size=14), min_size=1, max_size=4
)


def runs(count):
    """Streams with gaps of any length, those behind a whole fade among them, and depths that change."""
    run = st.tuples(st.sampled_from([None, None, 1, 3]), st.integers(1, 12))
    return st.lists(
        st.lists(run, min_size=1, max_size=6).map(lambda all: [d for depth, n in all for d in [depth] * n][:count]),
        min_size=1,
        max_size=4,
    ).map(lambda streams: [stream + [3] * (count - len(stream)) for stream in streams])


@pytest.mark.slow
@given(st.one_of(frames_of_streams, runs(30)))
@settings(max_examples=20, deadline=None)
def test_each_stream_of_a_list_sounds_as_it_does_alone(toy_codec, depths):
    streams = [
        [None if depth is None else item([stream, frame], depth=depth) for frame, depth in enumerate(row)]
        for stream, row in enumerate(depths)
    ]
    session = DecodeSession(toy_codec, batch=len(streams))
    waves = [session.push(list(frame)) for frame in zip(*streams, strict=True)]
    together = np.concatenate([*waves, session.flush()], axis=1)
    for wave, items in zip(together, streams, strict=True):
        np.testing.assert_allclose(wave[None], alone(toy_codec, items), atol=1e-5)


@given(st.data())
@settings(max_examples=12, deadline=None)
def test_a_mask_of_streams_and_frames_is_a_list_with_none(toy_codec, data):
    lost = np.array(data.draw(st.lists(st.lists(st.booleans(), min_size=25, max_size=25), min_size=1, max_size=3)))
    lost[0, 3:18] = True
    codes = np.random.default_rng(0).integers(0, 16, (len(lost), 3, 25))
    cut = data.draw(st.integers(0, 25))
    session = DecodeSession(toy_codec, batch=len(lost))
    given = np.where(lost[:, None], 1 << 20, codes)  # what stands in for a lost frame is not looked at
    waves = [session.push(given[:, :, :cut], lost[:, :cut]), session.push(given[:, :, cut:], lost[:, cut:])]
    together = np.concatenate([*waves, session.flush()], axis=1)
    for stream, wave in enumerate(together):
        items = [None if gone else codes[[stream], :, [frame]][:, :, None] for frame, gone in enumerate(lost[stream])]
        np.testing.assert_allclose(wave[None], alone(toy_codec, items), atol=1e-5)


def test_streams_that_join_and_leave_are_heard_as_alone(toy_codec):
    """A number is drawn anew for each that leaves; who joins is heard behind the delay, in silence."""
    session, delay = DecodeSession(toy_codec, batch=0), toy_codec.delay_samples
    assert session.push([]).shape == (0, 160)
    heard, items, running = {}, {}, []
    plan = {0: "a", 3: "b", 4: "c", 9: "d"}
    ends = {6: "b", 8: "a"}
    for tick in range(12):
        if tick in plan:
            running.append(name := plan[tick])
            assert session.add() == len(running) - 1
            heard[name], items[name] = [], []
        if tick in ends:
            number = running.index(ends[tick])
            heard[running.pop(number)].append(session.remove(number))
        codes = [None if tick % 5 == 2 and name == "c" else item([tick, ord(name)]) for name in running]
        for name, wave, each in zip(running, session.push(codes), codes, strict=True):
            heard[name].append(wave[None])
            items[name].append(each)
    for name, rest in zip(running, session.flush(), strict=True):
        heard[name].append(rest[None])
    for name, pieces in heard.items():
        wave = np.concatenate(pieces, axis=1)
        early = 0 if name == "a" else delay  # the first began with the session, which leaves these samples out
        assert not wave[:, :early].any()
        np.testing.assert_allclose(wave[:, early:], alone(toy_codec, items[name]), atol=1e-5)


def test_streams_that_join_and_leave_have_the_codes_of_each_alone(codec, speech):
    """Bit for bit, though other streams are computed with them."""
    waves = speech[: 20 * 1600].reshape(20, 1600)
    session = EncodeSession(codec, num_codebooks=4)
    codes = {0: [session.push(waves[0:1])], 1: []}
    assert session.add() == 1
    both = session.push(waves[[1, 10]])
    codes[0].append(both[:1])
    codes[1].append(both[1:])
    codes[0].append(session.remove(0))
    assert session.batch == 1
    codes[1] += [session.push(waves[11:12, :700]), session.remove(0)]
    assert session.push(np.zeros((0, 320), np.float32)).shape == (0, 4, 1)
    for pushed, pieces in ((waves[:2].ravel(), codes[0]), (waves[10:12].ravel()[:2300], codes[1])):
        single = EncodeSession(codec, num_codebooks=4)
        wanted = np.concatenate((single.push(pushed[None]), single.flush()), axis=2)
        assert np.array_equal(np.concatenate(pieces, axis=2), wanted)


def through_a_file(saved):
    file = io.BytesIO()
    np.savez(file, **saved)
    file.seek(0)
    return dict(np.load(file))


@pytest.mark.parametrize("lost_frames", [0, 3, 10, 12])
def test_a_stream_that_was_saved_goes_on_alone_or_in_another_session(toy_codec, lost_frames):
    items = [item(seed) for seed in range(8)]
    before = [*items[:4], *[None] * lost_frames]
    session = DecodeSession(toy_codec, batch=2)
    for tick, each in enumerate(before):
        session.push([item([9, tick], depth=2), each])
    saved = through_a_file(session.save(1))
    single, other = DecodeSession(toy_codec), DecodeSession(toy_codec, batch=3)
    single.restore(saved)
    other.push(item(0, frames=5).repeat(3, axis=0))
    assert other.add(saved) == 3
    wanted = alone(toy_codec, [*before, *items[4:]])[:, len(before) * 160 - toy_codec.delay_samples :]
    went_on = np.concatenate([*(single.push(each) for each in items[4:]), single.flush()], axis=1)
    np.testing.assert_allclose(went_on, wanted, atol=1e-5)
    joined = [other.push([*[item([8, tick])] * 3, each])[3:] for tick, each in enumerate(items[4:])]
    np.testing.assert_allclose(np.concatenate([*joined, other.remove(3)], axis=1), wanted, atol=1e-5)


def test_a_batch_saved_whole_keeps_what_is_different_in_its_streams(toy_codec):
    session, restored = DecodeSession(toy_codec, batch=3), DecodeSession(toy_codec, batch=3)
    for tick in range(12):
        session.push([item(tick), item(tick, depth=1) if tick < 1 else None, None])
    restored.restore(through_a_file(session.save()))
    more = [[item(20), item(21, depth=2), None], [None, None, item(22)]]
    for codes in more:
        np.testing.assert_allclose(restored.push(codes), session.push(codes), atol=1e-6)
    np.testing.assert_allclose(restored.flush(), session.flush(), atol=1e-6)


def test_numbers_of_a_session_of_0_1_are_those_of_all_streams(toy_codec):
    session, restored = DecodeSession(toy_codec, batch=2), DecodeSession(toy_codec, batch=2)
    session.push(item(0, frames=4).repeat(2, axis=0))
    saved = session.save()
    restored.restore({name: saved[name][0] if saved[name].ndim == 1 and "_" in name else saved[name] for name in saved})
    np.testing.assert_array_equal(restored.push(item(1).repeat(2, axis=0)), session.push(item(1).repeat(2, axis=0)))
    for name in ("lost_frames", "next_frame", "ahead_samples"):
        for wrong in (np.zeros(3, int), np.array(["one"])):
            with pytest.raises(ValueError, match="saved session"):
                restored.restore(saved | {name: wrong})


def test_a_stream_joins_an_encoder_between_frames_only(toy_codec, noise):
    session = EncodeSession(toy_codec)
    session.push(noise(1, 200))
    with pytest.raises(ValueError, match="the stream has 0 samples of a frame and this session 40"):
        session.add()
    saved = session.save(0)
    assert session.add(saved) == 1
    codes = session.push(noise(1, 300).repeat(2, axis=0))
    assert np.array_equal(codes[0], codes[1])


@pytest.mark.parametrize("kind", [EncodeSession, DecodeSession])
def test_streams_that_are_not_there_are_refused(toy_codec, kind):
    session = kind(toy_codec, batch=2)
    for stream in (2, -1):
        for method in (session.remove, session.save):
            with pytest.raises(IndexError, match=f"stream {stream} is not in 0..1"):
                method(stream)
    assert session.batch == 2


@pytest.mark.parametrize(
    ("codes", "lost", "error", "message"),
    [
        ([item(0)], None, ValueError, "codes are a list of 1, expected an item for each of 2 streams"),
        ([item(0), [1]], None, TypeError, "codes of stream 1 is a list, expected an array"),
        ([item(0), item(0)[0]], None, ValueError, r"codes of stream 1 have shape \[3, 1\], expected \[1, K, n\]"),
        ([item(0), item(0, frames=2)], None, ValueError, "codes of stream 1 have 2 frames, those before it 1"),
        ([None, item(0, depth=4)], None, ValueError, "expected"),
        ([None, item(0) + 16], None, ValueError, "codes span"),
        ([None, item(0)], np.zeros((3, 1), bool), ValueError, r"expected bool \[1\] or \[2, 1\]"),
        ([None, item(0)], [True], TypeError, "lost is a list, expected an array"),
    ],
)
def test_other_lists_are_refused_and_leave_the_session_alone(toy_codec, codes, lost, error, message):
    session = DecodeSession(toy_codec, batch=2)
    with pytest.raises(error, match=message):
        session.push(codes, lost)
    assert session.push([item(0), None]).shape == (2, 160 - toy_codec.delay_samples)


def test_onnxruntime_mixes_streams_as_torch_does(codec):
    engine = vqcodec.load_onnx()
    streams = [[item([n, frame], depth=(6, 6, 1)[(n + frame) % 3], size=1024) for frame in range(6)] for n in range(3)]
    streams[1][2] = None
    waves = []
    for each in (engine, codec):
        session = DecodeSession(each, batch=3)
        pieces = [session.push(list(frame)) for frame in zip(*streams, strict=True)]
        session.remove(0)
        session.add()
        waves.append(
            np.concatenate([*(piece[1:] for piece in pieces), session.push([item(0, size=1024)] * 3)[:2]], axis=1)
        )
    np.testing.assert_allclose(waves[0], waves[1], atol=1e-3)


class Opaque(StreamEngine):
    """An engine whose states are no arrays."""

    model_name, hop_length, total_codebooks, codebook_size, delay_samples = "opaque", 4, 2, 8, 0
    fingerprint = None
    decoder_shapes = ()

    def decode_block(self, codes, state=None):
        return np.ones((len(codes), codes.shape[2] * 4), np.float32), object()

    def arrays_of(self, state):
        raise ConfigError("streams of opaque cannot join")


def test_an_engine_that_cannot_join_streams_says_so_before_anything_changes():
    session = DecodeSession(Opaque(), batch=2)
    session.push(np.zeros((2, 2, 1), int))
    for change in (session.add, lambda: session.remove(0)):
        with pytest.raises(ConfigError, match="cannot join"):
            change()
    assert session.push(np.zeros((2, 2, 1), int)).shape == (2, 4)
