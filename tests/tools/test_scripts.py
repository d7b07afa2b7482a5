"""The measuring tools run and print sane tables, so that they cannot rot."""

import json
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from vqcodec.errors import ConfigError
from vqcodec.models.architecture import CODEBOOKS
from vqcodec.models.codec import Codec
from vqcodec.models.weights import load_weights, save_weights

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def table(python):
    """Function: run a program, and return the cells of the table that it prints."""

    def rows_of(*arguments):
        command = [python, *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        rows = [line.strip("|").split("|") for line in result.stdout.splitlines() if line.startswith("|")]
        return [[cell.strip() for cell in row] for row in rows]

    return rows_of


@pytest.mark.slow
def test_quality_rises_with_the_bitrate(speech_path, table):
    """The bundled model on a speaker and a clip that it was not trained on, through files."""
    head, _, *rows = table(TOOLS / "bitrate_eval.py", speech_path, "--kbps", 0.5, 1.5, 3, 6)
    assert head == ["codec", "kbps", "payload", "PESQ-WB", "STOI", "ESTOI", "clips"]
    numbers = [[float(cell.strip("*†")) for cell in row[1:]] for row in rows]
    for column in range(5):
        values = [row[column] for row in numbers]
        assert values == sorted(values), head[column + 1]
    for nominal, (measured, payload, *_) in zip((0.5, 1.5, 3, 6), numbers, strict=True):
        assert 0.7 * nominal < payload < measured < nominal
    _, _, *fixed = table(TOOLS / "bitrate_eval.py", speech_path, "--fixed-width", "--metrics", "si_sdr")
    for nominal, row in zip((0.5, 1.5, 3, 6), fixed, strict=True):
        assert nominal < float(row[1]) < nominal + 0.1
    assert numbers[-1][4] >= 0.7
    assert numbers[-1][2] >= 1.6


@pytest.mark.slow
def test_pictures_show_every_clip_at_every_rate(tmp_path, speech_path, python):
    command = [
        python,
        TOOLS / "pictures.py",
        tmp_path / "out.png",
        speech_path,
        speech_path,
        "--kbps",
        "1.5",
        "6",
    ]
    subprocess.run(command, check=True, capture_output=True)
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (720, 480)
        shown = np.asarray(picture.convert("L")).astype(float)
    panels = [shown[top : top + 100, 100:300] for top in (40, 200, 360)]
    assert all(panel.std() > 20 for panel in panels)


@pytest.mark.slow
def test_every_quantizer_gets_a_row(tmp_path, speech, speech_path, table):
    runs, valid = tmp_path / "runs", tmp_path / "valid.wav"
    soundfile.write(valid, speech[20000:36000], 16000)  # a second: each row is validated twice
    small = [
        *("steps=6", "quantizer.start_step=2", "quantizer.kmeans_batches=2", "data.batch_size=2", "data.valid_clips=1"),
        *("model.channels=16", "model.stft_channels=8", "model.latent_dim=8", "model.codebook_size=16"),
    ]
    command = (TOOLS / "quantizers.py", runs, speech_path, valid, *small)
    head, _, *rows = table(*command)
    kinds = {json.loads((run / "config.json").read_text())["model"]["codebook_kind"] for run in runs.iterdir()}
    assert kinds == set(CODEBOOKS)
    assert all(len(row) == len(head) for row in rows)
    assert all(float(row[2]) > 0 and 0 < int(row[3].strip("%")) <= 100 for row in rows)
    times = [path.stat().st_mtime_ns for path in sorted(runs.glob("*/model.safetensors"))]
    assert table(*command)[2:] == rows
    assert [path.stat().st_mtime_ns for path in sorted(runs.glob("*/model.safetensors"))] == times, "not trained again"


def bench(*arguments):
    """The tables of the benchmark by name: rows of cells without the head."""
    command = [sys.executable, TOOLS / "bench", *map(str, arguments)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    tables = {}
    for part in text.strip().split("\n\n\n"):
        name, _, *lines = part.splitlines()
        tables[name] = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return tables


@pytest.mark.slow
def test_bench_measures_every_part():
    tables = bench("--seconds", 0.1, "--rounds", 1)
    parts = {"speed", "frames", "streams", "arithmetic", "efforts", "start-up", "throughput", "tokens", "loss"}
    assert set(tables) == parts
    speeds = {row[0]: float(row[1]) for row in tables["speed"]}
    assert len(speeds) == 14
    assert all(speed > 0 for speed in speeds.values())
    assert all(float(row[3]) > 0 for row in tables["frames"])
    # Operations of a second of audio are a matter of the architecture, not of the machine.
    operations = [int(row[1]) for row in tables["arithmetic"] if row[1]]
    assert all(50 < count < 400 for count in operations)
    assert sum(operations) > 1000
    left_over = [float(row[1]) for row in tables["efforts"]]
    assert left_over == sorted(left_over, reverse=True)
    work = [int(row[5]) for row in tables["efforts"]]
    assert work == sorted(work)
    assert work[1] == pytest.approx(sum(operations[:3]), abs=2), "normal is what the stages before the codes add up to"
    assert all(float(row[2]) > 0 for row in tables["throughput"] + tables["start-up"])
    assert all(float(row[1]) > 0 for row in tables["tokens"])
    assert [float(row[3]) > 0 for row in tables["streams"]] == [True] * 8
    (whole, *_), *rows = tables["loss"][0][3:], *tables["loss"][1:]
    scores = {(row[0], row[1]): [float(cell) for cell in row[3:]] for row in rows}
    assert len(scores) == 2 * (1 + 9 + 9 + 1)
    for kind in ("at random", "in bursts"):
        repeated, concealed, zeros = (scores[kind, name] for name in ("3 x 3", "none", "zeros, not concealed"))
        assert float(whole) >= max(repeated)
        assert np.mean(repeated) > np.mean(concealed) > np.mean(zeros)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_bench_of_a_long_file_measures_memory(engine):
    rows = bench("--only", "long", "--minutes", 0.5, "--engine", engine)["long"]
    assert [row[0] for row in rows] == ["1", "10", "30"]
    assert all(20 < float(row[4]) < 1200 for row in rows)
    assert all(float(seconds) > 0 for row in rows for seconds in row[5:7])
    assert {len(row) for row in rows} == {7}


def test_every_table_of_the_benchmark_has_a_place():
    page, readme = ((TOOLS.parent / name).read_text() for name in ("docs/benchmarks.md", "README.md"))
    parts = ("speed", "frames", "streams", "arithmetic", "efforts", "start-up", "throughput", "tokens", "loss", "long")
    for name in parts:
        assert page.count(f"<!-- bench {name} -->\n") == page.count(f"<!-- end {name} -->\n") == 1
    (short,), (whole,) = (
        re.findall("<!-- bench speed -->\n(.*?)\n<!-- end", text, re.DOTALL) for text in (readme, page)
    )
    assert whole.startswith(short)


def test_the_committed_results_are_what_the_readme_shows():
    done = subprocess.run(
        [sys.executable, TOOLS / "results.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(list((TOOLS.parent / "recipes" / "results").glob("*.jsonl"))) >= 5


@pytest.mark.slow
def test_results_that_change_are_noticed(tmp_path):
    for name in ("tools", "recipes", "docs"):
        shutil.copytree(TOOLS.parent / name, tmp_path / name)
    readme = (TOOLS.parent / "README.md").read_text(encoding="utf-8")
    (tmp_path / "README.md").write_text(readme, encoding="utf-8")
    path = tmp_path / "recipes" / "results" / "opus.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace('"pesq_wb": 2', '"pesq_wb": 3', 1), encoding="utf-8")
    command = [sys.executable, tmp_path / "tools" / "results.py"]
    done = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "README.md" in done.stderr
    assert "docs/results.md" in done.stderr
    assert "curves" in done.stderr
    subprocess.run([*command, "--write"], check=True)
    subprocess.run([*command, "--check"], check=True)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") != readme


def test_weights_of_several_runs_are_averaged(tmp_path, toy_config):
    torch.manual_seed(0)
    codecs = [Codec(toy_config) for _ in range(3)]
    paths = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for path, codec in zip(paths, codecs, strict=True):
        save_weights(toy_config, codec.state_dict(), path, dtype=torch.float32)
    average = runpy.run_path(str(TOOLS / "average.py"))["average"]
    average(tmp_path / "out.safetensors", paths)
    mean = load_weights(tmp_path / "out.safetensors")
    assert mean.config == toy_config
    for name, tensor in mean.named_parameters():
        wanted = torch.stack([codec.get_parameter(name) for codec in codecs]).mean(0)
        assert torch.allclose(tensor, wanted, atol=1e-3), name
    wider = replace(toy_config, channels=32)
    save_weights(wider, Codec(wider).state_dict(), paths[1])
    with pytest.raises(ConfigError, match="not of one architecture"):
        average(tmp_path / "out.safetensors", paths)
