import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.stream import DecodeSession, EncodeSession

splits = st.lists(st.integers(0, 1500), max_size=5).map(sorted)


@given(splits)
@settings(max_examples=30, deadline=None)
def test_encoding_in_any_split_equals_one_push(toy_codec, cuts):
    wave = torch.randn(2, 1, 1500, generator=torch.Generator().manual_seed(0))
    session = EncodeSession(toy_codec, num_codebooks=2, batch=2)
    pieces = [session.push(part) for part in torch.tensor_split(wave, cuts, dim=2)] + [session.flush()]
    assert torch.equal(torch.cat(pieces, dim=2), toy_codec.encode(wave, num_codebooks=2))


@given(st.lists(st.integers(0, 20), max_size=5).map(sorted))
@settings(max_examples=30, deadline=None)
def test_decoding_in_any_split_equals_one_push(toy_codec, cuts):
    codes = torch.randint(0, 16, (2, 3, 20), generator=torch.Generator().manual_seed(0))
    session = DecodeSession(toy_codec, batch=2)
    pieces = [session.push(part) for part in torch.tensor_split(codes, cuts, dim=2)] + [session.flush()]
    wave = torch.cat(pieces, dim=2)
    assert wave.shape == (2, 1, 20 * 160)
    # Other block sizes add up in another order.
    assert torch.allclose(wave, toy_codec.decode(codes), atol=1e-5)


def test_real_speech_in_pieces_has_the_codes_of_the_whole(codec, speech):
    wave = torch.from_numpy(speech)[None, None]
    session = EncodeSession(codec, kbps=6)
    cuts = np.sort(np.random.default_rng(0).integers(0, len(speech), 30)).tolist()
    pieces = [session.push(part) for part in torch.tensor_split(wave, cuts, dim=2)] + [session.flush()]
    assert torch.equal(torch.cat(pieces, dim=2), codec.encode(wave))


def test_after_flush_a_session_starts_anew(toy_codec):
    wave = torch.randn(1, 1, 1000)
    session = EncodeSession(toy_codec)
    first = torch.cat((session.push(wave), session.flush()), dim=2)
    again = torch.cat((session.push(wave), session.flush()), dim=2)
    assert torch.equal(first, again)
    decoding = DecodeSession(toy_codec)
    one = torch.cat((decoding.push(first), decoding.flush()), dim=2)
    two = torch.cat((decoding.push(first), decoding.flush()), dim=2)
    assert torch.equal(one, two)


def test_sessions_of_one_model_do_not_mix(toy_codec):
    a, b = torch.randn(1, 1, 640), torch.randn(1, 1, 640)
    first, second = EncodeSession(toy_codec), EncodeSession(toy_codec)
    mixed = [(first.push(a[:, :, i : i + 160]), second.push(b[:, :, i : i + 160])) for i in range(0, 640, 160)]
    assert torch.equal(torch.cat([codes for codes, _ in mixed], dim=2), toy_codec.encode(a))
    assert torch.equal(torch.cat([codes for _, codes in mixed], dim=2), toy_codec.encode(b))


def test_nothing_in_is_nothing_out(toy_codec):
    encoding, decoding = EncodeSession(toy_codec), DecodeSession(toy_codec)
    assert encoding.flush().shape == (1, 3, 0)
    assert decoding.flush().shape == (1, 1, 0)
    assert decoding.push(torch.zeros(1, 3, 0).long()).shape == (1, 1, 0)


def test_other_shapes_are_refused(toy_codec):
    with pytest.raises(ValueError, match="expected"):
        EncodeSession(toy_codec).push(torch.zeros(2, 1, 160))
    with pytest.raises(ValueError, match="expected"):
        DecodeSession(toy_codec).push(torch.zeros(2, 3, 1).long())
