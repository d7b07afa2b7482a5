"""Whole jobs of a user, in tests/journeys/, of the lines that docs/ shows."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import vqcodec.tokens
from vqcodec.bitstream import VqcReader
from vqcodec.metrics import measure

ROOT = Path(__file__).parents[1]
PAGES = {
    "archivist": ("command-line.md", "## An archive", 6),
    "language_modeller": ("datasets.md", "## A language model of speech", 3),
    "codec_researcher": ("extending.md", "## A metric: one file, one line", 3),
    "realtime_engineer": ("streaming.md", "## A call over a poor link", 4),
    "encodec_user": ("other-models.md", "## Moving over from EnCodec", 7),
}
"""Where the lines of each stand, and how many at least."""


@pytest.fixture
def recordings(tmp_path, speech):
    """recordings/: subfolders, rates, formats, two channels, a text, and what is no audio in spite of its name."""
    folder = tmp_path / "recordings"
    (folder / "deep" / "deeper").mkdir(parents=True)
    clip = speech[16000:56000]
    soundfile.write(folder / "a.wav", clip, 16000)
    soundfile.write(folder / "deep" / "both.flac", np.stack([clip, clip[::-1]], axis=1), 44100)
    soundfile.write(folder / "deep" / "deeper" / "memo.ogg", clip, 22050)
    soundfile.write(folder / "note.mp3", clip, 16000)
    (folder / "broken.wav").write_text("no audio")
    (folder / "list.txt").write_text("what was recorded when")
    return folder


def below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def travel(bash, tmp_path):
    """Function: run the script of the journey of that name in the folder of the test."""

    def start(name):
        done = bash("-x", ROOT / "tests" / "journeys" / f"{name}.sh", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr

    return start


def section_of(name):
    page, title, _ = PAGES[name]
    return (ROOT / "docs" / page).read_text(encoding="utf-8").split(f"\n{title}\n")[1].split("\n## ")[0]


def programs(text):
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.slow
def test_the_archivist_gets_everything_back(recordings, tmp_path, travel):
    travel("archivist")
    assert below(tmp_path / "archive") == ["a.vqc", "deep/both.vqc", "deep/deeper/memo.vqc", "note.vqc"]
    assert below(tmp_path / "audio") == ["a.opus", "deep/both.opus", "deep/deeper/memo.opus", "note.opus"]
    for name in ("a.wav", "deep/both.flac", "deep/deeper/memo.ogg", "note.mp3"):
        given = soundfile.info(recordings / name)
        got = soundfile.info((tmp_path / "audio" / name).with_suffix(".opus"))
        assert got.duration == pytest.approx(given.duration, abs=0.1), name
        assert got.channels == given.channels
    assert below(tmp_path / "minute") == ["a.wav", "note.wav"]
    assert soundfile.info(tmp_path / "minute" / "a.wav").duration == pytest.approx(1.0)
    assert soundfile.info(tmp_path / "bridged.wav").channels == 2


@pytest.mark.slow
def test_the_language_modeller_hears_what_a_model_of_tokens_draws(recordings, tmp_path, travel):
    (program,) = programs(section_of("language_modeller"))
    (tmp_path / "language_model.py").write_text(program, encoding="utf-8")
    travel("language_modeller")
    facts = json.loads((tmp_path / "info.json").read_text())
    seconds = sum(soundfile.info(path).duration for path in recordings.rglob("*.*") if path.suffix != ".txt")
    assert facts["utterances"] == 5
    assert facts["tokens"] == pytest.approx(3 * 50 * seconds, rel=0.02)
    drawn = soundfile.info(tmp_path / "drawn.wav")
    assert (drawn.samplerate, drawn.frames % 320) == (16000, 0)
    assert 0.5 < drawn.duration <= 1.0, "of 50 steps, less those by which the last codebook comes later"


@pytest.mark.slow
def test_the_codec_researcher_has_a_number_for_an_idea(tmp_path, speech, travel):
    for name in ("speech/train/one.wav", "speech/valid/two.wav", "clip.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, speech[16000:48000], 16000)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    for program in programs((ROOT / "docs" / "extending.md").read_text(encoding="utf-8")):
        named = re.match(r"# (random_codebook|snr_metric)\.py\n", program)
        if named:
            (tmp_path / f"{named[1]}.py").write_text(program, encoding="utf-8")
    travel("codec_researcher")
    with (tmp_path / "clip.vqc").open("rb") as file:
        assert VqcReader(file).header.samples == 32000
    rows = [json.loads(line) for line in (tmp_path / "results" / "results.jsonl").read_text().splitlines()]
    snr = {row["codec"]: row["snr"] for row in rows}
    assert set(snr) == {"random", "opus"}
    assert snr["opus"] > 5 > snr["random"]


@pytest.mark.slow
def test_the_realtime_engineer_is_heard_over_a_poor_link(tmp_path, speech, travel):
    wave = speech[: 150 * 320]
    soundfile.write(tmp_path / "speech.wav", wave, 16000)
    (program,) = programs(section_of("realtime_engineer"))
    (tmp_path / "call.py").write_text(program, encoding="utf-8")
    travel("realtime_engineer")
    live, kept, broken = (
        soundfile.read(tmp_path / f"{name}.wav", dtype="float32")[0] for name in ("live", "call", "broken")
    )
    assert len(live) == len(wave)
    np.testing.assert_array_equal(kept, live)
    assert 16000 < len(broken) < len(wave)
    np.testing.assert_array_equal(broken[:16000], live[:16000])
    told = dict(re.findall(r"(\w+) (\d+ frames recovered, \d+ lost)", (tmp_path / "told.txt").read_text()))
    late = {"alice": 4 * 320, "bob": 5 * 320}  # he joined others, which costs him a frame
    for name, frames in ("alice", 100), ("bob", 120):
        recovered, lost = map(int, re.findall(r"\d+", told[name]))
        assert 10 < recovered + lost < 40
        assert recovered > 5 * lost
        heard, _ = soundfile.read(tmp_path / f"{name}.wav", dtype="float32")
        heard = heard[late[name] :]
        samples = len(heard) // 320 * 320
        assert samples >= (frames - 6) * 320
        without_loss = measure("estoi", wave[:samples], live[:samples], 16000).value
        assert measure("estoi", wave[:samples], heard[:samples], 16000).value > without_loss - 0.05, name


@pytest.mark.slow
def test_who_used_encodec_keeps_codes_and_compares(tmp_path, speech, ecdc_bytes, monkeypatch, travel):
    transformers = pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch.manual_seed(1)
    config = transformers.EncodecConfig(num_filters=4, hidden_size=16, codebook_dim=16, num_lstm_layers=1)
    model = transformers.EncodecModel(config).eval()
    for name, buffer in model.named_buffers():
        if name.endswith("embed"):  # codebooks, which begin as zeros
            torch.nn.init.normal_(buffer, std=0.1)
    model.save_pretrained("facebook/encodec_24khz")
    clip = speech[16000:40000]
    with torch.inference_mode():
        codes = model.encode(torch.from_numpy(clip)[None, None], bandwidth=6.0).audio_codes
        wanted = model.decode(codes, [None]).audio_values[0, 0].numpy()
    assert len(codes.unique()) > 30
    for folder in ("old", "recordings"):
        Path(folder).mkdir()
    Path("old/speech.ecdc").write_bytes(ecdc_bytes(codes[0, 0].numpy(), len(clip)))
    np.save("codes.npy", codes[0].numpy())
    soundfile.write("recordings/one.wav", clip, 24000, subtype="FLOAT")
    (program,) = programs(section_of("encodec_user"))
    Path("moving.py").write_text(program, encoding="utf-8")
    travel("encodec_user")
    np.testing.assert_allclose(soundfile.read("speech.wav")[0], wanted, atol=1e-3)
    (tokens,) = vqcodec.tokens.open("tokens")
    np.testing.assert_array_equal(tokens.codes, codes[0, 0])
    rows = [json.loads(line) for line in Path("results/results.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 4
    assert {row["codec"] for row in rows} == {"encodec_24khz", "speech-16k"}


@pytest.mark.parametrize("name", PAGES)
def test_a_journey_goes_by_the_lines_of_its_page(name):
    script = (ROOT / "tests" / "journeys" / f"{name}.sh").read_text(encoding="utf-8").splitlines()
    lines = re.search(r"```sh\n(.*?)```", section_of(name), re.DOTALL).group(1).splitlines()
    shown = [re.sub(r" +#.*", "", line) for line in lines]
    assert len(shown) >= PAGES[name][2]
    for line in shown:
        assert any(given.removeprefix("if ").startswith(line) for given in script), line


def test_every_script_is_a_journey():
    assert {path.stem for path in (ROOT / "tests" / "journeys").iterdir()} == set(PAGES)
