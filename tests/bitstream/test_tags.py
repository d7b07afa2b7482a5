import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqcodec.bitstream import Header, VqcReader, VqcWriter, spec
from vqcodec.bitstream.records import Head, checksum
from vqcodec.bitstream.tags import MAX_BYTES, parse_tags, tags_to_bytes
from vqcodec.errors import BitstreamError

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789_.-", min_size=1, max_size=64)
values = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=50)


@given(st.dictionaries(names, values, max_size=6))
def test_tags_come_back(tags):
    body = tags_to_bytes(tags)
    assert parse_tags(body) == tags
    header = Header(b"test", 16000, 320, 16000, 1, 320, 1, 1024)
    file = io.BytesIO()
    writer = VqcWriter(file, header, tags=tags)
    writer.write(np.zeros((1, 1, 1), int))
    writer.close()
    file.seek(0)
    reader = VqcReader(file)
    assert reader.tags == tags
    assert sum(chunk.codes.shape[2] for chunk in reader.chunks()) == 1
    assert len(file.getvalue()) == len(header.to_bytes()) + 10 + (8 + len(body) if tags else 0)


@pytest.mark.parametrize(
    "tags",
    [
        {"": "x"},
        {"Title": "x"},
        {"a b": "x"},
        {"a" * 65: "x"},
        {"a": "\0"},
        {"a": "\r"},
        {"a": "\ud800"},
        {"a": "x" * MAX_BYTES},
    ],
    ids=["no name", "upper case", "space", "long name", "NUL", "return", "surrogate", "too much"],
)
def test_tags_that_a_file_cannot_hold_are_refused(tags):
    with pytest.raises(BitstreamError, match="tag"):
        tags_to_bytes(tags)


@pytest.mark.parametrize(
    "body",
    [
        b"\x01",
        b"\x09\x00a=",
        b"\x01\x00a",
        b"\x02\x00\xff=",
        b"\x02\x00b=\x02\x00a=",
        b"\x02\x00a=\x02\x00a=",
        b"\x02\x00A=",
    ],
    ids=["half a length", "cut", "no equals sign", "no UTF-8", "order", "twice", "upper case"],
)
def test_tags_that_no_writer_makes_are_refused(body):
    with pytest.raises(BitstreamError):
        parse_tags(body)


def with_records(*before, after=()):
    """A file of one frame with records of tags, given as bodies, before it and after it; and the codes."""
    header, codes = Header(b"test", 16000, 320, 16000, 1, 320, 1, 1024), np.full((1, 1, 1), 7)
    file = io.BytesIO()
    writer = VqcWriter(file, header)
    writer.write(codes)
    writer.close()
    start = len(header.to_bytes())

    def record(body, position):
        head = Head(spec.TAG_TAGS, len(body))
        return head.to_bytes() + body + checksum(head, body, position=position)

    data = file.getvalue()
    parts = [data[:start], *(record(body, 0) for body in before), data[start:], *(record(body, 1) for body in after)]
    return b"".join(parts), codes


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([b"\x02\x00A="], [], "tag name 'A'"),
        ([b"\x09\x00a="], [], "tags of the .vqc are malformed"),
        ([b"\x02\x00a=", b"\x02\x00b="], [], "do not follow its header"),
        ([], [b"\x02\x00a="], "do not follow its header"),
    ],
    ids=["upper case", "cut", "twice", "late"],
)
def test_tags_of_another_writer_that_are_malformed_are_told_of(before, after, said):
    data, codes = with_records(*before, after=after)
    with pytest.raises(BitstreamError, match=said):
        list(VqcReader(io.BytesIO(data)).chunks())
    told = []
    (chunk,) = VqcReader(io.BytesIO(data)).chunks(on_damage=told.append)
    assert np.array_equal(chunk.codes, codes)
    assert len(told) == 1
    assert re.search(said, str(told[0]))


@pytest.mark.parametrize(
    ("channels", "text", "decoded"),
    [
        *((1, "2", 2), (1, "255", 255), (2, "3", 2)),
        *(
            (1, text, 1)
            for text in ("", "1", "0", "02", "256", "-2", "2.0", "two", "\N{ARABIC-INDIC DIGIT TWO}", "9" * 5000)
        ),
    ],
)
def test_a_tag_says_how_many_channels_were_the_same(channels, text, decoded):
    header = Header(b"test", 16000, 320, 16000, channels, 0, 1, 1024)
    file = io.BytesIO()
    VqcWriter(file, header, tags={"vqc.channels": text}).close()
    file.seek(0)
    assert VqcReader(file).decoded_channels == decoded
