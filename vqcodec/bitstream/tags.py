"""Tags: short texts about the audio, such as its title, in a record of their own (see `spec`)."""

import re
from collections.abc import Mapping

from vqcodec.bitstream.binary import bytes_to_uint, uint_to_bytes
from vqcodec.errors import BitstreamError

MAX_BYTES = 65535
_LENGTH_BYTES = 2
_NAME = re.compile(r"[a-z0-9_.-]{1,64}")


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise BitstreamError for tags that a file cannot hold."""
    for name, value in tags.items():
        if not _NAME.fullmatch(name):
            raise BitstreamError(f"tag name {name!r} is not 1 to 64 of a-z, 0-9, '_', '.', '-'")
        if "\0" in value or "\r" in value:
            raise BitstreamError(f"tag {name!r} has a NUL or carriage return in its value")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BitstreamError(f"tag {name!r} has no valid Unicode as its value") from None
    size = sum(_LENGTH_BYTES + len(f"{name}={value}".encode()) for name, value in tags.items())
    if size > MAX_BYTES:
        raise BitstreamError(f"tags of {size} bytes are over {MAX_BYTES}; shorten them")


def tags_to_bytes(tags: Mapping[str, str]) -> bytes:
    """Return the body of the record, in order of name. Raises BitstreamError for tags that a file cannot hold."""
    check_tags(tags)
    entries = [f"{name}={value}".encode() for name, value in sorted(tags.items())]
    return b"".join(uint_to_bytes(len(entry), _LENGTH_BYTES) + entry for entry in entries)


def parse_tags(body: bytes) -> dict[str, str]:
    """Return the names and values in the body of a record. Raises BitstreamError for any that no writer makes."""
    tags: dict[str, str] = {}
    position = 0
    while position < len(body):
        start = position + _LENGTH_BYTES
        position = start + bytes_to_uint(body[position:start])
        try:
            name, equals, value = body[start:position].decode().partition("=")
        except UnicodeDecodeError:
            raise BitstreamError("a tag of the .vqc is not UTF-8") from None
        if not equals or name in tags or position > len(body):
            raise BitstreamError("the tags of the .vqc are malformed")
        tags[name] = value
    if tags_to_bytes(tags) != body:
        raise BitstreamError("the tags of the .vqc are not in their one form")
    return tags
