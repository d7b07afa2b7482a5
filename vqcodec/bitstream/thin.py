"""Fewer codebooks for a .vqc that exists: its upper layers left out, the others copied byte for byte."""

from dataclasses import replace
from typing import IO

from vqcodec.bitstream import spec
from vqcodec.bitstream.header import Header
from vqcodec.bitstream.payload import join_layers, join_varied, split_layers, split_varied, varied_layer_bytes
from vqcodec.bitstream.reader import VqcReader
from vqcodec.bitstream.records import checksum, chunk_head
from vqcodec.system.pipes import write_all


def thin(reader: VqcReader, file: IO[bytes], num_codebooks: int) -> None:
    """Write what `reader` holds to `file` with its first `num_codebooks` layers; tags and the like are kept.

    Decoding the result gives what decoding those layers of the whole gives. Raises ValueError for a number of layers
    that the file does not have, and what `VqcReader.chunks` raises.
    """
    header = reader.header
    if not 1 <= num_codebooks <= header.num_codebooks:
        raise ValueError(f"num_codebooks {num_codebooks} is outside 1 to {header.num_codebooks}")
    write_all(file, replace(header, num_codebooks=num_codebooks).to_bytes())
    for record in reader.records():
        head, body = record.head, record.body
        assert head is not None and body is not None  # nothing is passed over
        if not head.is_skippable:
            end = body[: spec.MAX_SAMPLES_BYTES] if head.is_last else b""
            coding, payload = _thinned(head.coding, body[len(end) :], header, record.frames, num_codebooks)
            body = end + payload
            head = chunk_head(coding, record.frames, len(body), is_last=head.is_last)
        write_all(file, head.to_bytes() + body + checksum(head, body, position=record.position))


def _thinned(coding: int, payload: bytes, header: Header, frames: int, num_codebooks: int) -> tuple[int, bytes]:
    """The coding and the payload of the first layers of a chunk."""
    if coding == spec.CODING_DEPTHS:
        most = varied_layer_bytes(header.channels * frames, header.bits_per_code)
        return coding, join_varied(split_varied(payload, header.num_codebooks, most)[:num_codebooks])
    layer_bytes = header.payload_bytes(frames, 1)
    layers = split_layers(payload, coding, header.num_codebooks, layer_bytes)[:num_codebooks]
    if all(len(layer) == layer_bytes for layer in layers):
        return spec.CODING_FIXED, b"".join(layers)
    return spec.CODING_ENTROPY, join_layers(layers, layer_bytes)
