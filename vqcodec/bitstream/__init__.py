"""The .vqc container: codes in files and pipes. Needs numpy only; the format is described in `spec`."""

from vqcodec.bitstream.header import Header
from vqcodec.bitstream.reader import Chunk, Scan, VqcReader
from vqcodec.bitstream.writer import VqcWriter

__all__ = ["Chunk", "Header", "Scan", "VqcReader", "VqcWriter"]
