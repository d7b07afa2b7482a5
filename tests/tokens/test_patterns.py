"""Patterns: exact inversion for any codes, the orders of the papers, and nothing else taken for codes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vqcodec.sessions.stream import DecodeSession
from vqcodec.tokens.patterns import ByCodebook, Delayed, Interleaved, Pattern

PATTERNS = [Interleaved, ByCodebook, Delayed]
CODES = np.array([[1, 2, 3], [4, 5, 6]], np.uint16)


@st.composite
def codes_and_size(draw):
    shape = draw(st.integers(1, 12)), draw(st.integers(0, 20))
    size = draw(st.sampled_from([1, 2, 16, 1024, 65536]))
    dtype = draw(st.sampled_from([np.uint16, np.int32, np.int64]))
    codes = np.random.default_rng(draw(st.integers(0, 1000))).integers(0, size, shape)
    return codes.astype(dtype if size <= 2**15 else np.int64), size


@pytest.mark.parametrize("kind", PATTERNS)
@given(codes_and_size())
def test_unflatten_gives_the_codes_back(kind, drawn):
    codes, size = drawn
    pattern = kind(len(codes), size)
    tokens = pattern.flatten(codes)
    assert tokens.dtype == np.int64
    back = pattern.unflatten(tokens)
    assert back.shape == codes.shape
    np.testing.assert_array_equal(back, codes)
    if tokens.size:
        assert 0 <= tokens.min() <= tokens.max() < pattern.vocabulary_size


@pytest.mark.parametrize("kind", PATTERNS)
@given(codes_and_size(), st.data())
def test_what_unflatten_takes_flatten_gives(kind, drawn, data):
    codes, size = drawn
    pattern = kind(len(codes), size)
    tokens = pattern.flatten(codes)
    if not tokens.size:
        return
    place = data.draw(st.integers(0, tokens.size - 1))
    tokens.flat[place] = data.draw(st.integers(-1, pattern.vocabulary_size))
    try:
        back = pattern.unflatten(tokens)
    except ValueError:
        return
    np.testing.assert_array_equal(pattern.flatten(back), tokens)


@pytest.mark.parametrize("kind", PATTERNS)
def test_tensors_and_lists_are_codes_and_tokens_too(kind):
    pattern = kind(2, 10)
    tokens = pattern.flatten(CODES)
    for of in (torch.tensor, np.ndarray.tolist):
        np.testing.assert_array_equal(pattern.flatten(of(CODES.astype(np.int64))), tokens)
        np.testing.assert_array_equal(pattern.unflatten(of(tokens)), CODES)


@pytest.mark.parametrize("kind", PATTERNS)
@pytest.mark.parametrize(("sizes", "message"), [((0, 1024), "num_codebooks 0"), ((3, -1), "codebook_size -1")])
def test_patterns_of_nothing_are_refused(kind, sizes, message):
    with pytest.raises(ValueError, match=f"{message} is not 1 or more"):
        kind(*sizes)


def test_the_orders_are_those_of_the_papers():
    assert Interleaved(2, 10).flatten(CODES).tolist() == [1, 14, 2, 15, 3, 16]
    assert ByCodebook(2, 10).flatten(CODES).tolist() == [1, 2, 3, 14, 15, 16]
    assert Delayed(2, 10).flatten(CODES).tolist() == [[1, 2, 3, 10], [10, 4, 5, 6]]
    assert [kind(2, 10).vocabulary_size for kind in PATTERNS] == [20, 20, 11]


def test_the_delay_is_that_of_a_loop_over_steps():
    codes = np.random.default_rng(0).integers(0, 50, (4, 9))
    tokens = Delayed(4, 50).flatten(codes)
    assert tokens.shape == (4, 9 + 4 - 1)
    for step in range(12):
        for codebook in range(4):
            frame = step - codebook
            assert tokens[codebook, step] == (codes[codebook, frame] if 0 <= frame < 9 else 50)


def test_no_frames_are_no_tokens():
    assert Interleaved(3, 10).flatten(np.zeros((3, 0), int)).shape == (0,)
    assert Delayed(3, 10).flatten(np.zeros((3, 0), int)).tolist() == [[10, 10]] * 3
    assert Delayed(3, 10).unflatten(np.full((3, 2), 10)).shape == (3, 0)


@pytest.mark.parametrize(
    ("pattern", "tokens", "message"),
    [
        (Interleaved(2, 10), [1, 14, 2], "end in a part of a frame at position 2; a frame has 2"),
        (Interleaved(2, 10), [1, 14, 2, 5], "token 5 at position 3 is none of codebook 1, which has 10 to 19"),
        (Interleaved(2, 10), [1, 14, -1, 15], "token -1 at position 2 is none of codebook 0"),
        (ByCodebook(2, 10), [1, 2, 13, 20], "token 20 at position 3 is none of codebook 1"),
        (Interleaved(2, 10), [[1, 2]], r"int64 \[1, 2\], expected integers \[F \* K\]"),
        (Delayed(2, 10), [[1, 2, 10], [3, 4, 5]], "token 3 of codebook 1 at step 0 is not the pad, 10"),
        (Delayed(2, 10), [[1, 10, 10], [10, 4, 5]], "token 10 of codebook 0 at step 1 is not a code, 0 to 9"),
        (Delayed(2, 10), [[1, 2, 10], [10, 4, 11]], "token 11 of codebook 1 at step 2 is not a code"),
        (Delayed(3, 10), [[10], [10], [10]], "1 steps are fewer than the 2"),
        (Delayed(3, 10), [[10], [10]], r"expected integers \[3, steps\]"),
    ],
)
def test_tokens_that_cannot_be_are_refused_by_position(pattern, tokens, message):
    with pytest.raises(ValueError, match=message):
        pattern.unflatten(np.array(tokens))


@pytest.mark.parametrize("kind", PATTERNS)
@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (CODES[:1], r"uint16 \[1, 3\], expected integers \[2, F\]"),
        (CODES.astype(float), "float64"),
        (CODES + np.uint16(4), "have 10 at codebook 1, frame 2; expected 0 to 9"),
        (-CODES.astype(int), "have -1 at codebook 0, frame 0"),
    ],
)
def test_what_are_no_codes_is_refused(kind, codes, message):
    with pytest.raises(ValueError, match=message):
        kind(2, 10).flatten(codes)


def test_a_pattern_is_a_value():
    assert Interleaved(2, 10) == Interleaved(2, 10) != ByCodebook(2, 10)
    with pytest.raises(NotImplementedError):
        Pattern(2, 10).flatten(CODES)


# Tokens that a model drew


@pytest.mark.parametrize("kind", PATTERNS)
@given(codes_and_size())
def test_sampled_tokens_that_are_right_are_those_of_unflatten(kind, drawn):
    codes, size = drawn
    sampled = kind(len(codes), size).unflatten_sampled(kind(len(codes), size).flatten(codes))
    np.testing.assert_array_equal(sampled.codes, codes)
    assert (sampled.repaired, sampled.ignored) == (0, 0)


@pytest.mark.parametrize("kind", PATTERNS)
@given(st.data())
def test_whatever_a_model_draws_is_codes(kind, data):
    pattern = kind(data.draw(st.integers(1, 4)), 10)
    steps = data.draw(st.integers(0, 12))
    shape = (pattern.num_codebooks, steps) if kind is Delayed else (steps,)
    tokens = np.random.default_rng(data.draw(st.integers(0, 999))).integers(-1, pattern.vocabulary_size + 1, shape)
    sampled = pattern.unflatten_sampled(tokens)
    assert sampled.codes.dtype == np.int64
    assert sampled.codes.ndim == 2
    assert sampled.codes.size <= tokens.size
    assert not sampled.codes.size or 0 <= sampled.codes.min() <= sampled.codes.max() < 10
    whole = sampled.codes if len(sampled.codes) == pattern.num_codebooks else np.zeros((pattern.num_codebooks, 0), int)
    pattern.unflatten(pattern.flatten(whole))


@pytest.mark.parametrize(
    ("pattern", "tokens", "codes", "repaired", "ignored"),
    [
        # Cut at a limit of length: the frames that are whole.
        (Interleaved(2, 10), [1, 14, 2], [[1], [4]], 0, 1),
        (Delayed(2, 10), [[1, 2, 3], [10, 4, 5]], [[1, 2], [4, 5]], 0, 1),
        (Delayed(3, 10), [[1, 2], [10, 4], [10, 10]], [[], [], []], 0, 3),
        (ByCodebook(3, 10), [1, 2, 14, 15, 26], [[1, 2], [4, 5]], 0, 1),
        # Ended by a token for the end, and by a pad of codebook 0.
        (Interleaved(2, 10), [1, 14, 20, 2, 15], [[1], [4]], 0, 3),
        (Delayed(2, 10), [[1, 2, 10, 10, 7], [10, 4, 5, 10, 10]], [[1, 2], [4, 5]], 0, 1),
        (Delayed(2, 10), [[10, 10], [10, 10]], [[], []], 0, 0),
        # Pads where codes belong and codes where pads do; a token of another codebook.
        (Delayed(2, 10), [[1, 2, 3, 10], [7, 4, 10, 6]], [[1, 2, 3], [4, 4, 6]], 1, 1),
        (Delayed(2, 10), [[1, 2, 10], [10, 10, 5]], [[1, 2], [0, 5]], 1, 0),
        (Interleaved(2, 10), [1, 14, 2, 3, 4, 16], [[1, 2, 4], [4, 4, 6]], 1, 0),
        (ByCodebook(2, 10), [1, 2, 14, 3], [[1, 2], [4, 4]], 1, 0),
    ],
)
def test_sampled_tokens_are_cut_repaired_and_counted(pattern, tokens, codes, repaired, ignored):
    sampled = pattern.unflatten_sampled(np.array(tokens))
    assert sampled.codes.tolist() == codes
    assert (sampled.repaired, sampled.ignored) == (repaired, ignored)


@pytest.mark.parametrize("kind", PATTERNS)
def test_sampled_tokens_of_another_shape_or_type_are_refused(kind):
    for tokens in (np.zeros((3, 2, 2), int), np.zeros((2, 5) if kind is Delayed else 5)):
        with pytest.raises(ValueError, match="expected integers"):
            kind(2, 10).unflatten_sampled(tokens)


@pytest.mark.parametrize("of", [np.array, torch.tensor])
def test_codes_of_tokens_go_into_decoders(toy_codec, of):
    """By numpy, into sessions, and by torch, into a codec."""
    codes = np.random.default_rng(0).integers(0, 16, (3, 9))
    pattern = Delayed(3, 16)
    tokens = of(pattern.flatten(codes))
    for back in (pattern.unflatten(tokens), pattern.unflatten_sampled(tokens).codes):
        session = DecodeSession(toy_codec)
        wave = np.concatenate((session.push(back[None]), session.flush()), axis=1)
        decoded = toy_codec.decode(torch.from_numpy(back)[None])[:, 0].numpy()
        np.testing.assert_allclose(wave, decoded, atol=1e-5)
