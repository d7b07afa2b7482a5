"""Cut manifests of lhotse: cuts of one channel over recordings in files."""

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vqcodec.errors import AudioError, ConfigError, how_to_install
from vqcodec.tokens.utterances import ColumnValue, Utterance

_MOST_LINE_BYTES = 1 << 20


def is_cuts(path: Path) -> bool:
    """Tell whether a file is a manifest of cuts: JSON lines, maybe packed, each with a type such as MonoCut."""
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        return False
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return bool(re.search(rb'"type":\s*"\w+Cut"', file.readline(_MOST_LINE_BYTES)))
    except (OSError, EOFError, zlib.error):
        return False


def utterances(path: Path) -> Iterator[Utterance]:
    """Yield one per cut, with text, speaker and language of its supervision. Raises AudioError for mixed cuts."""
    try:
        from lhotse import CutSet, MonoCut
    except ModuleNotFoundError as error:
        raise ConfigError(f"{path}: needs {error.name}: {how_to_install('lhotse')}") from None
    try:
        for cut in CutSet.from_file(path):
            if not isinstance(cut, MonoCut):
                raise AudioError(f"{path}: cut {cut.id} is a {type(cut).__name__}; give cuts of one channel (MonoCut)")
            yield _utterance(cut, path)
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise AudioError(f"{path}: cannot be read as cuts ({' '.join(str(error).split())})") from None


def _utterance(cut: Any, path: Path) -> Utterance:
    recording = cut.recording
    if recording is None or len(recording.sources) != 1 or recording.sources[0].type != "file":
        raise AudioError(f"{path}: cut {cut.id} has no recording in one file; save its audio first")
    if recording.transforms:
        raise AudioError(
            f"{path}: the recording of cut {cut.id} is transformed ({recording.transforms}); save its audio first"
        )
    columns: dict[str, ColumnValue] = {}
    if len(cut.supervisions) == 1:
        spoken = cut.supervisions[0]
        columns = {name: getattr(spoken, name) for name in ("text", "speaker", "language")}
    source = Path(recording.sources[0].source)
    whole = cut.start == 0 and abs(cut.duration - recording.duration) < 0.5 / recording.sampling_rate
    return Utterance(
        id=cut.id,
        path=str(source.absolute()),
        source=str(source),
        start_seconds=float(cut.start),
        duration_seconds=None if whole else float(cut.duration),
        channel=recording.sources[0].channels.index(cut.channel) if recording.num_channels > 1 else None,
        columns={name: value for name, value in columns.items() if value is not None},
    )
