import json
import shutil

import pytest

from vqcodec.audio.discover import find_audio
from vqcodec.errors import AudioError


@pytest.fixture
def tree(tmp_path, speech_path):
    for name in ("b.flac", "a.flac", "deep/c.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(speech_path, tmp_path / name)
    (tmp_path / "notes.txt").write_text("not audio")
    return tmp_path


def names(clips):
    return [clip.path.name for clip in clips]


def test_folders_are_searched_deep_and_sorted(tree):
    assert names(find_audio([tree])) == ["a.flac", "b.flac", "c.flac"]


def test_globs_and_files(tree):
    assert names(find_audio([f"{tree}/*.flac"])) == ["a.flac", "b.flac"]
    assert names(find_audio([f"{tree}/**/c.*", tree / "a.flac"])) == ["c.flac", "a.flac"]


def test_csv_and_jsonl_manifests_name_files_beside_them(tree):
    (tree / "m.csv").write_text("path,speaker\nb.flac,anna\ndeep/c.flac,bert\n")
    clips = find_audio([tree / "m.csv"])
    assert names(clips) == ["b.flac", "c.flac"]
    assert clips[0].columns == {"speaker": "anna"}
    rows = [{"audio_filepath": "a.flac", "duration": 5.1}, {"audio_filepath": "b.flac"}]
    (tree / "m.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert names(find_audio([tree / "m.jsonl"])) == ["a.flac", "b.flac"]
    (tree / "m.jsonl").write_text(json.dumps({"path": "a.flac", "text": "a\u2028b"}, ensure_ascii=False))
    assert find_audio([tree / "m.jsonl"])[0].columns == {"text": "a\u2028b"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.csv", "speaker\nanna\n", "no column path"),
        ("m.csv", "path\nnone.flac\n", "does not exist"),
        ("m.jsonl", "[1]\n", "line 1 is no JSON object"),
        ("m.jsonl", '{"path": "a.flac"}\n{\n', "line 2 is no JSON object"),
    ],
)
def test_a_bad_manifest_names_the_row(tree, name, text, message):
    (tree / name).write_text(text)
    with pytest.raises(AudioError, match=message):
        find_audio([tree / name])


def test_nothing_found_is_an_error(tree):
    with pytest.raises(AudioError, match="no audio found"):
        find_audio([tree / "*.mp3"])
