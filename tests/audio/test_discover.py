import json
import os
import shutil
import unicodedata

import pytest

from vqcodec.audio.discover import find_audio, read_manifest
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


def test_what_is_hidden_is_left_out_and_links_are_followed(tree, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.move(tree / "b.flac", elsewhere / "d.flac")
    (tree / "link").symlink_to(elsewhere)
    (tree / ".cache").mkdir()
    shutil.copy(tree / "a.flac", tree / ".cache/e.flac")
    shutil.copy(tree / "a.flac", tree / "._a.flac")
    assert names(find_audio([tree])) == ["a.flac", "c.flac", "d.flac"]


def test_what_cannot_be_read_is_found_so_that_it_is_told_of(tree):
    os.mkfifo(tree / "never_ends.wav")
    (tree / "lost.wav").symlink_to("nowhere")
    assert names(find_audio([tree])) == ["a.flac", "b.flac", "c.flac", "lost.wav", "never_ends.wav"]


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
        ("m.csv", "path\na.flac\n\n   \n \nnone.flac\n", "line 6 names .*none.flac"),
        ("m.csv", 'path,text\n""  ,x\n', "line 2 begins a row that is no CSV"),
        ("m.csv", 'path,text\na.flac,x\nb.flac,"yes\na.flac,no\n', "line 3 begins a row that is no CSV .*quotes"),
        ("m.csv", "id,path,path\n1,a.flac,b.flac\n", "line 1 names the column 'path' twice"),
        ("m.csv", "path;text\na.flac;x\n", "line 1 has its fields between semicolons; separate them by commas"),
        ("m.csv", "path,text\n,x\n", "line 2: path is empty"),
        ("m.jsonl", '{"path": null}', "line 1: path is empty"),
        ("m.jsonl", '{"path": "a.flac", "path": "b.flac"}', "line 1 has the key 'path' twice"),
        ("m.jsonl", "[" * 100_000, "line 1 is no JSON object"),
        ("m.jsonl", "[1]\n", "line 1 is no JSON object"),
        ("m.jsonl", '{"path": "a.flac"}\n{\n', "line 2 is no JSON object"),
    ],
)
def test_a_bad_manifest_names_the_row(tree, name, text, message):
    (tree / name).write_text(text)
    with pytest.raises(AudioError, match=message):
        find_audio([tree / name])


def test_a_row_of_several_lines_has_the_number_of_its_first(tree):
    (tree / "m.csv").write_text('path,text\r\n\r\na.flac,"one\r\ntwo"\r\nb.flac\r\n', newline="")
    rows = list(read_manifest(tree / "m.csv"))
    assert [row.where for row in rows] == [f"{tree}/m.csv: line {number}" for number in (3, 5)]
    assert [row.values for row in rows] == [{"path": "a.flac", "text": "one\r\ntwo"}, {"path": "b.flac"}]


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl"])
def test_only_utf8_is_read_with_a_mark_or_without(tree, name):
    text = {"m.csv": "path,é\na.flac,é\n", "m.jsonl": '{"path": "a.flac", "é": "é"}'}[name]
    for encoding in ("utf-8", "utf-8-sig"):
        (tree / name).write_text(text, encoding=encoding)
        assert find_audio([tree / name])[0].columns == {"é": "é"}
    for encoding in ("latin-1", "utf-16"):
        (tree / name).write_text(text, encoding=encoding)
        with pytest.raises(AudioError, match=rf"{name}: is not UTF-8; save it as UTF-8$"):
            find_audio([tree / name])


def test_sound_that_cannot_be_read_is_found_to_be_told_of(tree):
    for name in ("b.m4a", "c.WEBM"):
        (tree / name).touch()
    assert names(find_audio([tree])) == ["a.flac", "b.flac", "b.m4a", "c.WEBM", "c.flac"]
    assert names(find_audio([tree / "*.m4a"])) == ["b.m4a"]


@pytest.mark.parametrize(("written", "named"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_name_may_be_in_the_other_spelling_of_unicode(tmp_path, written, named):
    (tmp_path / unicodedata.normalize(written, "été.wav")).touch()
    manifest = tmp_path / "m.csv"
    manifest.write_text("path\n" + unicodedata.normalize(named, "été.wav") + "\n", encoding="utf-8")
    (clip,) = find_audio([manifest])
    assert clip.path.is_file()


def test_nothing_found_is_an_error(tree):
    with pytest.raises(AudioError, match="no audio found"):
        find_audio([tree / "*.mp3"])


@pytest.mark.parametrize(("name", "start"), [("m.csv", "path\n"), ("m.jsonl", "")])
def test_a_line_without_an_end_is_not_read(tree, name, start):
    (tree / name).write_text(start + "a" * (1 << 24) + "a")
    with pytest.raises(AudioError, match=rf"{name}: a line has more than 16777216 characters; give a row a line"):
        find_audio([tree / name])
