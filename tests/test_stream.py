import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.stream import DecodeSession, EncodeSession

splits = st.lists(st.integers(0, 1500), max_size=5).map(sorted)


def encode(session, pieces):
    """Codes of the pieces [B, n] of a wave, flushed."""
    return np.concatenate([*(session.push(piece) for piece in pieces), session.flush()], axis=2)


def decode(session, pieces):
    return np.concatenate([*(session.push(piece) for piece in pieces), session.flush()], axis=1)


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


@given(st.lists(st.integers(0, 20), max_size=5).map(sorted))
@settings(max_examples=30, deadline=None)
def test_decoding_in_any_split_equals_one_push(toy_codec, cuts):
    codes = np.random.default_rng(0).integers(0, 16, (2, 3, 20))
    wave = decode(DecodeSession(toy_codec, batch=2), np.split(codes, cuts, axis=2))
    assert wave.shape == (2, 20 * 160)
    assert np.allclose(wave, decoded(toy_codec, codes), atol=1e-5)


@pytest.mark.parametrize("piece_samples", [1, 7, 320, 321, 5000])
def test_real_speech_in_pieces_has_the_codes_and_samples_of_the_whole(codec, speech, piece_samples):
    wave = speech[None, : 16000 if piece_samples == 1 else None]
    pieces = np.split(wave, range(piece_samples, wave.shape[1], piece_samples), axis=1)
    codes = encode(EncodeSession(codec, kbps=6), pieces)
    assert np.array_equal(codes, encoded(codec, wave))
    frames = max(1, piece_samples // 320)
    pieces = np.split(codes, range(frames, codes.shape[2], frames), axis=2)
    assert np.abs(decode(DecodeSession(codec), pieces) - decoded(codec, codes)).max() < 1e-5


@torch.inference_mode()
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


def test_what_another_session_left_is_refused(toy_codec, codec, noise):
    session = EncodeSession(toy_codec, batch=2)
    session.push(noise(2, 200))
    for other in (EncodeSession(toy_codec), EncodeSession(codec, batch=2)):
        with pytest.raises(ValueError, match="saved session"):
            other.restore(session.save())
    with pytest.raises(ValueError, match="not of this kind"):
        DecodeSession(toy_codec, batch=2).restore(session.save())


@pytest.mark.parametrize("start", [0, 79, 80, 81, 319, 320])
def test_the_algorithmic_delay_is_exact(codec, start):
    """A sample comes out once `algorithmic_delay_samples` have come in from it on; for one of them no earlier."""
    delay = codec.algorithmic_delay_samples
    assert delay == 560
    assert delay <= 0.04 * codec.sample_rate_hz
    encoding, decoding = EncodeSession(codec), DecodeSession(codec)
    sample = 3200 + start
    pushed = given = 0
    while given <= sample:
        pushed += 1
        given += decoding.push(encoding.push(np.zeros((1, 1), np.float32))).shape[1]
    waited = pushed - sample
    assert waited <= delay
    assert (waited == delay) == (start == 80)


def test_nothing_in_is_nothing_out(toy_codec):
    encoding, decoding = EncodeSession(toy_codec), DecodeSession(toy_codec)
    assert encoding.flush().shape == (1, 3, 0)
    assert decoding.flush().shape == (1, 0)
    assert decoding.push(np.zeros((1, 3, 0), np.int64)).shape == (1, 0)


def test_other_shapes_are_refused(toy_codec):
    for wave in (np.zeros((2, 160), np.float32), np.zeros(160, np.float32), np.zeros((1, 160), np.int16)):
        with pytest.raises(ValueError, match="expected"):
            EncodeSession(toy_codec).push(wave)
    with pytest.raises(ValueError, match="expected"):
        DecodeSession(toy_codec).push(np.zeros((2, 3, 1), np.int64))
