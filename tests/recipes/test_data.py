"""The dataset recipes, on miniatures with the layout and the oddities of the real datasets."""

import json
import re
import runpy
import shlex
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import soundfile
import torchaudio.datasets.librispeech

from vqcodec.audio.discover import find_audio
from vqcodec.audio.resample import resample

RECIPES = Path(__file__).parents[2] / "recipes" / "data"
DATASETS = ("commonvoice", "librispeech", "libritts", "ljspeech", "vctk")


@pytest.fixture(scope="session")
def audio(speech, tmp_path_factory):
    """Function of a suffix and a rate -> bytes of a file of half a second of speech."""
    folder = tmp_path_factory.mktemp("audio")

    def make(suffix, rate_hz):
        path = folder / f"{rate_hz}{suffix}"
        if not path.exists():
            soundfile.write(path, resample(speech[None, :8000], 16000, rate_hz)[0], rate_hz)
        return path.read_bytes()

    return make


@pytest.fixture
def tree(tmp_path):
    """Function that writes files, texts or bytes by path below a folder corpora; returns that folder."""

    def write(files):
        for name, content in files.items():
            path = tmp_path / "corpora" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path / "corpora"

    return write


@pytest.fixture
def librispeech(tree, audio):
    chapter = "LibriSpeech/dev-clean/84/121123"
    return tree(
        {
            "LibriSpeech/SPEAKERS.TXT": (
                "; Some pieces of information about the readers\n"
                ";ID  |SEX| SUBSET           |MINUTES| NAME\n"
                "60   | M | train-clean-100  | 20.18 | |CBW|Simon\n"
                "84   | F | dev-clean        |  8.02 | Christie Nowak\n"
            ),
            f"{chapter}/84-121123.trans.txt": "84-121123-0000 GO DO YOU HEAR\n84-121123-0001 BUT IN LESS THAN FIVE\n",
            f"{chapter}/84-121123-0000.flac": audio(".flac", 16000),
            f"{chapter}/84-121123-0001.flac": audio(".flac", 16000),
            "LibriSpeech/test-other/60/7/60-7.trans.txt": "60-7-0000 L'ÉTÉ\n",
            "LibriSpeech/test-other/60/7/60-7-0000.flac": audio(".flac", 16000),
        }
    )


@pytest.fixture
def libritts(tree, audio):
    first, second = (f"LibriTTS/dev-clean/84/121123/84_121123_00000{n}_000001" for n in (7, 8))
    return tree(
        {
            "LibriTTS/SPEAKERS.txt": "84   | F | dev-clean        |  8.02 | Christie Nowak\n",
            f"{first}.wav": audio(".wav", 24000),
            f"{first}.original.txt": "“Chapter 2,” said Noirtiers — son.\n",
            f"{first}.normalized.txt": "“Chapter Two,” said Noirtiers — son.",
            f"{second}.wav": audio(".wav", 24000),
            f"{second}.original.txt": "",
            f"{second}.normalized.txt": "",
        }
    )


@pytest.fixture
def vctk(tree, audio):
    root, flac = "VCTK-Corpus-0.92", audio(".flac", 48000)
    recorded = ["p225_001_mic1", "p225_001_mic2", "p225_002_mic1", "p280_001_mic1", "p315_001_mic1", "p362_001_mic1"]
    texts = {"p225_001": "Please call Stella.\n", "p225_002": "", "p280_001": "Ask her.", "p362_001": "Naïve.\n"}
    return tree(
        {
            f"{root}/speaker-info.txt": (
                "ID  AGE  GENDER  ACCENTS  REGION COMMENTS \n"
                "p225  23  F    English    Southern  England\n"
                "p280  25  F    Unknown    France  (mic2 files unavailable)\n"
                "p362  29  F    American \n"
            ),
            **{f"{root}/wav48_silence_trimmed/{name[:4]}/{name}.flac": flac for name in recorded},
            f"{root}/wav48_silence_trimmed/log.txt": "a file among the folders",
            **{f"{root}/txt/{name[:4]}/{name}.txt": text for name, text in texts.items()},
        }
    )


@pytest.fixture
def ljspeech(tree, audio):
    lines = (
        'LJ001-0001|"The 1st of 3,|"The first of three,\n'
        'LJ001-0002|said he: "no"|said he: "no"\n'
        "LJ001-0003|Müllers ½ £|Müllers half pound\n"
        "LJ001-0004||\n"
    )
    wavs = {f"LJSpeech-1.1/wavs/LJ001-000{n}.wav": audio(".wav", 22050) for n in (1, 2, 3, 4)}
    return tree({"LJSpeech-1.1/metadata.csv": lines, **wavs})


@pytest.fixture
def commonvoice(tree, audio):
    """The order of columns is the alphabetical one of some releases."""
    head = "accents\tage\tclient_id\tgender\tlocale\tpath\tsentence\n"
    rows = (
        '\ttwenties\tada\tfemale_feminine\tde\tcommon_voice_de_1.mp3\t"Ach, sagte er.\n'
        "Wien, Österreich\t\tbo\t\tde\tcommon_voice_de_2.mp3\tSchräg\\\tgestellt \\\\\u2028Zeile\n"
        "\t\tbo\t\tde\tcommon_voice_de_lost.mp3\tWeg.\n"
        "\t\tbo\t\tde\tcommon_voice_de_3.mp3\t\n"
        "\t\tbo\t\tde\n"
    )
    root = "cv-corpus/de"
    clips = {f"{root}/clips/common_voice_de_{n}.mp3": audio(".mp3", 32000) for n in (1, 2, 3)}
    return tree({f"{root}/validated.tsv": head + rows, f"{root}/train.tsv": head + rows, **clips}) / "cv-corpus" / "de"


@pytest.fixture
def recipe(monkeypatch, capsys):
    """Function that runs a recipe without a network and returns its exit status and what it says on stderr."""

    def refuse(*_):
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.syspath_prepend(RECIPES)

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(RECIPES / f"{name}.py"), run_name="__main__")
        output = capsys.readouterr()
        assert output.out == ""
        if isinstance(ended.value.code, str):  # what Python itself prints, ending with 1
            return 1, ended.value.code
        return ended.value.code or 0, output.err

    return run


def rows_of(manifest):
    """Rows of a manifest; every clip is found by what reads manifests, and can be read."""
    rows = [json.loads(line) for line in manifest.read_bytes().split(b"\n")[:-1]]
    clips = find_audio([manifest])
    assert [clip.path for clip in clips] == [manifest.parent / row["path"] for row in rows]
    assert all(soundfile.info(clip.path).duration > 0.4 for clip in clips)
    return rows


def test_librispeech(recipe, librispeech, tmp_path):
    out = tmp_path / "manifest.jsonl"
    status, said = recipe("librispeech", librispeech, "--out", out)
    assert (status, said) == (0, f"{out}: 3 utterances\n")
    rows = rows_of(out)
    assert rows[0] == {
        "id": "dev-clean/84/121123/84-121123-0000",
        "path": "corpora/LibriSpeech/dev-clean/84/121123/84-121123-0000.flac",
        "speaker": "84",
        "text": "GO DO YOU HEAR",
        "language": "en",
        "split": "dev-clean",
        "chapter": "121123",
        "gender": "F",
    }
    assert [row["id"] for row in rows[1:]] == ["dev-clean/84/121123/84-121123-0001", "test-other/60/7/60-7-0000"]
    assert (rows[2]["text"], rows[2]["gender"], rows[2]["split"]) == ("L'ÉTÉ", "M", "test-other")


def test_only_the_splits_that_are_named(recipe, librispeech, tmp_path):
    out = tmp_path / "manifest.jsonl"
    assert recipe("librispeech", librispeech, "--split", "test-other", "--out", out)[0] == 0
    assert {row["split"] for row in rows_of(out)} == {"test-other"}


def test_librispeech_without_its_table_of_speakers(recipe, librispeech, tmp_path):
    (librispeech / "LibriSpeech" / "SPEAKERS.TXT").unlink()
    status, said = recipe("librispeech", librispeech, "--out", tmp_path / "manifest.jsonl")
    assert status == 0
    assert said.count("SPEAKERS.TXT: missing") == 1
    assert {row["gender"] for row in rows_of(tmp_path / "manifest.jsonl")} == {None}


@pytest.mark.parametrize("damage", ["file", "line", "text", "bytes"])
def test_librispeech_without_a_transcript(recipe, librispeech, tmp_path, damage):
    texts = librispeech / "LibriSpeech" / "dev-clean" / "84" / "121123" / "84-121123.trans.txt"
    if damage == "file":
        texts.unlink()
    else:
        first = {"line": b"", "text": b"84-121123-0000\n", "bytes": b"84-121123-0000 \xff\n"}[damage]
        texts.write_bytes(first + b"84-121123-0001 BUT IN\n")
    status, said = recipe("librispeech", librispeech, "--out", tmp_path / "manifest.jsonl")
    assert status == 1
    assert re.fullmatch(r"Error: .*dev-clean: 84-121123-0000 has no transcript .*; unpack the split again", said)
    assert [path.name for path in tmp_path.iterdir()] == ["corpora"]


def test_download_fetches_and_unpacks_the_split(recipe, librispeech, tmp_path, monkeypatch):
    def fetch(url, archive, hash_prefix):
        assert (url, hash_prefix[:4]) == ("http://www.openslr.org/resources/12/test-other.tar.gz", "d09c")
        with tarfile.open(archive, "w:gz") as file:
            file.add(librispeech / "LibriSpeech" / "SPEAKERS.TXT", "LibriSpeech/SPEAKERS.TXT")
            file.add(librispeech / "LibriSpeech" / "test-other", "LibriSpeech/test-other")

    monkeypatch.setattr(torchaudio.datasets.librispeech, "download_url_to_file", fetch)
    new, out = tmp_path / "new" / "root", tmp_path / "manifest.jsonl"
    assert recipe("librispeech", new, "--download", "--split", "test-other", "--out", out)[0] == 0
    assert [(row["path"], row["gender"]) for row in rows_of(out)] == [
        ("new/root/LibriSpeech/test-other/60/7/60-7-0000.flac", "M")
    ]


@pytest.mark.parametrize("name", ["librispeech", "libritts", "vctk", "ljspeech"])
def test_a_download_without_a_network_is_one_line(recipe, tmp_path, name):
    split = ["--split", "dev-clean"] if name.startswith("libri") else []
    status, said = recipe(name, tmp_path, "--download", *split, "--out", tmp_path / "manifest.jsonl")
    assert status == 1
    assert re.fullmatch(r"Error: .*: torchaudio cannot fetch or list it \(.*no network in tests.*", said)
    assert list(tmp_path.iterdir()) == []


def test_libritts(recipe, libritts, tmp_path):
    out = tmp_path / "manifest.jsonl"
    assert recipe("libritts", libritts, "--out", out) == (0, f"{out}: 2 utterances\n")
    first, second = rows_of(out)
    assert first == {
        "id": "dev-clean/84/121123/84_121123_000007_000001",
        "path": "corpora/LibriTTS/dev-clean/84/121123/84_121123_000007_000001.wav",
        "speaker": "84",
        "text": "“Chapter 2,” said Noirtiers — son.",
        "text_normalized": "“Chapter Two,” said Noirtiers — son.",
        "language": "en",
        "split": "dev-clean",
        "chapter": "121123",
        "gender": "F",
    }
    assert (second["text"], second["text_normalized"]) == ("", "")


@pytest.mark.parametrize("damage", ["missing", "bytes"])
def test_libritts_without_a_text(recipe, libritts, tmp_path, damage):
    text = libritts / "LibriTTS" / "dev-clean" / "84" / "121123" / "84_121123_000008_000001.normalized.txt"
    text.unlink() if damage == "missing" else text.write_bytes(b"\xff")
    status, said = recipe("libritts", libritts, "--out", tmp_path / "manifest.jsonl")
    assert status == 1
    assert re.fullmatch(rf"Error: {re.escape(str(text))}: cannot read the text \(.*\); unpack the dataset again", said)
    assert [path.name for path in tmp_path.iterdir()] == ["corpora"]


def test_vctk(recipe, vctk, tmp_path):
    out = tmp_path / "manifest.jsonl"
    status, said = recipe("vctk", vctk, "--out", out)
    left_out = "speakers left out, without texts or without recordings of mic1: p315\n"
    assert (status, said) == (0, f"{left_out}{out}: 4 utterances\n")
    rows = rows_of(out)
    assert rows[0] == {
        "id": "p225/p225_001_mic1",
        "path": "corpora/VCTK-Corpus-0.92/wav48_silence_trimmed/p225/p225_001_mic1.flac",
        "speaker": "p225",
        "text": "Please call Stella.",
        "language": "en",
        "mic": "mic1",
        "age": 23,
        "gender": "F",
        "accent": "English",
        "region": "Southern England",
    }
    assert [row["text"] for row in rows[1:]] == ["", "Ask her.", "Naïve."]
    assert [row["region"] for row in rows[1:]] == ["Southern England", "France", None]


def test_vctk_by_the_other_microphone(recipe, vctk, tmp_path):
    """p280 has none of it, p225_002 lost the file."""
    out = tmp_path / "manifest.jsonl"
    status, said = recipe("vctk", vctk, "--mic", "mic2", "--out", out)
    assert status == 0
    assert "without recordings of mic2: p280, p315, p362\n" in said
    assert re.search(r"^1 utterances left out, their audio is missing, first .*p225_002_mic2.flac$", said, re.MULTILINE)
    assert [row["id"] for row in rows_of(out)] == ["p225/p225_001_mic2"]


def test_vctk_without_its_table_of_speakers(recipe, vctk, tmp_path):
    (vctk / "VCTK-Corpus-0.92" / "speaker-info.txt").unlink()
    status, said = recipe("vctk", vctk, "--out", tmp_path / "manifest.jsonl")
    assert status == 0
    assert "speaker-info.txt: missing" in said
    rows = rows_of(tmp_path / "manifest.jsonl")
    assert len(rows) == 4
    assert {(row["age"], row["gender"], row["accent"], row["region"]) for row in rows} == {(None,) * 4}


def test_ljspeech_keeps_its_quotes(recipe, ljspeech, tmp_path):
    out = tmp_path / "manifest.jsonl"
    assert recipe("ljspeech", ljspeech, "--out", out) == (0, f"{out}: 4 utterances\n")
    rows = rows_of(out)
    assert rows[0] == {
        "id": "LJ001-0001",
        "path": "corpora/LJSpeech-1.1/wavs/LJ001-0001.wav",
        "speaker": "LJ",
        "text": '"The 1st of 3,',
        "text_normalized": '"The first of three,',
        "language": "en",
    }
    assert [row["text"] for row in rows[1:]] == ['said he: "no"', "Müllers ½ £", ""]


def test_ljspeech_with_a_bar_in_a_text_is_not_guessed_at(recipe, ljspeech, tmp_path):
    table = ljspeech / "LJSpeech-1.1" / "metadata.csv"
    table.write_text(table.read_text(encoding="utf-8") + "LJ001-0005|a|b|a or b\n", encoding="utf-8")
    status, said = recipe("ljspeech", ljspeech, "--out", tmp_path / "manifest.jsonl")
    assert status == 1
    assert said == f"Error: {table}: line 5 has 4 fields, not id|text|normalized text; mend it"


def test_ljspeech_without_its_table(recipe, ljspeech, tmp_path):
    (ljspeech / "LJSpeech-1.1" / "metadata.csv").unlink()
    status, said = recipe("ljspeech", ljspeech, "--out", tmp_path / "manifest.jsonl")
    assert status == 1
    assert re.fullmatch(r"Error: .*LJSpeech-1.1: torchaudio cannot list it \(.*metadata.csv.*\); .*", said)


def test_commonvoice(recipe, commonvoice, tmp_path):
    out = tmp_path / "manifest.jsonl"
    status, said = recipe("commonvoice", commonvoice, "--out", out)
    lost = commonvoice / "clips" / "common_voice_de_lost.mp3"
    assert status == 0
    assert said == f"2 utterances left out, their audio is missing, first {lost}\n{out}: 3 utterances\n"
    rows = rows_of(out)
    assert rows[0] == {
        "id": "common_voice_de_1",
        "path": "corpora/cv-corpus/de/clips/common_voice_de_1.mp3",
        "speaker": "ada",
        "text": '"Ach, sagte er.',
        "language": "de",
        "split": "validated",
        "age": "twenties",
        "gender": "female_feminine",
        "accent": None,
    }
    assert (rows[1]["text"], rows[1]["accent"]) == ("Schräg\tgestellt \\\u2028Zeile", "Wien, Österreich")
    assert (rows[1]["age"], rows[1]["gender"], rows[2]["text"]) == (None, None, "")


def test_commonvoice_of_an_old_release(recipe, commonvoice, tmp_path):
    """The accent was `accent`, and there was no locale."""
    table = "client_id\tpath\tsentence\taccent\nada\tcommon_voice_de_1.mp3\tJa.\tösterreichisch\n"
    (commonvoice / "train.tsv").write_text(table, encoding="utf-8")
    assert recipe("commonvoice", commonvoice, "--split", "train", "--out", tmp_path / "manifest.jsonl")[0] == 0
    (row,) = rows_of(tmp_path / "manifest.jsonl")
    assert (row["language"], row["accent"], row["split"]) == ("de", "österreichisch", "train")


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (b"clip\tduration[ms]\na.mp3\t7\n", "no column client_id, path, sentence"),
        (b"", "no column client_id, path, sentence"),
        (b"client_id\tpath\tsentence\nada\ta.mp3\t\xff\n", "cannot read it"),
        (b"client_id\tpath\tsentence\nada\ta.mp3\t" + b"x" * 200_000, "cannot read it"),
        (None, "cannot read it"),
    ],
)
def test_commonvoice_with_an_impossible_table(recipe, commonvoice, tmp_path, table, why):
    path = commonvoice / "validated.tsv"
    path.unlink() if table is None else path.write_bytes(table)
    status, said = recipe("commonvoice", commonvoice, "--out", tmp_path / "manifest.jsonl")
    assert status == 1
    assert said.startswith(f"Error: {path}: {why}")
    assert "\n" not in said


@pytest.mark.parametrize("name", DATASETS)
def test_a_folder_that_is_not_there_is_one_line(recipe, tmp_path, name):
    status, said = recipe(name, tmp_path / "nowhere", "--out", tmp_path / "manifest.jsonl")
    assert status == 1
    assert re.fullmatch(rf"Error: {re.escape(str(tmp_path))}/nowhere/.*; ROOT is what holds .*", said)
    assert list(tmp_path.iterdir()) == []


def test_no_utterance_is_an_error_that_says_what_is_missing(recipe, ljspeech, commonvoice, tmp_path):
    out = tmp_path / "manifest.jsonl"
    for clip in commonvoice.glob("clips/*"):
        clip.unlink()
    status, said = recipe("commonvoice", commonvoice, "--out", out)
    assert status == 1
    assert re.fullmatch(r"Error: .*no utterance found \(5 recordings are missing, first .*de_1.mp3\).*unpacked\?", said)
    (ljspeech / "LJSpeech-1.1" / "metadata.csv").write_text("")
    assert recipe("ljspeech", ljspeech, "--out", out) == (
        1,
        f"Error: {out}: would be empty, no utterance found; is the dataset unpacked?",
    )
    assert not out.exists()


def test_an_existing_manifest_is_replaced_only_by_force_and_only_by_a_whole_one(recipe, ljspeech, tmp_path):
    out = tmp_path / "manifest.jsonl"
    out.write_text("mine")
    status, said = recipe("ljspeech", ljspeech, "--out", out)
    assert (status, out.read_text()) == (1, "mine")
    assert "--force" in said
    table = ljspeech / "LJSpeech-1.1" / "metadata.csv"
    good = table.read_bytes()
    table.write_bytes(good + b"LJ001-0005\n")
    assert recipe("ljspeech", ljspeech, "--out", out, "--force")[0] == 1
    assert out.read_text() == "mine"
    table.write_bytes(good)
    assert recipe("ljspeech", ljspeech, "--out", out, "--force")[0] == 0
    assert len(rows_of(out)) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpora", "manifest.jsonl"]


def test_paths_are_absolute_outside_the_folder_of_the_manifest_and_move_with_it_inside(recipe, ljspeech, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    assert recipe("ljspeech", ljspeech, "--out", tmp_path / "elsewhere" / "manifest.jsonl")[0] == 0
    assert rows_of(tmp_path / "elsewhere" / "manifest.jsonl")[0]["path"] == str(
        ljspeech / "LJSpeech-1.1" / "wavs" / "LJ001-0001.wav"
    )
    assert recipe("ljspeech", ljspeech, "--out", ljspeech / "manifest.jsonl")[0] == 0
    moved = ljspeech.rename(tmp_path / "moved")
    assert len(rows_of(moved / "manifest.jsonl")) == 4


def test_without_torchaudio_the_remedy_is_named(recipe, ljspeech, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    status, said = recipe("ljspeech", ljspeech, "--out", tmp_path / "manifest.jsonl")
    assert status == 1
    assert re.fullmatch(r"Error: torchaudio cannot be imported \(.*\); install the one of your torch", said)


def test_a_recipe_is_a_script_that_ends_with_one_line_and_status_one(tmp_path):
    command = [sys.executable, RECIPES / "librispeech.py", tmp_path, "--out", tmp_path / "manifest.jsonl"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch(r"Error: .*LibriSpeech: holds no split such as dev-clean; .*\n", result.stderr)


@pytest.mark.usefixtures("librispeech", "libritts", "vctk", "ljspeech", "commonvoice")
def test_the_commands_of_the_readme_run(recipe, tmp_path, monkeypatch):
    """Downloads among them find what they would fetch, and fail without a network if it is elsewhere."""
    monkeypatch.chdir(tmp_path)
    text = (RECIPES / "README.md").read_text(encoding="utf-8")
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith("python ")]
    assert {Path(command[1]).stem for command in commands} == set(DATASETS)
    for _, script, *arguments in commands:
        assert recipe(Path(script).stem, *arguments, "--force")[0] == 0, script
    written = {path.name for path in tmp_path.glob("*.jsonl")}
    tokenized = set(re.findall(r"^vqcodec tokenize (\S+) tokens/\S+ --kbps 3$", text, re.MULTILINE))
    assert tokenized == written
    assert all(rows_of(tmp_path / name) for name in written)
