import io
from copy import deepcopy
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.metrics import estoi
from vqcodec.models.codec import Codec
from vqcodec.models.engine import StreamEngine
from vqcodec.models.weights import load_weights, save_weights
from vqcodec.sessions.depacketizer import Depacketizer, depacketize
from vqcodec.sessions.packetizer import packetize
from vqcodec.sessions.stream import DecodeSession, EncodeSession

splits = st.lists(st.integers(0, 1500), max_size=5).map(sorted)


def encode(session, pieces):
    """Codes of the pieces [B, n] of a wave, flushed."""
    return np.concatenate([*(session.push(piece) for piece in pieces), session.flush()], axis=2)


def decode(session, pieces):
    return np.concatenate([*(session.push(piece) for piece in pieces), session.flush()], axis=1)


def zero_filled(session, items):
    """What comes, decoded as if nothing were lost, and zeros in the place of each lost frame."""
    silence = np.zeros((session.batch, session.engine.hop_length), np.float32)
    pieces = [silence if item is None else session.push(item) for item in items]
    return np.concatenate([*pieces, session.flush()], axis=1)


def joined(items):
    """The same, with frames that follow each other in one piece, which sounds alike and is decoded in less time."""
    for is_lost, run in groupby(items, lambda item: item is None):
        given = list(run)
        yield from given if is_lost else [np.concatenate(given, axis=2)]


def encoded(codec, wave, **options):
    """What the whole wave [B, T] gives at once."""
    return codec.encode(torch.from_numpy(wave)[:, None], **options).numpy()


def decoded(codec, codes):
    return codec.decode(torch.from_numpy(codes))[:, 0].numpy()


@given(splits)
@settings(max_examples=30, deadline=None)
def test_encoding_in_any_split_equals_one_push(toy_codec, noise, cuts):
    wave = noise(2, 1500)
    session = EncodeSession(toy_codec, num_codebooks=2, batch=2)
    codes = encode(session, np.split(wave, cuts, axis=1))
    assert np.array_equal(codes, encoded(toy_codec, wave, num_codebooks=2))


@pytest.mark.parametrize("peak", [101, 32768])
def test_samples_in_the_range_of_integers_are_refused(toy_codec, peak):
    session = EncodeSession(toy_codec)
    session.push(np.full((1, 100), 100, np.float32))
    with pytest.raises(ValueError, match=f"wave has a peak of {peak}, where full scale is 1; divide"):
        session.push(np.full((1, 1), -peak, np.float64))


@given(st.lists(st.integers(0, 20), max_size=5).map(sorted))
@settings(max_examples=30, deadline=None)
def test_decoding_in_any_split_equals_one_push(toy_codec, cuts):
    codes = np.random.default_rng(0).integers(0, 16, (2, 3, 20))
    wave = decode(DecodeSession(toy_codec, batch=2), np.split(codes, cuts, axis=2))
    assert wave.shape == (2, 20 * 160)
    assert np.allclose(wave, decoded(toy_codec, codes), atol=1e-5)


@pytest.mark.parametrize("piece_samples", [1, 7, 320, 321, 5000])
def test_real_speech_in_pieces_has_the_codes_of_the_whole(codec, speech, piece_samples):
    wave = speech[None, : 16000 if piece_samples == 1 else None]
    pieces = np.split(wave, range(piece_samples, wave.shape[1], piece_samples), axis=1)
    assert np.array_equal(encode(EncodeSession(codec, kbps=6), pieces), encoded(codec, wave))


@pytest.mark.parametrize("piece_frames", [1, 15])
def test_codes_of_real_speech_in_pieces_have_the_samples_of_the_whole(codec, speech, piece_frames):
    codes = encoded(codec, speech[None])
    pieces = np.split(codes, range(piece_frames, codes.shape[2], piece_frames), axis=2)
    assert np.abs(decode(DecodeSession(codec), pieces) - decoded(codec, codes)).max() < 1e-5


@torch.inference_mode()
@torch.inference_mode()  # as sessions do: with gradients other kernels compute, which promise nothing
def test_latents_of_pieces_equal_those_of_the_whole_to_the_bit(codec, speech):
    """Stronger than equal codes, and why those are equal however near two codebook vectors are."""
    wave = torch.from_numpy(speech[: 100 * 320])[None]
    whole, _ = codec.encoder(wave)
    for frames in (1, 2, 3, 4, 10, 33):
        state, latents = None, []
        for piece in wave.split(frames * 320, dim=1):
            latent, state = codec.encoder(piece, state)
            latents.append(latent)
        assert torch.equal(torch.cat(latents, dim=1), whole), frames


def test_channels_together_have_the_codes_of_each_alone(codec, speech):
    waves = np.stack([speech[:16000], speech[16000:32000], np.zeros(16000, np.float32)])
    together = EncodeSession(codec, batch=3).push(waves)
    for wave, codes in zip(waves, together, strict=True):
        assert np.array_equal(EncodeSession(codec).push(wave[None])[0], codes)


def test_after_flush_a_session_starts_anew(toy_codec, noise):
    wave = noise(1, 1000)
    session = EncodeSession(toy_codec)
    first = encode(session, [wave])
    assert np.array_equal(encode(session, [wave]), first)
    decoding = DecodeSession(toy_codec)
    assert np.array_equal(decode(decoding, [first]), decode(decoding, [first]))


def test_sessions_of_one_model_do_not_mix(toy_codec, noise):
    a, b = noise(1, 640), noise(1, 641)[:, 1:]
    first, second = EncodeSession(toy_codec), EncodeSession(toy_codec)
    mixed = [(first.push(a[:, i : i + 160]), second.push(b[:, i : i + 160])) for i in range(0, 640, 160)]
    assert np.array_equal(np.concatenate([codes for codes, _ in mixed], axis=2), encoded(toy_codec, a))
    assert np.array_equal(np.concatenate([codes for _, codes in mixed], axis=2), encoded(toy_codec, b))


def saved_and_loaded(saved):
    """Through a file, as a user would."""
    file = io.BytesIO()
    np.savez(file, **saved)
    file.seek(0)
    return dict(np.load(file))


@pytest.mark.parametrize("cut", [0, 50, 160, 700])
def test_a_restored_session_goes_on_where_the_saved_one_stood(toy_codec, noise, cut):
    wave = noise(2, 1500)
    session = EncodeSession(toy_codec, batch=2)
    before = session.push(wave[:, :cut])
    saved = saved_and_loaded(session.save())
    session.push(wave)  # what was saved is a copy
    restored = EncodeSession(toy_codec, batch=2)
    restored.restore(saved)
    codes = np.concatenate((before, encode(restored, [wave[:, cut:]])), axis=2)
    assert np.array_equal(codes, encoded(toy_codec, wave))
    decoding = DecodeSession(toy_codec, batch=2)
    before = decoding.push(codes[:, :, : cut // 160])
    saved = saved_and_loaded(decoding.save())
    decoding.push(codes)
    restored = DecodeSession(toy_codec, batch=2)
    restored.restore(saved)
    rest = decode(restored, [codes[:, :, cut // 160 :]])
    assert np.allclose(np.concatenate((before, rest), axis=1), decoded(toy_codec, codes), atol=1e-5)


def test_a_session_holds_no_more_than_its_past(codec, toy_codec):
    """A view of what was computed would keep all of it in memory."""
    encoding, decoding = EncodeSession(codec), DecodeSession(codec)
    codes = encoding.push(np.zeros((1, 320 * 700 + 5), np.float32))
    decoding.push(codes)
    tensors = [*encoding._states.take([0]), *decoding._states.take([0])]
    assert sum(tensor.untyped_storage().nbytes() for tensor in tensors) < 400_000
    assert encoding._waiting.base is None


def test_a_used_codec_can_be_copied_and_saved(toy_weights, noise, tmp_path):
    codec = load_weights(toy_weights)
    wave = noise(1, 1600)
    codes = EncodeSession(codec).push(wave)
    assert np.array_equal(EncodeSession(deepcopy(codec)).push(wave), codes)
    save_weights(codec.config, codec.state_dict(), tmp_path / "again.safetensors")


def test_codes_in_any_memory_order_are_decoded_alike(toy_codec):
    codes = np.random.default_rng(0).integers(0, 16, (1, 3, 9))
    wanted = DecodeSession(toy_codec).push(codes)
    backwards = np.ascontiguousarray(codes[:, :, ::-1])[:, :, ::-1]
    read_only = codes.astype(np.uint16)
    read_only.flags.writeable = False
    for same in (backwards, read_only, np.asfortranarray(codes)):
        assert np.array_equal(DecodeSession(toy_codec).push(same), wanted)


def test_the_state_of_another_model_of_the_same_shape_is_refused(toy_codec, toy_config, tmp_path, noise):
    save_weights(toy_config, Codec(toy_config).state_dict(), tmp_path / "other.safetensors")
    other = load_weights(tmp_path / "other.safetensors")
    session, decoding = EncodeSession(toy_codec), DecodeSession(toy_codec)
    decoding.push(session.push(noise(1, 1600)))
    for theirs, saved in ((EncodeSession(other), session.save()), (DecodeSession(other), decoding.save())):
        with pytest.raises(ValueError, match="another model"):
            theirs.restore(saved)
    for ahead in (-5, 10**9):
        with pytest.raises(ValueError, match="samples ahead"):
            DecodeSession(toy_codec).restore(decoding.save() | {"ahead_samples": np.array(ahead)})
    with pytest.raises(ValueError, match="damaged"):
        DecodeSession(toy_codec).restore(
            {n: a.astype(np.float64) if "layer" in n else a for n, a in decoding.save().items()}
        )


def test_nan_and_less_than_no_streams_are_refused(toy_codec):
    session = EncodeSession(toy_codec)
    with pytest.raises(ValueError, match="NaN"):
        session.push(np.full((1, 400), np.nan, np.float32))
    assert session.flush().shape[2] == 0
    for kind in (EncodeSession, DecodeSession):
        with pytest.raises(ValueError, match="batch -1 is not 0 or more"):
            kind(toy_codec, batch=-1)


def test_what_another_session_left_is_refused(toy_codec, codec, noise):
    session = EncodeSession(toy_codec, batch=2)
    session.push(noise(2, 200))
    for other in (EncodeSession(toy_codec), EncodeSession(codec, batch=2)):
        with pytest.raises(ValueError, match="the saved session"):
            other.restore(session.save())
    with pytest.raises(ValueError, match="not of this kind"):
        DecodeSession(toy_codec, batch=2).restore(session.save())


@pytest.mark.parametrize("start", [0, 79, 80, 81, 319, 320])
def test_the_algorithmic_delay_is_exact(codec, start):
    """A sample comes out once `algorithmic_delay_samples` have come in from it on; for one of them no earlier."""
    delay = codec.algorithmic_delay_samples
    assert delay == 640
    assert delay <= 0.04 * codec.sample_rate_hz
    encoding, decoding = EncodeSession(codec), DecodeSession(codec)
    sample = 3200 + start
    pushed = given = 0
    while given <= sample:
        pushed += 1
        given += decoding.push(encoding.push(np.zeros((1, 1), np.float32))).shape[1]
    waited = pushed - sample
    assert waited <= delay
    assert (waited == delay) == ((sample + delay) % codec.hop_length == 0)


class Loud(StreamEngine):
    """An engine whose every sample is 1: what comes out is the gain. Its state counts the frames since it began."""

    hop_length, total_codebooks, codebook_size, delay_samples, decoder_shapes = 4, 2, 8, 3, [()]

    def decode_block(self, codes, state=None):
        frames = (0 if state is None else state) + codes.shape[2]
        return np.ones((len(codes), codes.shape[2] * 4), np.float32), frames

    def arrays_of(self, state):
        return [np.array([state])]


def frames(count, batch=1):
    return np.zeros((batch, 2, count), np.int64)


def test_lost_frames_fade_to_silence_and_the_next_one_fades_in():
    session = DecodeSession(Loud())
    wave = decode(session, [frames(2), *[None] * 12, frames(3)])[0]
    fade = np.repeat(np.linspace(1, 0, 10, endpoint=False), 4) - np.tile([0, 0.025, 0.05, 0.075], 10)
    wanted = np.concatenate([np.ones(8), fade, np.zeros(8), [0, 0.25, 0.5, 0.75], np.ones(8 + 3)])[3:]
    assert np.allclose(wave, wanted, atol=1e-6)


def test_a_short_gap_fades_in_from_where_the_fade_had_come():
    wave = decode(DecodeSession(Loud()), [frames(2), None, None, frames(2)])[0]
    assert np.allclose(wave[13:17], np.linspace(0.8, 1, 4, endpoint=False))
    assert np.abs(np.diff(wave)).max() < 0.06


def test_a_stream_that_ends_in_a_gap_ends_as_quietly_and_the_next_one_knows_nothing_of_it():
    session = DecodeSession(Loud())
    wave = decode(session, [frames(2), None])[0]
    assert np.allclose(wave[-3:], 0.9)
    assert not session.push(None).any()
    assert (session.push(frames(1)) == 1).all()


def test_silence_costs_no_decoding_and_the_decoder_starts_anew_behind_it(monkeypatch):
    engine, decoded_frames, states = Loud(), [], []

    def decode_block(codes, state=None):
        decoded_frames.append(codes.shape[2])
        states.append(state)
        return Loud.decode_block(engine, codes, state)

    monkeypatch.setattr(engine, "decode_block", decode_block)
    session = DecodeSession(engine)
    for piece in (frames(5), None):
        session.push(piece)
    assert session.conceal(100_000).shape == (1, 400_000)
    session.push(None)
    session.push(frames(1))
    assert (decoded_frames, states) == ([5, 1, 9, 1], [None, 5, 6, None])


pieces = st.lists(st.one_of(st.none(), st.integers(0, 14), st.integers(-25, -1)), max_size=8)


@given(pieces, st.booleans())
@settings(max_examples=60, deadline=None)
def test_n_frames_lost_or_not_give_n_times_hop_length_samples(toy_codec, pattern, again):
    """None: one lost frame; positive: as many frames that came; negative: as many lost at once."""
    session = DecodeSession(toy_codec, batch=2)
    for _ in range(1 + again):
        total, waves = 0, []
        for piece in pattern:
            count = 1 if piece is None else abs(piece)
            total += count
            lost = piece is not None and piece < 0
            codes = None if piece is None else np.random.default_rng(total).integers(0, 16, (2, 3, count))
            waves.append(session.conceal(count) if lost else session.push(codes))
            assert total * 160 - sum(wave.shape[1] for wave in waves) == (toy_codec.delay_samples if total else 0)
        waves.append(session.flush())
        assert sum(wave.shape[1] for wave in waves) == total * 160
        assert all(wave.shape[0] == 2 and wave.dtype == np.float32 and np.isfinite(wave).all() for wave in waves)


@pytest.mark.parametrize("lost_frames", [1, 9, 10, 11, 30])
def test_a_gap_in_any_split_is_concealed_as_at_once(codec, speech, lost_frames):
    codes = encoded(codec, speech[None, :32000], kbps=3)
    together, apart = DecodeSession(codec), DecodeSession(codec)
    waves = [together.push(codes), together.conceal(lost_frames), together.push(codes[:, :, :20]), together.flush()]
    pieces = [codes, *[None] * lost_frames, codes[:, :, :20]]
    assert np.abs(np.concatenate(waves, axis=1) - decode(apart, pieces)).max() < 1e-5


@pytest.mark.parametrize("lost_frames", [1, 3, 15])
def test_a_gap_leaves_what_came_before_alone_and_is_soon_forgotten(codec, speech, lost_frames):
    codes = encoded(codec, speech[None, :64000])
    start, end = 43, 43 + lost_frames  # in a loud vowel
    whole = decoded(codec, codes)
    wave = decode(DecodeSession(codec), [codes[:, :, :start], *[None] * lost_frames, codes[:, :, end:]])
    assert np.abs(wave - whole)[:, : start * 320 - codec.delay_samples].max() < 1e-5
    assert np.abs(wave - whole)[:, (end + codec.decoder_context_frames) * 320 :].max() < 1e-4
    assert np.abs(wave[:, start * 320 : (start + 1) * 320]).max() > 0.1, "the sound goes on"
    assert not wave[:, (start + 10) * 320 : end * 320 - codec.delay_samples].any(), "and is silent after 10 frames"


def edge_steps(codec, codes, play):
    """How large the step from sample to sample is where a gap begins and ends, against the largest 5 ms around."""
    ratios = []
    for lost_frames in (1, 4, 12):
        # 40 frames before and 5 behind: the whole decodes as slowly as it is long, and clicks no differently.
        parts = np.concatenate([codes[:, :, start - 40 :][:, :, : 45 + lost_frames] for start in range(40, 240, 5)])
        pieces = [parts[:, :, :40], *[None] * lost_frames, parts[:, :, -5:]]
        steps = np.abs(np.diff(play(DecodeSession(codec, batch=len(parts)), pieces)))
        for edge in (40 * 320 - codec.delay_samples, (40 + lost_frames) * 320 - codec.delay_samples):
            around = np.concatenate((steps[:, edge - 81 : edge - 1], steps[:, edge : edge + 80]), axis=1)
            ratios.append(steps[:, edge - 1] / np.maximum(around.max(1), 1e-3))
    return np.max(ratios)


@pytest.mark.slow
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_gaps_in_a_push_are_those_of_frames_one_by_one(toy_codec, data):
    """Runs of lost frames of any length, before the first whole one, across pushes, beyond the end of the fade."""
    runs = data.draw(st.lists(st.tuples(st.booleans(), st.integers(1, 13)), min_size=1, max_size=8))
    lost = np.repeat([is_lost for is_lost, _ in runs], [size for _, size in runs])
    random = np.random.default_rng(data.draw(st.integers(0, 9)))
    codes = random.integers(0, toy_codec.codebook_size, (2, 3, len(lost)))
    one_by_one, at_once = DecodeSession(toy_codec, batch=2), DecodeSession(toy_codec, batch=2)
    wanted = [one_by_one.push(None if gone else codes[:, :, [frame]]) for frame, gone in enumerate(lost)]
    cut = data.draw(st.integers(0, len(lost)))
    given = np.where(lost, 1 << 20, codes)  # what stands in for a lost frame is not looked at
    waves = [at_once.push(given[:, :, :cut], lost[:cut]), at_once.push(given[:, :, cut:], lost[cut:])]
    wanted, waves = (
        np.concatenate([*parts, last.flush()], axis=1) for parts, last in ((wanted, one_by_one), (waves, at_once))
    )
    assert waves.shape == wanted.shape
    np.testing.assert_allclose(waves, wanted, atol=1e-5)


def test_gaps_are_told_in_booleans(toy_codec):
    session = DecodeSession(toy_codec)
    for lost in (np.zeros(3, bool), np.zeros(4, int)):
        with pytest.raises(ValueError, match="expected bool \\[4\\]"):
            session.push(np.zeros((1, 3, 4), int), lost)


def test_gaps_between_frames_of_other_depths_are_concealed(toy_codec):
    one_by_one, at_once = DecodeSession(toy_codec), DecodeSession(toy_codec)
    codes = np.random.default_rng(0).integers(0, toy_codec.codebook_size, (1, 3, 4))
    wanted = [one_by_one.push(codes), one_by_one.push(None), one_by_one.push(codes[:, :2, 1:])]
    waves = [at_once.push(codes), at_once.push(codes[:, :2], np.array([True, False, False, False]))]
    np.testing.assert_allclose(np.concatenate(waves, axis=1), np.concatenate(wanted, axis=1), atol=1e-5)


@pytest.mark.slow
def test_concealment_does_not_click(codec, speech):
    """Measured: 0.9; zeros in place of the frames click with 5.5."""
    codes = encoded(codec, speech[None])
    assert edge_steps(codec, codes, decode) < 1.5
    assert edge_steps(codec, codes, zero_filled) > 4


def test_frames_lost_before_any_came_are_silence(codec, speech):
    codes = encoded(codec, speech[None, :16000])
    session = DecodeSession(codec)
    wave = decode(session, [None, None, codes])
    assert wave.shape == (1, 52 * 320)
    assert not wave[:, : 2 * 320 - codec.delay_samples].any()
    # The sound of noise depends on its place: that of the third frame on, not that of a stream's beginning.
    wanted = decode(DecodeSession(codec, start_frame=2), [codes])
    assert np.abs(wave[:, 3 * 320 :] - wanted[:, 320:]).max() < 1e-5


@pytest.mark.parametrize("lost_frames", [0, 1, 4, 9, 10, 12])
def test_a_session_saved_in_a_gap_goes_on_concealing(toy_codec, lost_frames):
    codes = np.random.default_rng(0).integers(0, 16, (2, 3, 9))
    session, restored = DecodeSession(toy_codec, batch=2), DecodeSession(toy_codec, batch=2)
    session.push(codes)
    session.conceal(lost_frames)
    restored.restore(saved_and_loaded(session.save()))
    rest = [None, None, codes, None]
    assert np.array_equal(decode(restored, rest), decode(session, rest))


def test_a_saved_gap_of_another_kind_is_refused(toy_codec):
    session = DecodeSession(toy_codec)
    session.push(np.zeros((1, 3, 4), np.int64))
    saved = session.save()
    for change in ({"last": np.full((1, 3, 1), 16)}, {"last": np.zeros((2, 3, 1), np.int64)}):
        with pytest.raises(ValueError, match="expected"):
            DecodeSession(toy_codec).restore(saved | change)
    with pytest.raises(ValueError, match="saved session"):
        DecodeSession(toy_codec).restore({name: array for name, array in saved.items() if name != "last"})
    for lost_frames in (-1, 11):
        with pytest.raises(ValueError, match="saved session"):
            DecodeSession(toy_codec).restore(saved | {"lost_frames": np.array(lost_frames)})


MEASURED_GAINS = [
    (6, 0.05, 0.027),
    (6, 0.1, 0.052),
    (6, 0.2, 0.097),
    (1.5, 0.05, 0.027),
    (1.5, 0.1, 0.042),
    (1.5, 0.2, 0.084),
]


@pytest.fixture(scope="module")
def clips(speech):
    wave, _ = soundfile.read(Path(__file__).parents[1] / "data" / "kerstin.flac", dtype="float32")
    return [speech, wave]


@pytest.mark.slow
@pytest.mark.parametrize(("kbps", "loss", "measured"), MEASURED_GAINS)
def test_concealment_is_more_intelligible_than_silence_in_place_of_lost_packets(codec, clips, kbps, loss, measured):
    """By half the gain in ESTOI that was measured, to leave room for other weights."""
    concealed, silent = [], []
    for seed, wave in enumerate(clips):
        codes = encoded(codec, wave[None], kbps=kbps)
        lost = np.random.default_rng(seed).random(codes.shape[2]) < loss
        packets = [packet for packet, gone in zip(packetize(codes), lost, strict=True) if not gone]
        items = list(joined(depacketize(packets, Depacketizer(first_frame=0))))
        hidden = decode(DecodeSession(codec), items)[0]
        zeroed = zero_filled(DecodeSession(codec), items)[0]
        concealed.append(estoi(wave[: len(hidden)], hidden[: len(wave)], 16000))
        silent.append(estoi(wave[: len(zeroed)], zeroed[: len(wave)], 16000))
    assert np.mean(concealed) - np.mean(silent) > 0.5 * measured


def test_nothing_in_is_nothing_out(toy_codec):
    encoding, decoding = EncodeSession(toy_codec), DecodeSession(toy_codec)
    assert encoding.flush().shape == (1, 3, 0)
    assert decoding.flush().shape == (1, 0)
    assert decoding.push(np.zeros((1, 3, 0), np.int64)).shape == (1, 0)
    assert decoding.conceal(0).shape == (1, 0)
    assert decoding.flush().shape == (1, 0)


def test_other_shapes_are_refused(toy_codec):
    for wave in (np.zeros((2, 160), np.float32), np.zeros(160, np.float32), np.zeros((1, 160), np.int16)):
        with pytest.raises(ValueError, match="expected"):
            EncodeSession(toy_codec).push(wave)
    with pytest.raises(ValueError, match="expected"):
        DecodeSession(toy_codec).push(np.zeros((2, 3, 1), np.int64))
