"""Where a model of a hub lies on this machine: in a folder, or in the cache of `huggingface_hub`, which can fetch it.

The cache is read by its documented layout, models--USER--NAME/refs/main and snapshots/REVISION, without the package.
"""

import os
import re
from pathlib import Path

from vqcodec.errors import ModelError, UnavailableError, how_to_install
from vqcodec.texts import read_limited

PREFIX = "hf:"
"""What the name of a model on a hub starts with."""
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII)
_MOST_REVISION_BYTES = 1000
_FILES = ["*.json", "*.safetensors", "*.onnx", "README.md"]


def resolve(name: str) -> Path:
    """Return the folder of `name`, which is "hf:" and a folder or USER/NAME; a folder of that name comes first.

    What the cache has is used as it is; what it has not is fetched, unless HF_HUB_OFFLINE is set. Raises ModelError,
    and UnavailableError where huggingface_hub would be needed and is missing.
    """
    location = name.removeprefix(PREFIX)
    if os.path.isdir(location):  # False as well for names that no path can have
        return Path(location)
    if not _REPOSITORY.fullmatch(location):
        raise ModelError(f"{name[:200]!r}: no folder and no name of a model on a hub; give hf:FOLDER or hf:USER/NAME")
    return _cached(location) or _fetched(location)


def _cache() -> Path:
    """The folder of the cache, where huggingface_hub looks for it."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser()
    general = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(os.environ.get("HF_HOME") or general).expanduser() / "hub"


def _cached(repository: str) -> Path | None:
    """The snapshot of the main branch, if there is one with a config and weights: a fetch may have been cut off."""
    folder = _cache() / f"models--{repository.replace('/', '--')}"
    try:
        revision = read_limited(folder / "refs" / "main", _MOST_REVISION_BYTES).decode("ascii").strip()
    except (OSError, ValueError):
        return None
    snapshot = folder / "snapshots" / revision
    if not _REVISION.fullmatch(revision) or not (snapshot / "config.json").is_file():
        return None
    return snapshot if any(snapshot.glob("*.safetensors")) else None


def _fetched(repository: str) -> Path:
    """Let huggingface_hub fetch it."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise ModelError(f"{PREFIX}{repository}: not in {_cache()}, and HF_HUB_OFFLINE is set; fetch it with a network")
    try:
        import huggingface_hub
    except ImportError:
        raise UnavailableError(
            f"{PREFIX}{repository}: not in {_cache()}, and fetching needs huggingface_hub; {how_to_install('hub')}"
        ) from None
    try:
        return Path(huggingface_hub.snapshot_download(repository, cache_dir=_cache(), allow_patterns=_FILES))
    except Exception as error:  # of the network, of the hub, of the disk
        first = str(error).strip().partition("\n")[0]
        raise ModelError(f"{PREFIX}{repository}: cannot fetch it ({first or type(error).__name__})") from None
