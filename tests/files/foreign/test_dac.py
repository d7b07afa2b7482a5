import builtins
import io
import os
import pickle
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.errors import BitstreamError, VersionError
from vqcodec.files.foreign.dac import parse_dac
from vqcodec.files.foreign.pickled import read_pickle


def some_codes(channels=1, num_codebooks=9, frames=5):
    return np.random.default_rng(frames).integers(0, 1024, (channels, num_codebooks, frames))


def npy_of_pickle(data):
    """A .npy like DAC's whose pickle is `data`."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def pickled(value, protocol=4):
    """As np.save pickles it."""
    return npy_of_pickle(pickle.dumps(np.array(value, dtype=object), protocol=protocol))


@given(st.integers(1, 3), st.integers(1, 9), st.integers(0, 300))
def test_every_code_comes_back(dac_object, saved, channels, num_codebooks, frames):
    codes = some_codes(channels, num_codebooks, frames)
    foreign = parse_dac(saved(dac_object(codes, original_length=frames * 512)))
    np.testing.assert_array_equal(foreign.codes, codes)
    assert (foreign.samples, foreign.rate_hz) == (frames * 512, 44100)
    assert foreign.tags == {"input_db": "-23.46"}


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_files_of_every_numpy_are_read(dac_object, protocol, module):
    content = dac_object(np.asfortranarray(some_codes()), original_length=np.int64(2560), input_db=np.float32(-20))
    data = pickled(content, protocol)
    written = np.array(0).__reduce__()[0].__module__
    if protocol == 3:
        data = data.replace(f"c{written}\n".encode(), f"c{module}\n".encode())
    elif written != module:
        data = data.replace(
            b"\x8c" + bytes([len(written)]) + written.encode(), b"\x8c" + bytes([len(module)]) + module.encode()
        )
    foreign = parse_dac(data)
    np.testing.assert_array_equal(foreign.codes, content["codes"])
    assert (foreign.samples, foreign.tags) == (2560, {"input_db": "-20.00"})


def test_a_large_file_is_read(dac_object, saved):
    """Python writes bytes from 64 KiB on outside of its frames."""
    codes = some_codes(2, 9, 20_000)
    np.testing.assert_array_equal(parse_dac(saved(dac_object(codes))).codes, codes)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"padding": False, "chunk_length": 416}, "in chunks.*win_duration"),
        ({"dac_version": "2.0.0"}, "version '2.0.0'"),
        ({"dac_version": None}, "version none"),
        ({"channels": 2}, r"not integers \[2, K, F\]"),
        ({"original_length": -1}, "original_length"),
        ({"original_length": 1.5}, "original_length"),
        ({"sample_rate": "44100"}, "no array"),
        ({"input_db": np.zeros(2, np.float32)}, "2 numbers"),
        ({"input_db": None}, "no array"),
        ({"more": 1}, "metadata are not those"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(dac_object, saved, metadata, message):
    with pytest.raises(BitstreamError, match=message) as caught:
        parse_dac(saved(dac_object(some_codes(), **metadata)))
    assert isinstance(caught.value, VersionError) == ("dac_version" in metadata)


def test_other_objects_of_numpy_are_refused(dac_object, saved):
    whole = dac_object(some_codes())
    others = (
        np.zeros((1, 9, 5)),
        "text",
        [1],
        {"codes": 1},
        {"codes": some_codes(), "metadata": 3},
        whole | {"more": 1},
    )
    for value in others:
        with pytest.raises(BitstreamError):
            parse_dac(saved(value))
    for codes in (some_codes()[0], some_codes().astype(float), some_codes().astype("O"), [[[1]]], None):
        with pytest.raises(BitstreamError):
            parse_dac(saved(dac_object(some_codes()) | {"codes": codes}))


# Attacks


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


class Builds:
    """Pickles as a call whose result is then given a state."""

    def __init__(self, function, arguments, state):
        self.parts = (function, arguments, state)

    def __reduce__(self):
        return self.parts


CALLS = {
    "os.system": lambda mark: Calls(os.system, f"touch {mark}"),
    "eval": lambda mark: Calls(builtins.eval, f"open({str(mark)!r}, 'w')"),
    "exec": lambda mark: Calls(builtins.exec, f"open({str(mark)!r}, 'w')"),
    "open": lambda mark: Calls(builtins.open, str(mark), "w"),
    "getattr": lambda mark: Calls(getattr, "a", "upper"),
    "numpy.load": lambda mark: Calls(np.load, str(mark)),
    "numpy.fromfile": lambda mark: Calls(np.fromfile, str(mark)),
    "numpy.memmap": lambda mark: Calls(np.memmap, str(mark), np.uint8, "w+", 0, (4,)),
    "numpy.savetxt": lambda mark: Calls(np.savetxt, str(mark), [1]),
    "numpy.zeros": lambda mark: Calls(np.zeros, (1 << 45,)),
    "a dtype's state": lambda mark: Builds(
        np.dtype, ("V8", False, True), (4, "|", None, ("a",), Calls(open, mark, "w"))
    ),
    "a dtype of objects": lambda mark: Calls(np.ndarray, (1,), np.dtype("O"), b"12345678"),
    "bytearray": lambda mark: Calls(bytearray, 1 << 45),
}


@pytest.mark.parametrize("make", CALLS.values(), ids=list(CALLS))
@pytest.mark.parametrize("place", ["whole", "codes", "metadata", "input_db", "array of objects", "beside", "dead"])
def test_nothing_in_a_file_is_ever_called(dac_object, tmp_path, make, place):
    mark = tmp_path / "executed"
    attack = make(mark)
    content = dac_object(some_codes())
    if place == "whole":
        content = attack
    elif place in ("codes", "metadata"):
        content[place] = attack
    elif place == "input_db":
        content["metadata"]["input_db"] = attack
    elif place == "array of objects":
        content["codes"] = np.array([None], dtype=object)
        content["codes"][0] = attack
    elif place == "beside":
        content["other"] = [(attack,)]
    whole = np.empty((), object)
    whole[()] = content
    data = pickle.dumps(whole, protocol=4)
    if place == "dead":  # the attack alone, then what looks like a whole file
        data = pickle.dumps(attack, protocol=4)[:-1] + b"0" + pickle.dumps(np.array(content, object), protocol=4)
    with pytest.raises(BitstreamError) as caught:
        parse_dac(npy_of_pickle(data))
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_the_attacks_of_these_tests_are_real(tmp_path):
    """What numpy itself would do with such a file."""
    data = pickled(CALLS["os.system"](tmp_path / "executed"))
    (tmp_path / "a.dac").write_bytes(data)
    with pytest.raises(BitstreamError, match="asks for 'posix system'"):
        parse_dac(data)
    assert not (tmp_path / "executed").exists()
    np.load(tmp_path / "a.dac", allow_pickle=True)
    assert (tmp_path / "executed").exists()


def array_note(shape, dtype=b"\x8c\x02u2", state=None, content=b"C\x02\x00\x00"):
    """The pickle of an array as numpy notes it, with parts of it replaced."""
    head = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    state = b"(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t" if state is None else state
    return head + b"(K\x01" + shape + b"cnumpy\ndtype\n" + dtype + b"\x89\x88\x87R" + state + b"b\x89" + content + b"tb"


def codes_of(note):
    """The whole pickle of a .dac whose codes are `note`."""
    metadata = pickle.dumps(METADATA, protocol=4)[2:-1]  # without PROTO and STOP
    content = b"(\x8c\x05codes" + note + b"\x8c\x08metadata" + metadata + b"u"
    whole = array_note(
        b")", b"\x8c\x02O8", b"(K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?t", b"]}" + content + b"a"
    )
    return npy_of_pickle(b"\x80\x04" + whole + b".")


METADATA = {
    **{"input_db": -20.0, "original_length": 512, "sample_rate": 44100, "chunk_length": 1, "channels": 1},
    **{"padding": True, "dac_version": "1.0.0"},
}
ONE = b"K\x01K\x01K\x01\x87"
HUGE = b"J\xff\xff\xff\x7f"


def test_the_notes_of_these_tests_are_those_of_numpy():
    np.testing.assert_array_equal(parse_dac(codes_of(array_note(ONE))).codes, [[[0]]])


@pytest.mark.parametrize(
    "note",
    [
        array_note(HUGE + HUGE + HUGE + b"\x87"),
        array_note(b"K\x00" + HUGE + HUGE + b"\x87", content=b"C\x00"),
        array_note(b"(" + b"K\x01" * 70 + b"t"),
        array_note(b"K\x01K\x01J\xff\xff\xff\xff\x87"),
        array_note(b"K\x01K\x01\x88\x87"),
        array_note(ONE, content=b"C\x03\x00\x00\x00"),
        array_note(ONE, content=b"]"),
        array_note(ONE, dtype=b"\x8c\x02O8", content=b"]Na"),
        array_note(ONE, dtype=b"\x8c\x02f1"),
        array_note(ONE, dtype=b"\x8c\x04V2,O"),
        array_note(ONE, dtype=b"K\x07"),
        array_note(ONE, state=b"(K\x03\x8c\x01<N\x8c\x01a\x85}J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"),
        array_note(ONE, state=b"(K\x04\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00}t"),
        array_note(ONE, state=b"(K\x03\x8c\x01<NNNJ\xff\xff\xff\x7fJ\xff\xff\xff\xffK\x00t"),
        array_note(ONE, state=b"]"),
        array_note(ONE) + b"Nb",
        b"cnumpy\ndtype\n",
        b"cnumpy.core.multiarray\nscalar\n)R",
    ],
)
def test_arrays_that_are_not_plain_are_refused(note):
    with pytest.raises(BitstreamError) as caught:
        parse_dac(codes_of(note))
    assert "\n" not in str(caught.value)


def laughs(levels):
    """Tuples of tuples, each of them twice: 2 ** levels items to whoever walks them."""
    return b"N\x94" + b"".join(b"h" + bytes([n]) + b"h" + bytes([n]) + b"\x86\x94" for n in range(levels))


BOMBS = {
    "memo": b"N" + b"r\xff\xff\xff\x7f" + b".",
    "long memo": b"N" + b"".join(b"r" + n.to_bytes(4, "big") for n in range(3000)) + b".",
    "frame": b"\x80\x04\x95" + b"\xff" * 7 + b"\x7f" + b"N.",
    "bytes": b"B\xff\xff\xff\xff",
    "bytes of 8": b"\x8e" + b"\xff" * 7 + b"\x7f",
    "bytearray": b"\x96" + b"\xff" * 7 + b"\x7f",
    "text": b"X\xff\xff\xff\xff",
    "long": b"\x8b\xff\xff\xff\x7f",
    "digits": b"I" + b"9" * 100_000 + b"\n.",
    "depth": b"(" * 9_000 + b"t" * 9_000 + b".",
    "depth of lists": b"]" * 9_000 + b"a" * 8_999 + b".",
    "none but marks": b"(" * 1_000_000,
    "laughs": laughs(200) + b".",
    "laughs as a key": b"}(" + laughs(200) + b"tNs.",
    "laughs as a name": laughs(200) + laughs(1) + b"\x93.",
    "a list in itself": b"]\x94h\x00a.",
    "a list in itself as arguments": b"cnumpy\ndtype\n]\x94h\x00aR.",
    "laughs as the arguments": b"cnumpy.core.multiarray\n_reconstruct\n" + laughs(200) + b"R.",
    "extension": b"\x82\x01.",
    "persistent": b"Pid\n.",
    "object": b"(cos\nsystem\no.",
    "instance": b"(S'true'\nios\nsystem\n.",
    "new": b"cos\nsystem\n)\x81.",
    "buffer": b"\x97.",
    "sets": b"\x8f(K\x01\x90.",
    "empty": b"",
    "nothing on the stack": b".",
    "two values": b"NN.",
    "below a mark": b"N(\x85.",
    "odd": b"}(\x8c\x01au.",
    "trailing": b"N.N",
    "two pickles": b"N.\x80\x04N.",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=list(BOMBS))
def test_bombs_are_refused_quickly_and_in_little_memory(bomb):
    data = npy_of_pickle(bomb)
    started = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(BitstreamError) as caught:
            parse_dac(data)
        assert tracemalloc.get_traced_memory()[1] < 5 * len(data) + 10e6
    finally:
        tracemalloc.stop()
    assert time.monotonic() - started < 5
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_the_number_of_opcodes_is_bounded():
    assert read_pickle(b"(" + b"N" * 9_000 + b"t.") == (None,) * 9_000
    with pytest.raises(BitstreamError, match="more opcodes"):
        read_pickle(b"(" + b"N" * 1_000_000 + b"t.")


def test_nothing_may_follow_or_stay_behind_the_object(dac_object, saved):
    data = saved(dac_object(some_codes()))
    assert parse_dac(data).codes.shape == (1, 9, 5)
    start = data.index(b"\n") + 1
    for more in (data + b"N", data + data[start:], data[:start] + b"N" + data[start:]):
        with pytest.raises(BitstreamError, match="does not end where it should"):
            parse_dac(more)


def test_a_file_cut_anywhere_is_refused(dac_object, saved):
    data = saved(dac_object(some_codes(1, 2, 3)))
    for size in range(len(data)):
        with pytest.raises(BitstreamError):
            parse_dac(data[:size])


@settings(max_examples=300)
@given(st.data())
def test_changed_bytes_give_codes_or_our_own_error(dac_object, saved, data):
    original = bytearray(saved(dac_object(some_codes(1, 2, 3))))
    for _ in range(data.draw(st.integers(1, 4))):
        original[data.draw(st.integers(120, len(original) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert parse_dac(bytes(original)).codes.ndim == 3
    except BitstreamError as error:
        assert "\n" not in str(error)


OPCODES = [bytes([n]) for n in range(128, 160)] + [b"K\x01", b"\x8c\x01x", b"h\x00", b"q\x00", b"cnumpy\ndtype\n"]
OPCODES += [bytes([n]) for n in b"()N]}Rbsuaet02"]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(OPCODES)))
def test_any_opcodes_give_a_value_or_our_own_error(opcodes):
    try:
        read_pickle(b"".join(opcodes) + b".")
    except BitstreamError as error:
        assert "\n" not in str(error)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    ),
    st.sampled_from([3, 4, 5]),
)
def test_plain_values_are_what_python_reads(value, protocol):
    data = pickle.dumps(value, protocol=protocol)
    assert read_pickle(data) == pickle.load(io.BytesIO(data)) == value
