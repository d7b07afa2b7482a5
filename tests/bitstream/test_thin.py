import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.bitstream import Header, VqcReader, VqcWriter
from vqcodec.bitstream.thin import thin
from vqcodec.errors import DamagedError


def make_file(entropy, *, channels=1, frames=90, layers=4, known=True, per_chunk=30, varied=False):
    header = Header(b"test", 16000, 320, 16000, channels, 320 * frames if known else None, layers, 32)
    codes = (np.random.default_rng(0).random((channels, layers, frames)) ** 6 * 32).astype(np.int32)
    if varied:
        depths = np.random.default_rng(1).integers(0, layers + 1, (channels, 1, frames))
        codes[np.arange(layers)[:, None] >= depths] = -1
    file = io.BytesIO()
    writer = VqcWriter(file, header, frames_per_chunk=per_chunk, entropy=entropy, tags={"title": "x"}, varied=varied)
    writer.write(codes)
    writer.close()
    return file.getvalue(), codes


def thinned(data, layers):
    file = io.BytesIO()
    thin(VqcReader(io.BytesIO(data)), file, layers)
    return file.getvalue()


@given(
    st.booleans(),
    st.booleans(),
    st.integers(1, 2),
    st.integers(0, 90),
    st.booleans(),
    st.integers(1, 4),
    st.integers(1, 4),
)
@settings(max_examples=60, deadline=None)
def test_a_thinned_file_holds_the_lower_layers(entropy, coded, varied, channels, frames, known, first, second):
    model = entropy if coded else None
    data, codes = make_file(model, channels=channels, frames=frames, known=known, varied=varied)
    small = thinned(data, first)
    reader = VqcReader(io.BytesIO(small))
    chunks = [chunk.codes for chunk in reader.chunks(entropy=model)]
    assert np.array_equal(np.concatenate([codes[:, :first, :0], *chunks], axis=2), codes[:, :first])
    assert (reader.tags, reader.samples) == ({"title": "x"}, 320 * frames)
    assert thinned(small, min(first, second)) == thinned(data, min(first, second))
    assert thinned(data, 4) == data


def test_layers_that_are_not_there_and_damage_are_refused(entropy):
    data, _ = make_file(entropy)
    for layers in (0, 5):
        with pytest.raises(ValueError, match="1 to 4"):
            thinned(data, layers)
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 1
    with pytest.raises(DamagedError):
        thinned(bytes(damaged), 2)
