"""tools/conformance: what it packs, that a right decoder passes, and that wrong ones are caught where they err."""

import io
import json
import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import soundfile

from vqcodec.models.weights import load_weights, save_weights

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "conformance"
FAKE = """
import os, shutil, sys
fault, source, target = sys.argv[1:]
if os.path.basename(os.path.dirname(source)) == "refused":
    sys.exit(0 if fault == "plays-all" else 1)
kept = source[:-3] + "wav"
if fault in ("right", "plays-all"):
    shutil.copy(kept, target)
elif fault == "late":  # by a sample
    import wave
    with wave.open(kept) as file, wave.open(target, "wb") as out:
        out.setparams(file.getparams())
        data = file.readframes(file.getnframes())
        step = 2 * file.getnchannels()
        out.writeframes(data[:step] + data[:-step])
"""


@pytest.fixture(scope="module")
def packed(tmp_path_factory, toy_weights, toy_config):
    """A folder of the toy model, made loud: untrained it is all but silent, and every silent decoder would be right."""
    folder = tmp_path_factory.mktemp("conformance")
    state = load_weights(toy_weights).state_dict()
    state["decoder.head.to_spectrum.bias"][:81] += 8  # the logarithms of magnitudes
    save_weights(toy_config, state, folder / "loud.safetensors")
    run("pack", folder / "folder", "--model", folder / "loud.safetensors")
    return folder / "folder"


@pytest.fixture
def fake(tmp_path):
    """Function of a fault: the command of a decoder that knows what is right, and has this fault."""
    script = tmp_path / "fake.py"
    script.write_text(FAKE)
    return lambda fault: f"{sys.executable} {script} {fault} {{in}} {{out}}"


def run(*arguments, code=0):
    """What the tool prints, in this process, as starting it imports torch."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(said):
        patch.setattr(sys, "argv", [str(TOOL), *map(str, arguments)])
        patch.syspath_prepend(TOOL.parent)
        try:
            runpy.run_path(str(TOOL), run_name="__main__")
            ended = 0
        except SystemExit as end:
            ended = end.code
    if isinstance(ended, str):
        said.write(ended + "\n")
    assert (1 if isinstance(ended, str) else ended) == code, said.getvalue()
    return said.getvalue()


def wrong_in(text):
    return {line.partition(":")[0] for line in text.splitlines() if "WRONG" in line}


def test_a_folder_has_files_of_every_structure_with_waves_and_codes(packed):
    manifest = json.loads((packed / "manifest.json").read_text())
    names = {Path(entry["file"]).stem for entry in manifest["sounds"]}
    assert {
        "all-codebooks",
        "varied",
        "stereo",
        "stream",
        "pauses",
        "44100-hz",
        "empty",
        "one-sample",
        "thinned",
    } <= names
    assert len(manifest["codes"]) == len(list((ROOT / "tests" / "golden").glob("*.vqc")))
    for entry in manifest["sounds"]:
        wave, rate_hz = soundfile.read(packed / entry["wave"]["file"], always_2d=True)
        assert (len(wave), wave.shape[1], rate_hz) == (entry["samples"], entry["channels"], entry["rate_hz"])
    assert load_weights(packed / manifest["model"]["file"]).total_codebooks == 3


def test_the_same_samples_are_right(packed, fake):
    text = run("check", packed, "--decoder", fake("right"))
    assert "24 of 24 files are right" in text
    assert text.count("the same samples") == 16


@pytest.mark.parametrize(
    ("fault", "right"),
    [
        ("late", {"silence", "empty", "one-sample"}),
        ("writes-nothing", set()),
    ],
)
def test_a_wrong_decoder_is_caught_in_every_sound_that_shows_it(packed, fake, fault, right):
    wrong = wrong_in(run("check", packed, "--decoder", fake(fault), code=1))
    sounds = {path.stem for path in (packed / "sounds").glob("*.vqc")}
    assert {Path(name).stem for name in wrong if name.startswith("sounds")} >= sounds - right
    assert not any(name.startswith("refused") for name in wrong)


def test_a_decoder_that_plays_everything_is_caught(packed, fake):
    text = run("check", packed, "--decoder", fake("plays-all"), code=1)
    assert wrong_in(text) == {f"refused/{path.name}" for path in (packed / "refused").iterdir()}
    assert "was decoded, but another model wrote it" in text


READER = """
import sys
import numpy as np
sys.path.insert(0, {folder!r})
import second_reader
source, target, model = sys.argv[1:4]
tensors = second_reader.read_safetensors(open(model, "rb").read())
codes = np.array(second_reader.read_vqc(open(source, "rb").read(), tensors)[1], "<i4")
if "stereo" in source:
    codes[..., -1] ^= 1
codes.tofile(target)
"""


def test_another_reader_passes_but_where_its_codes_are_wrong(packed, tmp_path):
    (tmp_path / "reader.py").write_text(READER.format(folder=str(ROOT / "tests" / "bitstream")))
    command = f"{sys.executable} {tmp_path / 'reader.py'} {{in}} {{out}} {{model}}"
    text = run("check", packed, "--codes", command, code=1)
    assert wrong_in(text) == {f"codes/{path.name}" for path in (packed / "codes").glob("*stereo*.vqc")}
    assert "10 of 13 files are right" in text
    assert "codes are others, the first at [0, 0, " in text


def test_what_cannot_be_checked_or_packed_is_one_line(packed, tmp_path, toy_weights):
    for arguments, message in (
        (("check", packed), "give --decoder or --codes"),
        (("check", tmp_path, "--codes", "x {in} {out}"), "no manifest.json"),
        (("check", packed, "--decoder", "x {in}"), "lacks {out}"),
        (("check", packed, "--decoder", "no-such-program {in} {out}"), "no-such-program does not start"),
        (("pack", packed, "--model", toy_weights), "is there already"),
        (("pack", tmp_path / "silent", "--model", toy_weights), "decodes speech to silence"),
        (("pack", tmp_path / "a" / "b", "--model", toy_weights), "make it first"),
    ):
        text = run(*arguments, code=1)
        assert message in text
        assert text.count("\n") == 1, text
    (tmp_path / "manifest.json").write_text('{"conformance": 1}')
    assert "not what was packed" in run("check", tmp_path, "--codes", "x {in} {out}", code=1)


@pytest.mark.slow
def test_our_own_decoder_passes_with_the_bundled_model(tmp_path, bash):
    """Some of its files: each is a start of a program."""
    assert bash("-c", f"python {TOOL} pack out", cwd=tmp_path).returncode == 0
    path = tmp_path / "out" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["sounds"] = [e for e in manifest["sounds"] if Path(e["file"]).stem in ("stereo", "44100-hz", "varied")]
    manifest["refused"] = [e for e in manifest["refused"] if Path(e["file"]).stem in ("other-model", "damaged")]
    path.write_text(json.dumps(manifest))
    done = bash("-c", "python out/check.py --decoder 'vqcodec decode --engine onnx {in} {out}'", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 of 5 files are right" in done.stdout
