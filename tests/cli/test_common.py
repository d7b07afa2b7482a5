import os

import pytest
from click import BadParameter
from click.testing import CliRunner

from vqcodec.bitstream import Header, VqcWriter
from vqcodec.cli import main
from vqcodec.cli.common import Time, limit_threads, shown

EVIL = "\x9b2J\x9d0;owned\x9c \u202egpj.exe \x7f \x1b[31m\nkbps  9999"


def test_only_what_is_printable_reaches_a_terminal():
    assert shown("Größe 日本 🎤 'a b'") == "Größe 日本 🎤 'a b'"
    assert shown(EVIL) == r"\x9b2J\x9d0;owned\x9c \u202egpj.exe \x7f \x1b[31m\nkbps  9999"
    assert shown("a\udcff") == r"a\udcff"


def test_tags_and_names_of_files_are_escaped(tmp_path):
    header = Header(bytes(4), 16000, 320, 16000, 1, 0, 12, 1024)
    with (tmp_path / "a.vqc").open("wb") as file:
        VqcWriter(file, header, tags={"title": EVIL}).close()
    told = CliRunner().invoke(main, ["info", str(tmp_path / "a.vqc")])
    assert told.exit_code == 0
    assert "owned" in told.output
    assert told.output.replace("\n", "").isprintable()
    assert "\nkbps  9999" not in told.output
    missing = CliRunner().invoke(main, ["info", str(tmp_path / f"{EVIL}.vqc".replace("/", ""))])
    assert missing.exit_code == 1
    assert missing.output.removesuffix("\n").isprintable()


@pytest.mark.parametrize("command", ["verify", "thin", "decode"])
def test_so_are_those_in_errors(tmp_path, command):
    path = tmp_path / "\x1b[31m.vqc"
    path.write_bytes(b"no .vqc")
    arguments = {
        "verify": [],
        "thin": [str(tmp_path / "b.vqc"), "--codebooks", "1"],
        "decode": [str(tmp_path / "b.wav")],
    }
    told = CliRunner().invoke(main, [command, str(path), *arguments[command]])
    assert told.exit_code == 1
    assert r"\x1b[31m" in told.output
    assert "\x1b" not in told.output


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90.5", 90.5), ("1:30", 90), ("90:00", 5400), ("1:00:00", 3600), ("10:02:03.25", 36123.25)],
)
def test_times_are_seconds_or_hours_and_minutes(text, seconds):
    assert Time().convert(text, None, None) == seconds


@pytest.mark.parametrize(
    "text", ["-1", "1:60", "1:2", "1:60:00", "1:2:03", "nan", "1e3", "", ":30", "1:00:00:00", "1 s"]
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(BadParameter, match="is no time; give seconds, m:ss or h:mm:ss"):
        Time().convert(text, None, None)


@pytest.mark.parametrize(("workers", "threads"), [(1, "4"), (2, "3"), (8, "1")])
def test_workers_share_the_cores(monkeypatch, workers, threads):
    monkeypatch.setattr("vqcodec.cli.common.usable_cores", lambda: 6)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    limit_threads(workers)
    assert os.environ["OMP_NUM_THREADS"] == "5"
    monkeypatch.delenv("OMP_NUM_THREADS")
    limit_threads(workers)
    assert os.environ.pop("OMP_NUM_THREADS") == threads
