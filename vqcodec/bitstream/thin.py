"""Fewer codebooks for a .vqc that exists: its upper layers left out, the others copied byte for byte."""

from dataclasses import replace
from typing import IO

from vqcodec.bitstream import spec
from vqcodec.bitstream.payload import join_layers, split_layers
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
            layer_bytes = header.payload_bytes(record.frames, 1)
            layers = split_layers(body[len(end) :], head.coding, header.num_codebooks, layer_bytes)[:num_codebooks]
            fixed = all(len(layer) == layer_bytes for layer in layers)
            body = end + (b"".join(layers) if fixed else join_layers(layers, layer_bytes))
            coding = spec.CODING_FIXED if fixed else spec.CODING_ENTROPY
            head = chunk_head(coding, record.frames, len(body), is_last=head.is_last)
        write_all(file, head.to_bytes() + body + checksum(head, body, position=record.position))
