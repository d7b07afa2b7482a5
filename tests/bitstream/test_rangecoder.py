import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqcodec.bitstream.rangecoder import RangeDecoder, RangeEncoder
from vqcodec.errors import BitstreamError

weights = st.lists(st.one_of(st.integers(1, 5), st.integers(1, 1 << 24)), min_size=1, max_size=8)
symbols = st.lists(weights.flatmap(lambda w: st.tuples(st.just(w), st.integers(0, len(w) - 1))), max_size=80)


def encode(symbols):
    coder = RangeEncoder()
    for table, symbol in symbols:
        coder.encode(sum(table[:symbol]), table[symbol], sum(table))
    return coder.finish()


def decode(data, tables):
    coder = RangeDecoder(data)
    for table in tables:
        target = coder.find(sum(table))
        symbol = next(s for s in range(len(table)) if sum(table[: s + 1]) > target)
        coder.take(sum(table[:symbol]), table[symbol])
        yield symbol


@given(symbols)
def test_symbols_come_back_in_as_many_bytes_as_they_are_worth(symbols):
    data = encode(symbols)
    assert list(decode(data, [table for table, _ in symbols])) == [symbol for _, symbol in symbols]
    bits = sum(math.log2(sum(table) / table[symbol]) for table, symbol in symbols)
    assert len(data) <= bits / 8 + 1.01 + 1e-3 * len(symbols)


def test_a_carry_runs_through_many_bytes():
    # The likeliest symbol at the top of the range again and again leaves bytes of 255; a last one beyond them carries.
    table = [1, (1 << 24) - 1]
    for length in range(1, 400):
        symbols = [([1, 255], 1)] * length + [(table, 1), ([1, 1, 1], 2)]
        data = encode(symbols)
        assert list(decode(data, [t for t, _ in symbols])) == [s for _, s in symbols]


def test_no_symbols_take_no_bytes():
    assert encode([]) == b""


@given(st.binary(max_size=40), st.lists(st.integers(1, 1 << 30), max_size=40))
def test_any_bytes_give_a_target_below_the_total_or_our_error(data, totals):
    coder = RangeDecoder(data)
    for total in totals:
        try:
            target = coder.find(total)
        except BitstreamError:
            return
        assert 0 <= target < total
        coder.take(target, 1)


def test_an_offset_that_no_encoder_leaves_is_refused():
    coder = RangeDecoder(b"\xff" * 20)
    with pytest.raises(BitstreamError, match="no encoder"):
        coder.find(3 << 20)
