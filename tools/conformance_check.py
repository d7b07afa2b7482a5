"""Hold a reader or decoder of .vqc against the files of this folder. Needs numpy and soundfile, and nothing of vqcodec.

python check.py --decoder 'COMMAND {in} {out}' [--codes 'COMMAND {in} {out}']

COMMAND writes {out} from the .vqc {in}; {model} is the weights file. For --decoder, {out} is a WAV: of each file in
sounds/ it must have the rate, the channels and the samples, within the tolerance that manifest.json names, and each
file in refused/ must end in an exit code other than 0. For --codes, {out} gets the codes of each file in codes/ as
int32, little-endian, [channels, codebooks, frames], -1 where a frame has none; these must be the same.
"""

import argparse
import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

_FORMAT = 1
_LIMIT_SECONDS = 300


class _WrongError(Exception):
    """What is wrong with an output, in a line."""


class _FolderError(Exception):
    """What is wrong with the folder or the command, in a line."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is checked."""
    parser.add_argument("--decoder", metavar="COMMAND", help="writes the WAV {out} from the .vqc {in}")
    parser.add_argument("--codes", metavar="COMMAND", help="writes the codes {out} of the .vqc {in}")


def report(folder: Path, decoder: str | None, codes: str | None) -> int:
    """Print a line for each file and a sum; return 0 where all are right, 1 otherwise."""
    wrong = count = 0
    try:
        for name, fault, remark in _outcomes(folder, decoder, codes):
            count += 1
            wrong += fault is not None
            print(f"{name}: {f'WRONG: {fault}' if fault else remark}", flush=True)
    except _FolderError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except (KeyError, TypeError, AttributeError) as error:
        print(f"Error: {folder}: manifest.json is not what was packed ({error!r}); pack it again", file=sys.stderr)
        return 1
    print(f"{count - wrong} of {count} files are right")
    return min(wrong, 1)


def _outcomes(folder: Path, decoder: str | None, codes: str | None) -> Iterator[tuple[str, str | None, str]]:
    """The name of each file, what is wrong with it if anything, and what else is to be said."""
    manifest = _manifest(folder)
    kinds = (("sounds", decoder, _sound), ("refused", decoder, _refusal), ("codes", codes, _codes))
    if decoder is None and codes is None:
        raise _FolderError("nothing to check; give --decoder or --codes")
    for text, option in ((decoder, "--decoder"), (codes, "--codes")):
        if text is not None:
            _check_command(text, option)
    for kind, command, check in kinds:
        for entry in manifest[kind] if command is not None else ():
            model = _listed(folder, entry.get("model", manifest["model"]))
            with tempfile.TemporaryDirectory(prefix="conformance-") as temporary:
                out = Path(temporary) / ("out.wav" if kind == "sounds" else "out")
                values = {"in": _listed(folder, entry), "out": out, "model": model}
                try:
                    yield entry["file"], None, check(folder, entry, command or "", values)
                except _WrongError as error:
                    yield entry["file"], str(error), ""


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _FolderError(
            f"{folder}: has no manifest.json that can be read ({error}); pack the folder again"
        ) from None
    if not isinstance(manifest, dict) or manifest.get("conformance") != _FORMAT:
        raise _FolderError(f"{folder}: manifest.json is not of conformance {_FORMAT}; use the check.py of the folder")
    return manifest


def _check_command(command: str, option: str) -> None:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise _FolderError(f"{option} {command!r} is no command line ({error})") from None
    for name in ("{in}", "{out}"):
        if not any(name in word for word in words):
            raise _FolderError(f"{option} {command!r} lacks {name}; give 'COMMAND {{in}} {{out}}'")


def _listed(folder: Path, entry: dict[str, Any]) -> Path:
    """The path of a file that is as it was packed."""
    path: Path = folder / entry["file"]
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _FolderError(f"{path}: cannot be read ({error.strerror}); pack the folder again") from None
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise _FolderError(f"{path}: is not what was packed; pack the folder again")
    return path


def _run(command: str, values: dict[str, Path]) -> tuple[int, str]:
    """The exit code of a command, and the last line that it said."""
    words = []
    for word in shlex.split(command):
        for name, path in values.items():
            word = word.replace("{" + name + "}", str(path))  # noqa: PLW2901
        words.append(word)
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT_SECONDS, check=False)
    except (OSError, ValueError) as error:
        raise _FolderError(f"{words[0]} does not start: {error}") from None
    except subprocess.TimeoutExpired:
        raise _WrongError(f"no end after {_LIMIT_SECONDS} s") from None
    lines = done.stderr.decode(errors="replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "no message")
    if done.returncode < 0:
        raise _WrongError(f"it was ended by signal {-done.returncode}")
    return done.returncode, said


def _output_of(command: str, values: dict[str, Path]) -> Path:
    code, said = _run(command, values)
    if code:
        raise _WrongError(f"exit code {code}: {said}")
    if not values["out"].is_file():
        raise _WrongError("nothing was written to {out}")
    return Path(values["out"])


def _sound(folder: Path, entry: dict[str, Any], command: str, values: dict[str, Path]) -> str:
    """Hold a wave against that of the manifest."""
    out = _output_of(command, values)
    wanted = soundfile.read(_listed(folder, entry["wave"]), dtype="float64", always_2d=True)[0]
    try:
        found, rate_hz = soundfile.read(out, dtype="float64", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise _WrongError(f"no WAV that can be read: {error}") from None
    for name, is_so, asked in (
        ("Hz", rate_hz, entry["rate_hz"]),
        ("channels", found.shape[1], entry["channels"]),
        ("samples", len(found), entry["samples"]),
    ):
        if is_so != asked:
            raise _WrongError(f"{is_so} {name}, not {asked}")
    pcm = (np.clip(np.round(32768 * np.nan_to_num(found)), -32768, 32767)).astype("<i2")
    if np.isfinite(found).all() and hashlib.sha256(pcm.tobytes()).hexdigest() == entry["pcm_sha256"]:
        return "the same samples"
    return _compared(found, wanted, rate_hz, entry["tolerance"])


def _compared(found: Any, wanted: Any, rate_hz: int, tolerance: dict[str, float]) -> str:
    """The difference of two waves, which must be within the tolerance: NaN is not."""
    if "max_error" in tolerance:
        error = float(np.abs(found - wanted).max())
        if not error <= tolerance["max_error"]:
            raise _WrongError(f"a sample is {error:.2g} of full scale away, over {tolerance['max_error']:g}")
        return f"within {error:.1g} of full scale"
    hz = np.fft.rfftfreq(len(wanted), 1 / rate_hz)
    inside = hz < tolerance["below_hz"]
    signal, noise = (float(np.sum(np.abs(np.fft.rfft(wave, axis=0)[inside]) ** 2)) for wave in (wanted, found - wanted))
    snr_db = 10 * np.log10(signal / noise) if noise else np.inf
    if not snr_db >= tolerance["min_snr_db"]:
        raise _WrongError(
            f"{snr_db:.1f} dB over its error below {tolerance['below_hz']:g} Hz, not {tolerance['min_snr_db']:g}"
        )
    return f"{snr_db:.0f} dB over its error"


def _refusal(folder: Path, entry: dict[str, Any], command: str, values: dict[str, Path]) -> str:
    code, _ = _run(command, values)
    if code == 0:
        raise _WrongError(f"was decoded, but {entry['reason']}")
    return f"refused with exit code {code}"


def _codes(folder: Path, entry: dict[str, Any], command: str, values: dict[str, Path]) -> str:
    """Hold codes against those of the manifest."""
    found = np.frombuffer(_output_of(command, values).read_bytes(), np.uint8)
    wanted = np.frombuffer(_listed(folder, entry["codes"]).read_bytes(), np.uint8)
    if len(found) != len(wanted):
        raise _WrongError(f"{len(found)} bytes, not {len(wanted)}: int32 {entry['shape']}")
    differ = np.flatnonzero(found.reshape(-1, 4).view("<i4") != wanted.reshape(-1, 4).view("<i4"))
    if len(differ):
        where = [int(part) for part in np.unravel_index(differ[0], entry["shape"])]
        raise _WrongError(f"{len(differ)} of {len(wanted) // 4} codes are others, the first at {where}")
    return f"the same {len(wanted) // 4} codes"


if __name__ == "__main__":
    _parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(_parser)
    try:
        try:
            _options = _parser.parse_args()
            sys.exit(report(Path(__file__).resolve().parent, _options.decoder, _options.codes))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # nobody reads on; what is left goes nowhere, where Python flushes it at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
