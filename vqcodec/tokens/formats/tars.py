"""Tars with two members a row, codes and then JSON: the same rows give the same bytes, and any row is read alone.

Owners, times and modes of members are constant.
"""

import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from vqcodec.errors import TokensError
from vqcodec.frames import ceil_div


class RowTar:
    """A tar that is written member by member."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def add(self, name: str, data: bytes) -> dict[str, int]:
        """Append a member; returns its offset and bytes, for the index."""
        member = tarfile.TarInfo(name)
        member.size = len(data)
        self._tar.addfile(member, io.BytesIO(data))
        return {
            "offset": self._tar.offset - ceil_div(len(data), tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE,
            "bytes": len(data),
        }

    def close(self) -> None:
        """Complete the tar."""
        self._tar.close()

    def discard(self) -> None:
        """Let go of the file; nothing more is written."""
        assert self._tar.fileobj is not None
        self._tar.fileobj.close()


def read_row(file: BinaryIO, line: Mapping[str, Any]) -> tuple[bytes, str, bytes]:
    """Read the codes that an index has a line of: their bytes, and the name and bytes of the .json behind them.

    Raises TokensError where there is none.
    """
    file.seek(line["offset"])
    data = file.read(line["bytes"])
    file.seek(-len(data) % tarfile.BLOCKSIZE, os.SEEK_CUR)
    # Not closed: that would not touch our file, and only reading has been asked for.
    member = tarfile.open(fileobj=file, mode="r:").next()  # noqa: SIM115
    if member is None or not member.name.endswith(".json"):
        raise TokensError("a row has no .json behind its codes")
    file.seek(member.offset_data)
    return data, member.name, file.read(member.size)
