"""Files written by released versions decode bit-exactly for ever, and today's writer still writes those of today."""

import hashlib
import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vqcodec.bitstream import VqcReader

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
# Replacing a golden file is a new version of the format: add files, never change these lines.
SHA256 = {
    "v1-empty.vqc": "639f3ded4e230c7d5f670998777b86e519482fddc84c3e7c833ab7047cf0b0da",
    "v1-entropy-stereo-stream.vqc": "8c8fab2da45942e3505f1da6008eb1fa63750b34361a83465dc6db4c68ac93f6",
    "v1-entropy.safetensors": "cff6fa95543d980befc15fbfcbb72460a390ebd2cafea2fd833e7d84ac735c49",
    "v1-entropy.vqc": "20a710dece3c9f91186a7d1b6b44619b53012a290680d84a715f7a6b386553e2",
    "v1-mono-16k.vqc": "3243b86d727b909792439cee3ca302b6ca172d5cedd4b2319ad749e1a2f787d0",
    "v1-odd-rates.vqc": "fccc2485f9ddfe076a7216945e2d3f77172222f4ebf8b8a4c4d4de97cff93d69",
    "v1-stereo-44k.vqc": "92bb19c11647d3b0b8ee4a7a0dd27fba2c55605547dc6c6c9ef85a8e902d8603",
    "v1-stream-22k.vqc": "cc4de38b87a39436375141af9f1434d93c3d5264feaf67f68af6c0be3582333a",
    "v1-tagged.vqc": "0cd6bebafa94cbff2c75c95ed72edb31dd355f05aba1fef5a01b36c15ba28261",
    "v1-thinned.vqc": "e00f7f0518767421f4f3a3d9259f653941e00561f00479a7128a4221899a0b62",
    "v1-varied-equal.vqc": "acd4fb2a6978763ad246167c63029a835fe0dda58e0cfec588612953f8e2e4a3",
    "v1-varied-stereo-stream.vqc": "c8a597d00403f9f433b1e1b8c2d619691f43a464317e8dae1a9241313fbaba66",
    "v1-varied-thinned.vqc": "073f13b9c3cdb1be7641e69a24e8f70dcc2bce3be7ef1cfa0a105667c6c3b4da",
    "v1-varied.vqc": "a05537ca10143087944cf1642141c241f8d2f9d89171bfdfd7ae8731961958ae",
}


@pytest.fixture(scope="module")
def second_reader():
    spec = importlib.util.spec_from_file_location("second_reader", Path(__file__).with_name("second_reader.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def golden_of(tool, path):
    golden = tool.FILES[path.stem.split("-", 1)[1]]
    return golden, golden.codes()[:, : golden.layers]


@pytest.mark.parametrize("name", SHA256)
def test_a_golden_file_is_what_it_was(name):
    assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == SHA256[name]


def test_every_golden_file_is_listed():
    assert {path.name for path in GOLDEN.iterdir() if path.is_file()} == set(SHA256)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.vqc")), ids=lambda path: path.stem)
def test_a_golden_file_decodes_to_its_codes(tool, entropy, path):
    golden, wanted = golden_of(tool, path)
    with path.open("rb") as file:
        reader = VqcReader(file)
        assert replace(reader.header, num_codebooks=golden.header.num_codebooks) == golden.header
        assert reader.tags == golden.tags
        chunks = [chunk.codes for chunk in reader.chunks(entropy=entropy)]
        assert reader.samples == golden.samples()
    assert np.array_equal(np.concatenate([wanted[:, :, :0], *chunks], axis=2), wanted)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.vqc")), ids=lambda path: path.stem)
def test_a_reader_written_from_the_text_alone_decodes_it_as_well(tool, second_reader, path):
    golden, wanted = golden_of(tool, path)
    tensors = second_reader.read_safetensors((GOLDEN / "v1-entropy.safetensors").read_bytes())
    header, codes = second_reader.read_vqc(path.read_bytes(), tensors)
    assert codes == wanted.tolist()
    assert (header["samples"], header["tags"]) == (golden.samples(), golden.tags)
    for name in ("fingerprint", "sample_rate_hz", "original_rate_hz", "hop_length", "channels"):
        assert header[name] == getattr(golden.header, name)


def test_the_entropy_coded_files_are_smaller_for_it(tool):
    for name in ("entropy", "entropy-stereo-stream"):
        golden = tool.FILES[name]
        with (GOLDEN / f"v1-{name}.vqc").open("rb") as file:
            assert VqcReader(file).scan().entropy_coded_chunks > 1
        size = (GOLDEN / f"v1-{name}.vqc").stat().st_size
        assert size < len(tool.write(replace(golden, entropy=False)))


def test_todays_writer_gives_the_same_bytes(tool, tmp_path):
    tool.main(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(SHA256)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (GOLDEN / path.name).read_bytes()
