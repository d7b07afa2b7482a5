"""Fixtures of the token tests: folders of clips cut from the fixtures, and a plan of the toy model."""

import numpy as np
import pytest
import soundfile

from vqcodec.tokens.run import tokenize


@pytest.fixture(scope="session")
def make_clips(speech):
    """Function: write `count` clips of real speech, of different lengths, into a folder."""

    def make(folder, count, *, rate_hz=16000, least=800, most=12000):
        folder.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(count)
        for number in range(count):
            length = int(random.integers(least, most))
            start = int(random.integers(0, len(speech) - length))
            soundfile.write(folder / f"clip{number:03}.flac", speech[start : start + length], rate_hz)
        return folder

    return make


@pytest.fixture
def tokenize_toy(toy_weights):
    """Function: `tokenize` with the toy model and one worker."""

    def run(source, out, **options):
        return tokenize(source, out, **{"model": toy_weights, "workers": 1, **options})

    return run


@pytest.fixture(scope="session")
def bytes_of():
    """Function: every file below the shards of an output, by name."""

    def read(out):
        return {
            str(path.relative_to(out)): path.read_bytes()
            for path in sorted((out / "shards").rglob("*"))
            if path.is_file()
        }

    return read
