"""docs/where.md: its lines, and no others, add what they promise to a copy of the package, where it then works."""

import json
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "where.md").read_text(encoding="utf-8")
EXTENDING = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
SMALL = [
    *("steps=6", "model.channels=16", "model.stft_channels=8", "model.latent_dim=8", "model.codebook_size=16"),
    *("quantizer.start_step=2", "quantizer.kmeans_batches=2", "data.batch_size=2", "data.valid_clips=1"),
    *("log_every=1", "validate_every=6", "accelerator=cpu"),
]


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def edits(diff):
    """(file, lines that are there, lines that come in their place) of each hunk."""
    for part in re.split(r"^--- ", diff, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        for hunk in re.split(r"^@@\n", body, flags=re.MULTILINE):
            lines = hunk.splitlines()
            assert all(line[:1] in (" ", "-", "+") for line in lines), hunk
            yield name, [line[1:] for line in lines if line[0] != "+"], [line[1:] for line in lines if line[0] != "-"]


def replaced(text, old, new):
    """`text` with the lines `old`, which it has exactly once, replaced."""
    lines = text.split("\n")
    places = [start for start in range(len(lines)) if lines[start : start + len(old)] == old]
    assert len(places) == 1, old
    return "\n".join([*lines[: places[0]], *new, *lines[places[0] + len(old) :]])


def new_modules(section):
    """(file, text) of each module that a section shows, or has shown in docs/extending.md for the table it names."""
    for block in blocks(section, "python"):
        yield re.match(r"# (\S+)\n", block).group(1), block.partition("\n")[2]
    for linked in re.findall(r"\]\(extending\.md#([\w-]+)\)", section):
        kind = linked.split("-")[1]
        block = blocks(EXTENDING.split(f"\n## A{'n' if kind == 'adapter' else ''} {kind}")[1], "python")[0]
        name, _, text = block.partition("\n")
        folder = re.search(r"lies\sbeside\s`(\S+)/\w+\.py`", section)
        text = re.sub(
            r"^from \S+ import CODEBOOKS\n|\n*^(CODEBOOKS|ADAPTERS)\[.*\n|ADAPTERS, ", "", text, flags=re.MULTILINE
        )
        yield f"{folder.group(1)}/{name.removeprefix('# ')}", text.rstrip() + "\n"


@pytest.fixture
def added(tmp_path, python):
    """Function of the title of a section: a copy of the package with its lines, and a way to run commands with it."""
    # With what is compiled, but for what another process is just compiling.
    shutil.copytree(ROOT / "vqcodec", tmp_path / "vqcodec", ignore=shutil.ignore_patterns("*.pyc.*"))
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "architecture.md", tmp_path / "docs")

    def add(title):
        section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
        modules = dict(new_modules(section))
        for name, text in modules.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        touched = set(modules)
        for diff in blocks(section, "diff"):
            for name, old, new in edits(diff):
                path = tmp_path / name
                path.write_text(replaced(path.read_text(encoding="utf-8"), old, new), encoding="utf-8")
                touched.add(name)
        assert 1 < len(touched) <= 3
        check_house(tmp_path, touched, modules)
        return types.SimpleNamespace(folder=tmp_path, run=run)

    def run(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "HF_HUB_OFFLINE": "1"}
        command = [python, *map(str, arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return add


def check_house(folder, touched, modules):
    """What is added reads as the rest: style, directions of imports, a word in docs/architecture.md."""
    code = [folder / name for name in touched if name.endswith(".py")]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", ROOT / "pyproject.toml", *code],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
    layers = [sys.executable, ROOT / "tools" / "layers.py", folder / "vqcodec"]
    assert subprocess.run(layers, capture_output=True, text=True, check=False).stdout == "imports run one way\n"
    tree = (folder / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [name for name in modules if not re.search(rf"\b{Path(name).stem}\b", tree)] == []


@pytest.fixture
def clip(tmp_path, speech):
    """A second of speech, with a title."""
    path = tmp_path / "clip.flac"
    with soundfile.SoundFile(path, "w", 16000, 1) as file:
        file.title = "Moon"
        file.write(speech[20000:36000])
    return path


def train(package, clip, *changes):
    """Train the textbook model at toy size; the records of its log."""
    data = [f"data.train=[{clip}]", f"data.valid=[{clip}]", "data.segment_seconds=0.5"]
    recipe = ROOT / "recipes" / "vqvae.yaml"
    package.run("-m", "vqcodec", "train", recipe, *data, *SMALL, *changes, "--run", package.folder / "run")
    return [json.loads(line) for line in (package.folder / "run" / "log.jsonl").read_text().splitlines()]


def test_nothing_but_the_lines_of_the_page_is_shown_as_code():
    """Every block belongs to an addition that is tried below."""
    sections = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    tried = re.findall(r'added\("([^"]+)"\)', Path(__file__).read_text(encoding="utf-8"))
    assert sorted(tried) == sorted(sections)
    assert not blocks(PAGE.split("\n## ")[0], r"\w+")


@pytest.mark.slow
def test_a_loss_is_logged_and_is_part_of_what_is_minimised(added, clip):
    package = added("A loss")
    records = [record for record in train(package, clip, "loss.waveform=2") if record["kind"] == "train"]
    assert len(records) == 6
    assert all(record["waveform"] > 0 for record in records)
    names = ("mel", "magnitude", "complex", "compressed", "level", "latent", "commitment", "codebook", "waveform")
    for record in records:
        assert record["loss"] == pytest.approx(sum(record.get(name, 0) for name in names), rel=1e-4)  # float32 sums


def test_an_option_is_in_the_help_and_is_obeyed(added, clip):
    package = added("An option of a command")
    assert "--drop-tags" in package.run("-m", "vqcodec", "encode", "--help")
    for name, options in (("kept", []), ("dropped", ["--drop-tags"]), ("own", ["--drop-tags", "--tag", "a=b"])):
        package.run("-m", "vqcodec", "encode", clip, f"{name}.vqc", "--engine", "onnx", *options)
    tags = {
        name: json.loads(package.run("-m", "vqcodec", "info", f"{name}.vqc", "--json"))["tags"]
        for name in ("kept", "dropped", "own")
    }
    assert tags == {"kept": {"title": "Moon"}, "dropped": {}, "own": {"a": "b"}}


@pytest.mark.slow
def test_a_format_of_tokens_is_written_and_read(added, clip, toy_weights):
    package = added("A format of tokens")
    for kind in ("jsonl", "npy"):
        package.run("-m", "vqcodec", "tokenize", clip, kind, "--format", kind, "--model", toy_weights)
    (shard,) = (package.folder / "jsonl" / "shards").iterdir()
    (row,) = map(json.loads, shard.read_text().splitlines())
    program = (
        "import numpy, vqcodec.tokens as tokens;"
        "numpy.savez('codes', new=tokens.open('jsonl')[0].codes, old=tokens.open('npy')[0].codes)"
    )
    package.run("-c", program)
    codes = np.load(package.folder / "codes.npz")
    np.testing.assert_array_equal(codes["new"], codes["old"])
    np.testing.assert_array_equal(codes["new"], row["codes"])


def evaluated(package, clip, *options):
    """The table and the results of an evaluation."""
    command = ("-m", "vqcodec", "evaluate", clip, "--out", "results", "--workers", "1", *options)
    table = package.run(*command)
    return table, [json.loads(line) for line in (package.folder / "results" / "results.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_codec_under_test_is_evaluated(added, clip):
    package = added("A codec under test")
    assert "mulaw" in package.run("-m", "vqcodec", "evaluate", "--help")
    table, (result,) = evaluated(package, clip, "--codecs", "mulaw", "--metrics", "si_sdr")
    assert re.search(r"^\| mulaw +\| 6\d\.", table, re.MULTILINE), table
    assert 5 < result["si_sdr"] < 40


@pytest.mark.slow
def test_a_metric_is_measured(added, clip):
    package = added("A metric")
    assert "snr" in package.run("-m", "vqcodec", "evaluate", "--help").replace("si_sdr", "")
    table, (result,) = evaluated(package, clip, "--codecs", "mp3@64", "--metrics", "snr,si_sdr")
    assert re.search(r"^\| codec .*\| SNR ", table, re.MULTILINE), table
    assert 10 < result["snr"] == pytest.approx(result["si_sdr"], abs=1)  # MP3 hardly changes levels


@pytest.mark.slow
def test_a_quantizer_trains_and_codes(added, clip):
    package = added("A quantizer")
    records = train(package, clip, "model.codebook_kind=random")
    assert records[-1]["step"] == 6
    package.run("-m", "vqcodec", "encode", clip, "clip.vqc", "--model", "run/model.safetensors")
    package.run("-m", "vqcodec", "decode", "clip.vqc", "back.wav", "--model", "run/model.safetensors")
    assert soundfile.info(package.folder / "back.wav").frames == 16000


@pytest.mark.slow
def test_an_adapter_is_found_by_the_type_of_a_model_and_codes(added, clip, wavtokenizer):
    package = added("An adapter")
    model, folder = wavtokenizer
    package.run("-m", "vqcodec", "encode", clip, "clip.vqc", "--model", f"hf:{folder}")
    facts = json.loads(package.run("-m", "vqcodec", "info", "clip.vqc", "--json"))
    assert facts["codebook_size"] == model.config.codebook_size
    assert facts["frames"] == -(-16000 * 24000 // 16000 // model.config.hop_length)
