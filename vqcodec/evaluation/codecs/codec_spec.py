"""Codecs as a user lists them: LABEL=SPEC@kbps/kbps, label and rates left out at will."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from vqcodec.errors import ConfigError, UnavailableError
from vqcodec.evaluation.codecs.codec_under_test import CodecUnderTest
from vqcodec.evaluation.codecs.registry import open_codec, parse_spec


@dataclass(frozen=True)
class Entry:
    """One codec of an evaluation, enough to open it in another process; no `kbps`: it runs at those of the others."""

    label: str | None
    spec: str
    kbps: tuple[float, ...] | None
    externals: tuple[tuple[str, str], ...]


def parse_entry(text: str, externals: Mapping[str, str]) -> Entry:
    """Take `text` apart. Raises ConfigError for rates that are no numbers."""
    label, equals, rest = text.partition("=")
    spec, kbps = parse_spec(rest if equals else text)
    if equals and not (label and spec):
        raise ConfigError(f"{text!r}: give LABEL=CODEC, as in mine=runs/mine/model.safetensors")
    return Entry(label if equals else None, spec, None if kbps is None else tuple(kbps), tuple(externals.items()))


@lru_cache(maxsize=32)
def opened(entry: Entry) -> CodecUnderTest:
    """Return the codec, opened once per process. Raises UnavailableError for what is not installed, as `open_codec`."""
    return open_codec(entry.spec, dict(entry.externals))


def name_of(entry: Entry) -> str:
    """Tell what results and tables call it."""
    return entry.label or opened(entry).name


def open_all(entries: list[Entry]) -> tuple[dict[str, Entry], dict[str, str]]:
    """Open entries by name, and say why some are not installed. Raises ConfigError if none is or two share a name."""
    found: dict[str, Entry] = {}
    skipped: dict[str, str] = {}
    for entry in entries:
        try:
            opened(entry)
        except UnavailableError as error:
            skipped[entry.label or entry.spec] = str(error)
            continue
        name = name_of(entry)
        if name in found:
            raise ConfigError(f"two codecs are named {name}; give one a label: LABEL={entry.spec}")
        found[name] = entry
    if not found:
        raise ConfigError("; ".join(skipped.values()) or "no codec is given; name one, such as speech-16k")
    return found, skipped
