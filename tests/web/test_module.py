"""The module of vqcodec/web in node: the tests beside this file, held against what the package says of the bytes."""

import io
import json
import runpy
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

import vqcodec
from vqcodec.bitstream import VqcReader
from vqcodec.bitstream.thin import thin
from vqcodec.errors import BitstreamError, DamagedError
from vqcodec.models import zoo

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GOLDEN = HERE.parent / "golden"
PACKAGES = ROOT / "web" / "node_modules"
RUNTIME = PACKAGES / "onnxruntime-web" / "dist" / "ort.wasm.bundle.min.mjs"
MUTATIONS_OF = ("v1-tagged", "v1-entropy", "v1-varied-stereo-stream", "v1-stream-22k")


def told(error):
    seconds = [error.start_seconds, error.end_seconds] if isinstance(error, DamagedError) else []
    return [type(error).__name__, *seconds]


def hash_of(codes):
    return zlib.crc32(codes.astype("<i4").tobytes())


def outcome(data, entropy):
    """What reading all of `data` gives: chunks and damage, then samples and tags, or what was raised."""
    chunks, damage = [], []
    try:
        reader = VqcReader(io.BytesIO(data))
        for chunk in reader.chunks(entropy=entropy, on_damage=lambda error: damage.append(told(error))):
            _, layers, frames = chunk.codes.shape
            chunks.append([chunk.start_frame, frames, layers, hash_of(chunk.codes)])
        return {"chunks": chunks, "damage": damage, "samples": reader.samples, "tags": dict(reader.tags)}
    except BitstreamError as error:
        return {"chunks": chunks, "damage": damage, "raised": told(error)}


def golden(tool):
    for path in sorted(GOLDEN.glob("*.vqc")):
        its = tool.FILES[path.stem.split("-", 1)[1]]
        codes = its.codes()[:, : its.layers].tolist()
        yield {"name": path.name, "codes": codes, "samples": its.samples(), "tags": its.tags}


def damaged(entropy):
    """Every truncation and a flip of every byte of some files; random changes of all, as edits (at, removed, bytes)."""
    random = np.random.default_rng(0)
    for path in sorted(GOLDEN.glob("*.vqc")):
        size = path.stat().st_size
        all_edits = []
        if path.stem in MUTATIONS_OF:
            data = path.read_bytes()
            all_edits = [[(at, size, [])] for at in range(size)]
            all_edits += [[(at, 1, [data[at] ^ (1 if at % 2 else 0xFF)])] for at in range(size)]
        for _ in range(40):
            count = random.integers(1, 4)
            all_edits.append(
                [
                    (
                        int(random.integers(0, size)),
                        int(random.integers(0, 30)),
                        list(random.bytes(random.integers(30))),
                    )
                    for _ in range(count)
                ]
            )
        for edits in all_edits:
            data = path.read_bytes()
            for at, removed, inserted in edits:
                data = data[:at] + bytes(inserted) + data[at + removed :]
            yield {"name": path.name, "edits": edits, "expected": outcome(data, entropy)}


@pytest.fixture(scope="module")
def cases(tmp_path_factory, tool, entropy, speech, hostile):
    """A file for reader.test.mjs."""
    folder = tmp_path_factory.mktemp("cases")
    card = zoo.MODELS[zoo.DEFAULT_MODEL]
    weights = zoo.open_weights(card.name)
    coded = folder / "bundled.vqc"
    coded.write_bytes(vqcodec.compress(speech[:24000], 16000, engine="onnx"))
    reader = VqcReader(io.BytesIO(coded.read_bytes()))
    found = [[chunk.start_frame, hash_of(chunk.codes)] for chunk in reader.chunks(entropy=weights.entropy)]
    span = reader.chunks(40, 45, num_codebooks=3, entropy=weights.entropy)
    parts = [[chunk.start_frame, chunk.codes.ravel().tolist()] for chunk in span]
    attacks = []
    for name, data in hostile.items():
        (folder / name).write_bytes(data)
        attacks.append({"path": str(folder / name), "expected": outcome(data, entropy)})
    thinned = []
    for source in [coded, *sorted(GOLDEN.glob("*.vqc"))]:
        with source.open("rb") as file:
            whole = VqcReader(file)
            for count in {1, (whole.header.num_codebooks + 1) // 2}:
                target = io.BytesIO()
                thin(whole, target, count)
                thinned.append({"path": str(source), "count": count, "hex": target.getvalue().hex()})
    about = {"weights": str(weights.path), "file": str(coded), "chunks": found, "span": parts}
    path = folder / "cases.json"
    everything = {"golden": list(golden(tool)), "damaged": list(damaged(entropy)), "hostile": attacks, "bundled": about}
    everything |= {"thinned": thinned}
    path.write_text(json.dumps(everything))
    return path


def test_the_reader_gives_what_the_package_does_of_whole_damaged_and_hostile_files(node, cases):
    node("reader.test.mjs", CASES=str(cases))


@pytest.fixture(scope="module")
def waves(tmp_path_factory, speech):
    """A file for codec.test.mjs: files and what the onnx engine makes of them; a wave and its codes."""
    folder = tmp_path_factory.mktemp("waves")
    wave = speech[:32000]
    whole = vqcodec.compress(wave, 16000, engine="onnx")
    bent = bytearray(vqcodec.compress(np.tile(wave, 6), 16000, engine="onnx", num_codebooks=2))
    bent[len(bent) // 2] ^= 1
    coded = {
        "mono": (whole, {}, {}),
        "shallow": (whole, {"num_codebooks": 3}, {"numCodebooks": 3}),
        "varied-shallow": (
            vqcodec.compress(wave, 16000, engine="onnx", vbr=8),
            {"num_codebooks": 2},
            {"numCodebooks": 2},
        ),
        "damaged": (bytes(bent), {}, {}),
    }
    cases = []
    for name, (data, asked, options) in coded.items():
        path, target = folder / f"{name}.vqc", folder / f"{name}.f32"
        path.write_bytes(data)
        if name == "damaged":
            vqcodec.decode_file(path, folder / "damaged.wav", engine="onnx", on_damage=lambda _: None)
            expected = soundfile.read(folder / "damaged.wav", dtype="float32", always_2d=True)[0].T
        else:
            expected, _ = vqcodec.decompress(data, engine="onnx", **asked)
        target.write_bytes(expected.astype("<f4").tobytes())
        about = {"name": name, "path": str(path), "wave": str(target), "channels": len(expected), "options": options}
        cases.append(about)
    (folder / "wave.f32").write_bytes(wave.astype("<f4").tobytes())
    codes = np.concatenate([chunk.codes for chunk in VqcReader(io.BytesIO(whole)).chunks(entropy=_entropy())], axis=2)
    encoded = {"wave": str(folder / "wave.f32"), "codes": codes[0].tolist()}
    path = folder / "cases.json"
    weights = str(zoo.open_weights(zoo.DEFAULT_MODEL).path)
    path.write_text(json.dumps({"waves": cases, "encoded": encoded, "weights": weights}))
    return path


def _entropy():
    return zoo.open_weights(zoo.DEFAULT_MODEL).entropy


@pytest.mark.slow
def test_the_conformance_set_is_read_decoded_and_refused_as_it_must_be(tmp_path, node, needed, monkeypatch):
    needed(RUNTIME, "onnxruntime-web (npm ci in web/)")
    monkeypatch.syspath_prepend(ROOT / "tools")
    folder = tmp_path / "set"
    runpy.run_path(str(ROOT / "tools" / "conformance"), run_name="conformance")["pack"](folder, zoo.DEFAULT_MODEL)
    manifest = json.loads((folder / "manifest.json").read_text())
    names = [each["file"] for each in manifest["sounds"]]
    chunks = {name: outcome((folder / name).read_bytes(), _entropy())["chunks"] for name in names}
    (folder / "chunks.json").write_text(json.dumps(chunks))
    decoder = zoo.open_weights(zoo.DEFAULT_MODEL).path.with_name(f"{zoo.DEFAULT_MODEL}.decoder.onnx")
    node("conformance.test.mjs", FOLDER=str(folder), DECODER=str(decoder))


@pytest.mark.slow
def test_decoder_and_encoder_do_what_the_onnx_engine_does(node, waves, needed):
    needed(RUNTIME, "onnxruntime-web (npm ci in web/)")
    node("codec.test.mjs", CASES=str(waves))


def test_the_module_has_sound_types(node, needed):
    compiler = needed(PACKAGES / ".bin" / "tsc", "typescript (npm ci in web/)")
    done = subprocess.run([compiler, "--project", ROOT / "web"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
