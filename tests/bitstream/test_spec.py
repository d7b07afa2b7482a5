"""The prose of the format against the code: a reader written from `spec` alone, and the worked example."""

import io
import re
import zlib

import numpy as np

from vqcodec.bitstream import VqcReader, VqcWriter, spec
from vqcodec.bitstream.binary import crc8, crc16, crc32


def example_bytes():
    """The hex column of the example in the docstring."""
    lines = spec.__doc__.split("Example.")[1].splitlines()
    columns = [re.match(r" {4}((?:[0-9a-f]{2} ?)+)(?: {2,}|$)", line) for line in lines]
    return bytes.fromhex("".join(match.group(1) for match in columns if match))


def test_the_worked_example_decodes_to_what_the_text_says():
    reader = VqcReader(io.BytesIO(example_bytes()))
    header = reader.header
    assert header.fingerprint == bytes.fromhex("01234567")
    assert (header.sample_rate_hz, header.hop_length, header.original_rate_hz) == (16000, 320, 16000)
    assert (header.channels, header.samples, header.num_codebooks, header.codebook_size) == (1, 900, 2, 1024)
    (chunk,) = reader.chunks()
    assert chunk.codes.tolist() == [[[1, 2, 3], [1023, 0, 512]]]


def test_the_writer_gives_the_bytes_of_the_worked_example():
    file = io.BytesIO()
    writer = VqcWriter(file, VqcReader(io.BytesIO(example_bytes())).header)
    writer.write(np.array([[[1, 2, 3], [1023, 0, 512]]]))
    writer.close()
    assert file.getvalue() == example_bytes()


def test_a_reader_written_from_the_text_alone_agrees():
    """Follows the byte tables literally, with Python integers for bits."""
    data = example_bytes()
    assert data[:4] == b"VQC\x01"
    bits, width = (data[8] >> 4) + 1, data[8] & 15
    codebooks, channels = data[9], data[10]
    samples = int.from_bytes(data[14 : 14 + width], "little")
    at = 14 + width
    assert int.from_bytes(data[at : at + 2], "little") == crc16(data[:at])
    head = data[at + 2 : at + 6]
    assert crc8(head[:3]) == head[3]
    frames = int.from_bytes(head[1:3], "little")
    layer_bytes = -(-channels * frames * bits // 8)
    body = data[at + 6 : at + 6 + codebooks * layer_bytes]
    layers = []
    for k in range(codebooks):
        text = "".join(f"{byte:08b}" for byte in body[k * layer_bytes : (k + 1) * layer_bytes])
        layers.append([int(text[f * bits : (f + 1) * bits], 2) for f in range(frames)])
    assert layers == [[1, 2, 3], [1023, 0, 512]]
    stored = int.from_bytes(data[at + 6 + len(body) :], "little")
    assert stored == zlib.crc32(bytes(8) + head + body)
    assert -(-samples // int.from_bytes(data[12:14], "little")) == frames


def test_checksums_are_the_catalogued_ones():
    """The catalogue gives each CRC's value for the ASCII digits 1 to 9."""
    digits = b"123456789"
    assert (crc8(digits), crc16(digits), crc32(digits)) == (0xDF, 0x29B1, 0xCBF43926)
