"""Every error that a caller can act on. Messages are one line: what was wrong, the value, the remedy.

VqcodecError
├── AudioError             audio that cannot be read: no sound file, NaN samples, an unsupported rate
├── BitstreamError         bytes that are no valid .vqc, or no valid file of another tool to import
│   ├── TruncatedError     the bytes end too early
│   ├── DamagedError       a checksum fails; names the damaged seconds
│   └── VersionError       a .vqc of a version that this release does not read
├── ConfigError            a config or recipe with unknown keys or impossible values
│   └── UnavailableError   a program, library or package that this machine does not have; names it
├── ModelError             weights that are missing, damaged, or not the ones that wrote a file
├── OutputError            a target that exists, is read-only or does not fit on the disk
├── TokensError            a folder of tokens that is unfinished, damaged or of other settings
├── TrainingError          a run that cannot go on: NaN loss, no data, no checkpoint
└── WorkerError            worker processes that die again and again before they have done anything
"""


def how_to_install(extra: str = "") -> str:
    """Return the remedy for a missing package: a command that installs vqcodec with the extra that brings it.

    It is the README's and works from a clone: the package is on no index, where a name alone would find it.
    """
    target = f"'.[{extra}]'" if extra else "."
    return f"pip install -c lock.txt {target} in the clone of vqcodec"


class VqcodecError(Exception):
    """Base of all errors that vqcodec raises on purpose; `str(error)` is one line for the user."""


class AudioError(VqcodecError):
    """Audio that cannot be read or coded."""


class BitstreamError(VqcodecError):
    """Bytes that are no valid .vqc, or no valid file of codes to import."""


class TruncatedError(BitstreamError):
    """The bytes end before the format says they may."""


class DamagedError(BitstreamError):
    """A checksum fails. `start_seconds` and `end_seconds` bound what is lost (None: unknown)."""

    def __init__(self, message: str, *, start_seconds: float | None = None, end_seconds: float | None = None) -> None:
        super().__init__(message)
        self.start_seconds = start_seconds
        self.end_seconds = end_seconds


class VersionError(BitstreamError):
    """A .vqc of a version that this release does not read."""


class ConfigError(VqcodecError):
    """A config or recipe with unknown keys or impossible values."""


class UnavailableError(ConfigError):
    """Something that is not installed here: the message names it, and where to get it."""


class ModelError(VqcodecError):
    """Weights that are missing, damaged, or not the ones that wrote a file."""


class OutputError(VqcodecError):
    """A target that exists already, is read-only or does not fit on the disk."""


class TokensError(VqcodecError):
    """A folder of tokens that is unfinished, damaged, or was made with other settings."""


class TrainingError(VqcodecError):
    """A training run that cannot go on."""


class WorkerError(VqcodecError):
    """Worker processes that die while they start."""


EXTRAS: dict[str, str] = {
    **dict.fromkeys(("torch", "numpy", "soundfile", "soxr", "safetensors", "pydantic", "yaml"), ""),
    **dict.fromkeys(("lightning_fabric", "tensorboard", "rich"), "train"),
    **dict.fromkeys(("matplotlib", "jinja2", "pesq", "pystoi", "pyloudnorm", "scipy", "visqol", "swift_f0"), "eval"),
    **dict.fromkeys(("onnx", "onnxscript"), "export"),
    "onnxruntime": "onnx",
    "huggingface_hub": "hub",
    "transformers": "hf",
    "pyarrow": "tokens",
    "av": "av",
    "ray": "ray",
    "lhotse": "lhotse",
}
"""The extra that brings a package, by the name that is imported; "" comes with vqcodec itself."""


def unavailable(error: ImportError, *, extra: str | None = None) -> UnavailableError | None:
    """Explain a failed import of a package that can be installed, with the remedy; None for a fault of our own.

    extra: which one to name where several bring the package
    """
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return None
    brought_by = EXTRAS[package] and (extra or EXTRAS[package])
    return UnavailableError(f"this needs the package {package}, which is not installed; {how_to_install(brought_by)}")
