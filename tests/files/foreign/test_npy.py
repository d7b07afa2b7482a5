import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vqcodec.errors import BitstreamError, TruncatedError
from vqcodec.files.foreign.npy import parse_npy


@given(
    arrays.arrays(
        st.one_of(arrays.integer_dtypes(endianness="?"), arrays.unsigned_integer_dtypes(endianness="?")),
        arrays.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=6),
    ),
    st.booleans(),
)
def test_every_type_and_order_of_integers_comes_back(saved, codes, is_fortran):
    codes = np.asfortranarray(codes) if is_fortran else codes
    found = parse_npy(saved(codes)).codes
    np.testing.assert_array_equal(found, codes if codes.ndim == 3 else codes[None])


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_format_is_read(tmp_path, version):
    codes = np.arange(12).reshape(3, 4)
    with (tmp_path / "codes.npy").open("wb") as file:
        np.lib.format.write_array(file, codes, version)
    np.testing.assert_array_equal(parse_npy((tmp_path / "codes.npy").read_bytes()).codes, codes[None])


def test_a_file_cut_anywhere_is_told_as_cut(saved):
    data = saved(np.arange(12).reshape(3, 4))
    for size in range(len(data)):
        with pytest.raises(TruncatedError):
            parse_npy(data[:size])


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3)),
        np.zeros((2, 3), bool),
        np.zeros((2, 3), "i4,i4"),
        np.array([[1, None]]),
        np.zeros(3, int),
        np.zeros((1, 1, 1, 1), int),
    ],
)
def test_arrays_that_are_no_codes_are_refused(saved, array):
    with pytest.raises(BitstreamError, match="give codes|not one that numpy writes for a plain array"):
        parse_npy(saved(array))


def with_header(text, body=b"", version=b"\x01\x00"):
    text = text.encode("latin-1")
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + body


def shape(text, dtype="<i8"):
    return with_header(f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({text}), }}\n", bytes(8))


@pytest.mark.parametrize(
    "data",
    [
        shape("1, 1") + b"\0",
        shape("1000000000000, 1000000000000"),
        shape("0, 999999999999999999, 999999999999999999")[:-8],
        shape("1, " * 70),
        shape("9" * 5000),
        shape("1" * 9000 + " x"),
        shape("1, 1", "<i3"),
        shape("1, 1", "<i8', 'descr': '<i8"),
        with_header("__import__('os').system('true')"),
        with_header("{'descr': '<i8', 'descr': '<i8', 'shape': (1, 1), }", bytes(8)),
        with_header("", version=b"\x04\x00"),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        b"PK\x03\x04" + bytes(40),
    ],
)
def test_what_are_no_plain_codes_is_refused_in_one_line(data):
    with pytest.raises(BitstreamError) as caught:
        parse_npy(data)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
