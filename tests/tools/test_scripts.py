"""The measuring tools run and print sane tables, so that they cannot rot."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


def table(*arguments):
    command = [sys.executable, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.strip("|").split("|") for line in result.stdout.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows]


@pytest.mark.slow
def test_quality_rises_with_the_bitrate(speech_path):
    """The bundled model on a speaker and a clip that it was not trained on, through files."""
    head, _, *rows = table(TOOLS / "bitrate_eval.py", speech_path, "--kbps", 0.5, 1.5, 3, 6)
    assert head == ["nominal kbps", "kbps of the files", "pesq_wb", "stoi", "estoi"]
    numbers = [[float(cell) for cell in row] for row in rows]
    for column in range(5):
        values = [row[column] for row in numbers]
        assert values == sorted(values), head[column]
    for nominal, measured, *_ in numbers:
        assert 0.7 * nominal < measured < nominal
    _, _, *fixed = table(TOOLS / "bitrate_eval.py", speech_path, "--fixed-width", "--metrics", "si_sdr")
    for nominal, measured, _ in [[float(cell) for cell in row] for row in fixed]:
        assert nominal < measured < nominal + 0.1
    assert numbers[-1][4] >= 0.7
    assert numbers[-1][2] >= 1.6


@pytest.mark.slow
def test_bench_prints_every_row():
    rows = table(TOOLS / "bench.py", "--seconds", 1, "--rounds", 1)
    names = [row[0] for row in rows[2:]]
    assert names[:2] == ["vqcodec encode", "vqcodec decode"]
    assert all(float(row[1]) > 0 for row in rows[2:])


@pytest.mark.slow
def test_bench_of_a_long_file_measures_memory():
    rows = table(TOOLS / "bench.py", "--minutes", 1)
    assert [row[1] for row in rows[2:]] == ["encode", "decode", "decode 5 s from the middle", "verify", "info"] * 2
    assert all(20 < float(row[4]) < 1200 for row in rows[2:])
