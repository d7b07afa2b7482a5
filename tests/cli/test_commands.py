"""The commands in process: what they write, what they print, how they fail."""

import json
import re
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from vqcodec import __version__
from vqcodec.bitstream import VqcReader
from vqcodec.cli import main
from vqcodec.models import zoo
from vqcodec.models.codec import Codec
from vqcodec.models.weights import save_weights
from vqcodec.sessions.stream import EncodeSession


@pytest.fixture
def coded(tmp_path, speech_path, run):
    path = tmp_path / "speech.vqc"
    run("encode", speech_path, path, "--kbps", 3)
    return path


def test_every_command_has_help_with_an_example(run):
    listed = run("--help").output
    for name in main.commands:
        assert name in listed
        text = run(name, "--help").output
        assert f"vqcodec {name}" in text.split("Options:")[0].split("Usage:")[1]
        assert text.count(f"vqcodec {name}") >= 2, "usage and an example"
    assert __version__ in run("--version").output


def test_encode_then_decode_gives_the_length_back(tmp_path, run, coded, speech):
    result = run("decode", coded, tmp_path / "back.wav")
    assert "0:00:05.14" in result.output
    info = soundfile.info(tmp_path / "back.wav")
    assert (info.frames, info.samplerate, info.channels) == (len(speech), 16000, 1)


def test_encode_prints_the_rate_of_the_file(tmp_path, run, speech_path):
    line = run("encode", speech_path, tmp_path / "a.vqc", "--codebooks", 3).output
    kbps = 8 * (tmp_path / "a.vqc").stat().st_size / soundfile.info(speech_path).duration / 1000
    assert f"{kbps:.2f} kbps" in line


@pytest.mark.parametrize(
    ("kbps", "told"),
    [
        (12, ["12 kbps is more than this model has: all 12 codebooks, 6 kbps"]),
        (6, []),
        (0.5, []),
        (0.2, ["0.2 kbps is less than this model has: one codebook, 0.5 kbps"]),
    ],
)
def test_a_rate_that_the_model_does_not_have_is_told(tmp_path, run, speech_path, kbps, told):
    *before, _ = run("encode", speech_path, tmp_path / "a.vqc", "--kbps", kbps).output.splitlines()
    assert before == told


def test_info_tells_every_fact(run, coded, codec, speech):
    facts = json.loads(run("info", coded, "--json").output)
    kbps, curve, peak = facts.pop("kbps"), facts.pop("kbps_over_time"), facts.pop("peak_kbps")
    assert facts == {
        "path": str(coded),
        "version": 1,
        "model": "speech-16k",
        "fingerprint": zoo.MODELS["speech-16k"].fingerprint.hex(),
        "sample_rate_hz": 16000,
        "original_rate_hz": 16000,
        "channels": 1,
        "coded_channels": 1,
        "samples": len(speech),
        "duration_seconds": len(speech) / 16000,
        "num_codebooks": 6,
        "codebook_size": 1024,
        "frames": 257,
        "chunks": 2,
        "entropy_coded_chunks": 1 if codec.entropy else 0,  # not the one of a single frame
        "file_bytes": coded.stat().st_size,
        "tags": {},
    }
    assert kbps == pytest.approx(8 * coded.stat().st_size * 16 / len(speech), abs=1e-4)
    text = run("info", coded).output
    assert re.search(r"^num_codebooks +6$", text, re.MULTILINE)
    # A chunk of 256 frames, 5.12 s, and one of a single frame, which costs more than it holds
    assert [span["start_seconds"] for span in curve] == [0, 5.12]
    assert peak == curve[1]["kbps"] > curve[0]["kbps"]
    bits = curve[0]["kbps"] * 5120 + curve[1]["kbps"] * 20
    assert coded.stat().st_size - 64 < bits / 8 < coded.stat().st_size  # all but the header
    assert re.search("^kbps_over_time +[▁▂▃▄▅▆▇]█$", text, re.MULTILINE)


def test_info_shows_where_the_rate_is_low(tmp_path, run, speech):
    """Silence between speech, of varied depth; in chunks of a live stream, by the second."""
    soundfile.write(tmp_path / "a.wav", np.concatenate((speech, np.zeros(82_000), speech)), 16000)
    run("encode", tmp_path / "a.wav", tmp_path / "a.vqc", "--vbr", 3)
    curve = [span["kbps"] for span in json.loads(run("info", tmp_path / "a.vqc", "--json").output)["kbps_over_time"]]
    assert len(curve) == 4  # 5.12 s each, the last but 0.02
    assert curve[1] < 0.3 * min(curve[0], curve[2])
    run("encode", "--live", tmp_path / "a.wav", tmp_path / "live.vqc")
    spans = json.loads(run("info", tmp_path / "live.vqc", "--json").output)["kbps_over_time"]
    assert [span["start_seconds"] for span in spans[:3]] == pytest.approx([0, 1.04, 2.08])


def test_encode_meets_a_rate_or_keeps_to_one_depth(tmp_path, run, speech):
    """The bytes of ten seconds, which is short: to two hundredths. Constant depth is what encode does by itself."""
    soundfile.write(tmp_path / "a.wav", np.concatenate((speech, np.zeros(78_000))), 16000)
    run("encode", tmp_path / "a.wav", tmp_path / "abr.vqc", "--total-kbps", 1.5, "--abr")
    assert 8 * (tmp_path / "abr.vqc").stat().st_size / 10 == pytest.approx(1500, rel=0.02)
    for name, options in (("cbr", ["--cbr"]), ("plain", [])):
        run("encode", tmp_path / "a.wav", tmp_path / f"{name}.vqc", "--kbps", 1.5, *options)
    assert (tmp_path / "cbr.vqc").read_bytes() == (tmp_path / "plain.vqc").read_bytes()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--vbr", "nan"], "--vbr nan is no quality; give 0 to 10"),
        (["--abr"], "give it --kbps or --total-kbps"),
        (["--abr", "--codebooks", 3], "give it --kbps or --total-kbps"),
        (["--abr", "--kbps", 3, "--vbr", 3], "and no --vbr"),
        (["--abr", "--kbps", 3, "--live"], "--abr saves nothing in the short chunks"),
        (["--abr", "--kbps", "nan"], "kbps nan"),
    ],
)
def test_encode_refuses_what_does_not_fit_a_rate_that_is_met(tmp_path, run, speech_path, options, text):
    output = run("encode", speech_path, tmp_path / "a.vqc", *options, code=1 if text == "kbps nan" else 2).output
    assert text in output
    assert not (tmp_path / "a.vqc").exists()


def test_info_of_an_empty_file_has_no_rate(tmp_path, run):
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    run("encode", tmp_path / "empty.wav", tmp_path / "empty.vqc")
    facts = json.loads(run("info", tmp_path / "empty.vqc", "--json").output)
    assert (facts["samples"], facts["frames"], facts["chunks"], facts["kbps"]) == (0, 0, 0, None)
    run("decode", tmp_path / "empty.vqc", tmp_path / "back.wav")
    assert soundfile.info(tmp_path / "back.wav").frames == 0


def test_info_knows_files_of_other_models(tmp_path, run, speech_path, toy_weights):
    run("encode", speech_path, tmp_path / "toy.vqc", "--model", toy_weights)
    assert json.loads(run("info", tmp_path / "toy.vqc", "--json").output)["model"] is None
    assert "fingerprint" in run("decode", tmp_path / "toy.vqc", tmp_path / "a.wav", code=1).output
    run("decode", tmp_path / "toy.vqc", tmp_path / "a.wav", "--model", toy_weights)


def test_models_lists_every_card(run):
    output = run("models").output
    for card in zoo.MODELS.values():
        assert card.name in output
        assert card.fingerprint.hex() in output
    assert "0.5 to 6 kbps" in output


@pytest.mark.parametrize("engine", ["torch", "onnx"])
@pytest.mark.parametrize("live", [(), ("--live",)], ids=["file", "live"])
def test_an_effort_is_that_of_the_codec(tmp_path, run, speech, engine, live):
    soundfile.write(tmp_path / "a.wav", speech[:32000], 16000, subtype="FLOAT")
    found = {}
    for effort in ("fast", "normal", "best"):
        path = tmp_path / f"{effort}.vqc"
        run("encode", tmp_path / "a.wav", path, *live, "--engine", engine, "--effort", effort)
        codec = zoo.load_engine(engine=engine, effort=effort)
        with path.open("rb") as file:
            found[effort] = np.concatenate([c.codes for c in VqcReader(file).chunks(entropy=codec.entropy)], axis=2)
        assert np.array_equal(found[effort], EncodeSession(codec).push(speech[None, :32000]))
    assert not np.array_equal(found["fast"], found["normal"])
    assert not np.array_equal(found["best"], found["normal"])


def test_an_effort_of_a_model_that_is_not_searched_is_one_line(tmp_path, run, speech_path, toy_config):
    config = replace(toy_config, name="plain", codebook_kind="lookup_free")
    save_weights(config, Codec(config).state_dict(), tmp_path / "plain.safetensors")
    options = ("--model", tmp_path / "plain.safetensors", "--effort", "best")
    line = "Error: effort 'best' is not for plain, whose codes are not searched for; leave it out\n"
    assert run("encode", speech_path, tmp_path / "a.vqc", *options, code=1).output == line
    assert run("tokenize", speech_path.parent, tmp_path / "out", *options, code=1).output == line
    assert [path.name for path in tmp_path.iterdir()] == ["plain.safetensors"]


def test_a_folder_keeps_its_tree(tmp_path, run, speech_path):
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    shutil.copy(speech_path, source / "a.flac")
    shutil.copy(speech_path, source / "deep" / "b.flac")
    run("encode", source, "--out-dir", tmp_path / "out", "--codebooks", 1)
    out = tmp_path / "out"
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.vqc")) == ["a.vqc", "deep/b.vqc"]


def test_one_bad_file_of_many_does_not_stop_the_others(tmp_path, run, speech_path):
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.wav").write_text("no audio")
    shutil.copy(speech_path, source / "b.flac")
    result = run("encode", source, "--out-dir", tmp_path / "out", "--codebooks", 1, code=1)
    assert "a.wav" in result.output
    assert "1 of 2 files failed" in result.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.vqc"]


def test_one_input_in_two_spellings_is_encoded_once(tmp_path, run, speech_path):
    (tmp_path / "in").mkdir()
    shutil.copy(speech_path, tmp_path / "in" / "a.flac")
    twice = (tmp_path / "in" / "a.flac", tmp_path / "in" / ".." / "in" / "a.flac")
    run("encode", *twice, "--out-dir", tmp_path / "out", "--codebooks", 1)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.vqc"]


def test_two_inputs_of_one_name_are_refused(tmp_path, run, speech_path):
    for name in ("a.flac", "a.ogg"):
        shutil.copy(speech_path, tmp_path / name)
    result = run("encode", tmp_path / "a.flac", tmp_path / "a.ogg", "--out-dir", tmp_path / "out", code=1)
    assert "would both become" in result.output
    assert result.output.endswith("; rename one\n")


def test_start_and_duration_cut_and_codebooks_thin(tmp_path, run, coded):
    run("decode", coded, tmp_path / "a.flac", "--start", 1, "--duration", 2, "--codebooks", 1, "--rate", 8000)
    info = soundfile.info(tmp_path / "a.flac")
    assert (info.frames, info.samplerate) == (16000, 8000)


@pytest.mark.parametrize(("original_hz", "opus_hz"), [(16000, 16000), (11025, 12000), (44100, 48000)])
def test_decode_writes_opus_at_a_rate_that_it_has(tmp_path, run, speech, original_hz, opus_hz):
    soundfile.write(tmp_path / "a.wav", speech[:8000], original_hz)
    run("encode", tmp_path / "a.wav", tmp_path / "a.vqc", "--codebooks", 1)
    run("decode", tmp_path / "a.vqc", tmp_path / "a.opus")
    info = soundfile.info(tmp_path / "a.opus")
    assert (info.format, info.subtype, info.samplerate) == ("OGG", "OPUS", opus_hz)
    assert info.frames == -(-8000 * opus_hz // original_hz)
    if opus_hz != original_hz:
        told = run("decode", tmp_path / "a.vqc", tmp_path / "b.opus", "--rate", original_hz, code=1).output
        assert f"Opus has no {original_hz} Hz; use {opus_hz}" in told


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_decode_writes_the_format_of_the_suffix(tmp_path, run, coded, suffix):
    path = tmp_path / f"a.{suffix}"
    run("decode", coded, path)
    assert soundfile.info(path).format.lower() == suffix


def test_conceal_warns_and_writes(tmp_path, run, coded):
    data = bytearray(coded.read_bytes())
    data[100] ^= 1
    coded.write_bytes(data)
    assert "0:00:00.00 to 0:00:05.12" in run("decode", coded, tmp_path / "a.wav", code=1).output
    assert not (tmp_path / "a.wav").exists()
    lines = run("decode", coded, tmp_path / "a.wav", "--conceal").stderr.splitlines()
    assert [line for line in lines if "Warning" in line and "concealed" in line] == lines[:1]
    assert soundfile.info(tmp_path / "a.wav").duration == pytest.approx(5.139, abs=1e-3)


def test_a_cut_file_decodes_to_its_last_whole_chunk_on_request(tmp_path, run, coded):
    coded.write_bytes(coded.read_bytes()[:-1])
    assert "cut" in run("decode", coded, tmp_path / "a.wav", code=1).output
    result = run("decode", coded, tmp_path / "a.wav", "--conceal")
    assert "ends after 0:00:05.12 of 0:00:05.14" in result.stderr
    assert soundfile.info(tmp_path / "a.wav").duration == pytest.approx(5.12)


def test_verify_names_the_damaged_seconds(tmp_path, run, coded):
    assert "whole, 2 chunks, 0:00:05.14" in run("verify", coded).output
    data = coded.read_bytes()
    bad = tmp_path / "bad.vqc"
    bad.write_bytes(data[:100] + b"\xff" + data[100:])
    result = run("verify", coded, bad, tmp_path / "none.vqc", code=1)
    assert f"{bad}: the .vqc is damaged from 0:00:00.00 to 0:00:05.12" in result.output
    assert "none.vqc: cannot read" in result.output
    assert "1 of 3 files is damaged, 1 of 3 files failed" in result.output
    assert "whole" in run("verify", "-", input=data).output


def test_thin_gives_what_decoding_fewer_codebooks_gives(tmp_path, run, coded):
    run("decode", coded, tmp_path / "a.wav", "--codebooks", 2)
    run("thin", coded, tmp_path / "two.vqc", "--kbps", 1)
    run("decode", tmp_path / "two.vqc", tmp_path / "b.wav")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert (tmp_path / "two.vqc").stat().st_size < 0.4 * coded.stat().st_size
    piped = run("thin", "-", "-", "--codebooks", 2, input=coded.read_bytes()).stdout_bytes
    assert piped == (tmp_path / "two.vqc").read_bytes()
    assert "1..6" in run("thin", coded, tmp_path / "c.vqc", "--codebooks", 7, code=1).output
    assert "exists already" in run("thin", coded, tmp_path / "two.vqc", "--codebooks", 1, code=1).output
    assert not (tmp_path / "c.vqc").exists()
    run("thin", coded, tmp_path / "c.vqc", code=2)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_title_and_artist_survive_the_round_trip(tmp_path, run, speech, suffix):
    source = tmp_path / f"a.{suffix}"
    with soundfile.SoundFile(source, "w", 16000, 1, format=suffix.upper()) as file:
        file.title, file.artist = "Żółw ☾", "Ada"
        file.write(speech[:16000])
    run("encode", source, tmp_path / "a.vqc", "--tag", "artist=Eve", "--tag", "x.note=a=b")
    facts = json.loads(run("info", tmp_path / "a.vqc", "--json").output)
    assert facts["tags"] == {"title": "Żółw ☾", "artist": "Eve", "x.note": "a=b"}
    assert '"Żółw ☾"' in run("info", tmp_path / "a.vqc").output
    run("decode", tmp_path / "a.vqc", tmp_path / f"b.{suffix}")
    with soundfile.SoundFile(tmp_path / f"b.{suffix}") as file:
        assert (file.title, file.artist) == ("Żółw ☾", "Eve")


def test_a_tag_that_cannot_be_is_one_line(tmp_path, run, speech_path):
    assert "tag name 'A'" in run("encode", speech_path, tmp_path / "a.vqc", "--tag", "A=b", code=1).output
    assert "NAME=TEXT" in run("encode", speech_path, tmp_path / "a.vqc", "--tag", "a", code=2).output
    assert not (tmp_path / "a.vqc").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["encode"],
        ["encode", "a.wav"],
        ["encode", "a.wav", "b.wav", "c.vqc"],
        ["encode", "a.wav", "b.vqc", "--kbps", "-1"],
        ["encode", "a.wav", "b.vqc", "--kbps", "3", "--codebooks", "6"],
        ["encode", "a.wav", "b.vqc", "--codebooks", "0"],
        ["decode", "a.vqc"],
        ["decode", "a.vqc", "b.wav", "--start", "-1"],
        ["info"],
        ["transmogrify"],
    ],
)
def test_wrong_usage_exits_with_2(run, arguments):
    assert "Usage:" in run(*arguments, code=2).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["encode", "none.wav", "out.vqc"], "none.wav: cannot read"),
        (["encode", "text.wav", "out.vqc"], "no audio"),
        (["encode", "empty.wav", "out.vqc"], "empty file"),
        (["encode", "folder", "out.vqc"], "is a folder"),
        (["encode", "nan.wav", "out.vqc"], "NaN"),
        (["encode", "good.flac", "folder"], "is a folder"),
        (["encode", "good.flac", "none/out.vqc"], "no folder"),
        (["encode", "good.flac", "good.vqc"], "--force"),
        (["encode", "good.flac", "out.vqc", "--model", "none"], "no such model"),
        (["encode", "good.flac", "out.vqc", "--model", "text.wav"], "not a weights file"),
        (["encode", "good.flac", "out.vqc", "--codebooks", "13"], "1..12"),
        (["encode", "good.flac", "out.vqc", "--device", "abacus"], "abacus"),
        (["encode", "folder", "--out-dir", "out.vqc"], "no audio found"),
        (["encode", "good.flac", "--out-dir", "text.wav"], "cannot make the folder"),
        (["decode", "good.flac", "out.wav"], "not a .vqc"),
        (["decode", "cut.vqc", "out.wav"], "cut.vqc: the .vqc is cut"),
        (["decode", "good.vqc", "out.xyz"], "cannot write .xyz"),
        (["decode", "good.vqc", "out.wav", "--codebooks", "9"], "1..6"),
        (["decode", "good.vqc", "out.wav", "--start", "99"], "outside the audio"),
        (["decode", "good.vqc", "out.wav", "--rate", "100"], "4000..192000"),
        (["thin", "good.vqc", "out.vqc", "--kbps", "nan"], "kbps nan is not a positive number"),
        (["thin", "good.vqc", "out.vqc", "--kbps", "inf"], "kbps inf is not a positive number"),
        (["encode", "good.flac", "out.vqc", "--kbps", "nan"], "kbps nan is not a positive number"),
        (["info", "none.vqc"], "cannot read"),
        (["info", "cut.vqc"], "is cut"),
        (["train", "none.yaml"], "cannot read"),
    ],
)
def test_bad_input_is_one_line_exit_1_and_no_file(tmp_path, monkeypatch, run, coded, speech_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    shutil.copy(speech_path, "good.flac")
    coded.rename("good.vqc")
    (tmp_path / "cut.vqc").write_bytes((tmp_path / "good.vqc").read_bytes()[:-10])
    (tmp_path / "text.wav").write_text("This is no audio.")
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    soundfile.write("nan.wav", np.full(100, np.nan), 8000, subtype="FLOAT")
    before = sorted(tmp_path.rglob("*"))
    result = run(*arguments, code=1)
    lines = result.output.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("Error: ")
    assert message in lines[0]
    assert sorted(tmp_path.rglob("*")) == before


def test_too_little_memory_is_one_line(tmp_path, monkeypatch, run, speech_path):
    def encode_file(*_, **__):
        raise MemoryError

    monkeypatch.setattr("vqcodec.files.convert.encode_file", encode_file)
    result = run("encode", speech_path, tmp_path / "a.vqc", code=1)
    assert result.output == "Error: there is not enough memory; ask for less at once, such as a smaller batch\n"


def test_a_progress_bar_is_drawn_only_on_a_terminal(monkeypatch, capsys):
    from vqcodec.cli.common import progress

    with progress("a.wav") as report:
        assert report is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress("a.wav") as report:
        report(1.0, 2.0)
        report(2.0, 2.0)
    assert "100%" in capsys.readouterr().err


LONG = {"name": "n" * 300, "path": "/".join(["d" * 200] * 25)}
"""More than a file system takes for a name, and more than the system takes for a path."""
COMMANDS_OF_PATHS = {
    "encode in": ["encode", "{long}/a.wav", "o.vqc"],
    "encode out": ["encode", "{speech}", "{long}.vqc"],
    "encode folder": ["encode", "{speech}", "--out-dir", "{long}"],
    "encode model": ["encode", "{speech}", "o.vqc", "--model", "{long}.safetensors"],
    "decode in": ["decode", "{long}.vqc", "o.wav"],
    "decode out": ["decode", "{coded}", "{long}.wav"],
    "info": ["info", "{long}.vqc"],
    "tokenize in": ["tokenize", "{long}", "tokens"],
    "tokenize out": ["tokenize", "{speech}", "{long}"],
    "evaluate in": ["evaluate", "{long}", "--codecs", "opus", "--out", "out"],
    "evaluate out": ["evaluate", "{speech}", "--codecs", "opus", "--out", "{long}"],
    "train recipe": ["train", "{long}.yaml"],
    "train run": ["train", "{recipe}", "--run-dir", "{long}"],
    "train data": ["train", "{recipe}", "--run-dir", "r", "data.train=[{long}]"],
}


@pytest.mark.parametrize("kind", LONG)
@pytest.mark.parametrize("words", COMMANDS_OF_PATHS.values(), ids=COMMANDS_OF_PATHS)
def test_a_name_or_path_that_is_too_long_is_one_line_with_a_remedy(
    tmp_path, monkeypatch, run, coded, speech_path, kind, words
):
    monkeypatch.chdir(tmp_path)
    recipe = speech_path.parents[2] / "recipes" / "tiny.yaml"
    before = sorted(tmp_path.iterdir())
    filled = [
        word.format(long=LONG[kind], speech=speech_path, coded=coded, recipe=recipe) if "{" in word else word
        for word in words
    ]
    told = run(*filled, code=1)
    assert told.output.count("\n") == 1
    assert "Errno" not in told.output
    assert re.search(r"; (give|choose|bundled models) ", told.output) or "such model" in told.output
    assert sorted(tmp_path.iterdir()) == before
