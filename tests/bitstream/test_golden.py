"""Files written by released versions decode bit-exactly for ever, and today's writer still writes those of today."""

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from vqcodec.bitstream import VqcReader

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
# Replacing a golden file is a new version of the format: add files, never change these lines.
SHA256 = {
    "v1-empty": "639f3ded4e230c7d5f670998777b86e519482fddc84c3e7c833ab7047cf0b0da",
    "v1-mono-16k": "3243b86d727b909792439cee3ca302b6ca172d5cedd4b2319ad749e1a2f787d0",
    "v1-odd-rates": "fccc2485f9ddfe076a7216945e2d3f77172222f4ebf8b8a4c4d4de97cff93d69",
    "v1-stereo-44k": "92bb19c11647d3b0b8ee4a7a0dd27fba2c55605547dc6c6c9ef85a8e902d8603",
    "v1-stream-22k": "cc4de38b87a39436375141af9f1434d93c3d5264feaf67f68af6c0be3582333a",
}


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("golden", ROOT / "tools" / "golden.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", SHA256)
def test_a_golden_file_decodes_to_its_codes(tool, name):
    path = GOLDEN / f"{name}.vqc"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == SHA256[name]
    header, _ = tool.FILES[name.split("-", 1)[1]]
    with path.open("rb") as file:
        reader = VqcReader(file)
        assert reader.header == header
        chunks = [chunk.codes for chunk in reader.chunks()]
        samples = reader.samples
    assert samples == (tool.STREAM_SAMPLES if header.samples is None else header.samples)
    wanted = tool.golden_codes(header, header.frames_for(samples))
    assert np.array_equal(np.concatenate([wanted[:, :, :0], *chunks], axis=2), wanted)


def test_todays_writer_gives_the_same_bytes(tool, tmp_path):
    tool.main(tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (GOLDEN / path.name).read_bytes()
