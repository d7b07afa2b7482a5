"""What tests in node and in a browser share: node, and small files that claim much."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from vqcodec.bitstream import Header
from vqcodec.bitstream.payload import join_layers
from vqcodec.bitstream.records import Head, checksum, chunk_head


def _header(samples=None, num_codebooks=12, codebook_size=1024, channels=1):
    return Header(b"test", 16000, 320, 16000, channels, samples, num_codebooks, codebook_size)


def _record(head, body=b"", position=0):
    return head.to_bytes() + body + checksum(head, body, position=position)


def _claims():
    """Lengths that the bytes do not have, heads without end, jumps of positions, chunks of many frames."""
    known, unknown = _header((1 << 40) - 1, 12, 32), _header(None, 12, 32)
    yield "claims", known.to_bytes()
    yield "claims-and-junk", known.to_bytes() + bytes(1000)
    yield "heads", unknown.to_bytes() + bytes(8) + Head(0x40, 200).to_bytes() * 20_000
    far = _header(num_codebooks=1)
    body = bytes(far.payload_bytes(1))
    yield "jumps", far.to_bytes() + b"".join(_record(Head(0x40, 1), body, at) for at in range(0, 40 * 65_500, 65_500))
    wide = _header(None, 2, 32)
    yield "many-frames", wide.to_bytes() + _record(Head(0x44, 65535, 2), bytes([0, 0]))


def _records():
    """Records without end, after the end, twice, in the wrong order; layers of chance."""
    empty, last = _record(Head(0xFF, 0)), _record(Head(0x41, 0), bytes(5))
    yield "empty-records", _header().to_bytes() + empty * 30_000 + last
    yield "after-the-end", _header(0).to_bytes() + empty * 30_000
    yield "two-ends", _header().to_bytes() + last * 2
    yield "late-tags", _header(0).to_bytes() + empty + _record(Head(0x81, 4), b"\x02\0a=")
    yield "tags-twice", _header(0).to_bytes() + _record(Head(0x81, 5), b"\x03\0a=b") * 2
    yield "no-tag", _header(0).to_bytes() + _record(Head(0x81, 3), b"\x01\0a")
    one = _header(num_codebooks=1)
    body = bytes(one.payload_bytes(1))
    tiny = [_record(Head(0x40, 1), body, at) for at in range(5000)]
    yield "bent-by-turns", one.to_bytes() + b"".join(x[:-1] + bytes([x[-1] ^ at % 2]) for at, x in enumerate(tiny))
    yield "junk-by-turns", one.to_bytes() + b"".join(bytes(9 * (at % 2)) + each for at, each in enumerate(tiny))
    wrong = chunk_head(0, 1, 5 + len(body), is_last=True)
    yield "wrong-end", one.to_bytes() + _record(wrong, (10**6).to_bytes(5, "little") + body)
    random = np.random.default_rng(0)
    for name, channels in ("chance", 1), ("wide-chance", 255):
        header = _header(None, 2, 32, channels)
        payload = join_layers([random.bytes(100) for _ in range(2)], header.payload_bytes(256, 1))
        yield name, header.to_bytes() + _record(chunk_head(1, 256, len(payload), is_last=False), payload)


@pytest.fixture(scope="session")
def hostile():
    """Files, by name."""
    return dict([*_claims(), *_records()])


@pytest.fixture(scope="session")
def needed():
    """Function of a path, or None, and a name: the path as text. Skips, by name, where it is not there."""

    def check(path, name):
        if path is None or not Path(path).exists():
            pytest.skip(f"{name} is not there")
        return str(path)

    return check


@pytest.fixture(scope="session")
def node(needed):
    """Function of a test file and variables of the environment: runs it in node, and fails with what it says."""
    program = needed(shutil.which("node"), "node")

    def run(name, **variables):
        command = [program, "--test", "--test-reporter=tap", str(Path(__file__).parent / name)]
        done = subprocess.run(
            command, env=os.environ | variables, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "\n# pass 0\n" not in done.stdout

    return run
