import json
import os

import numpy as np
import pytest
import soundfile

from vqcodec.errors import AudioError
from vqcodec.evaluation.clips import find_clips, longest_first, read_clip


@pytest.fixture
def folder(tmp_path, speech):
    for name in ("a/one.wav", "b/one.wav", "b/two.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, speech[:8000], 16000)
    return tmp_path


def test_clips_of_a_folder_are_named_by_their_place_in_it(folder):
    assert [clip.name for clip in find_clips([folder])] == ["a/one", "b/one", "b/two"]


def test_a_manifest_gives_names_and_columns(folder):
    rows = [{"path": "a/one.wav", "id": "first", "speaker": "Ada"}, {"path": "b/two.flac", "speaker": "Eve"}]
    (folder / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = find_clips([folder / "clips.jsonl"])
    assert (first.name, dict(first.columns)) == ("first", {"speaker": "Ada"})
    assert (second.name, dict(second.columns)) == ("two", {"speaker": "Eve"})


def test_two_clips_of_one_name_are_refused_and_the_same_twice_is_one(folder):
    with pytest.raises(AudioError, match="both named one"):
        find_clips([folder / "a" / "one.wav", folder / "b" / "one.wav"])
    assert len(find_clips([folder / "a" / "one.wav", folder / "a" / "one.wav"])) == 1


def test_long_clips_come_first_by_their_files_or_by_what_a_manifest_says(folder, speech):
    soundfile.write(folder / "b" / "two.flac", speech[:32000], 16000)
    soundfile.write(folder / "long.wav", speech[:80000], 16000)
    rows = [{"path": "a/one.wav"}, {"path": "b/two.flac"}, {"path": "long.wav", "id": "cut", "duration": 0.01}]
    rows += [{"path": "long.wav", "id": "whole"}]
    (folder / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    clips = find_clips([folder / "clips.jsonl"])
    assert [clip.name for clip in longest_first(clips)] == ["whole", "two", "one", "cut"]
    (folder / "b" / "two.flac").unlink()
    assert [clip.name for clip in longest_first(clips)] == ["whole", "one", "cut", "two"]
    assert longest_first(clips[:1] * 2) == clips[:1] * 2


def test_channels_are_averaged_at_the_rate_of_the_file(tmp_path):
    soundfile.write(tmp_path / "stereo.wav", np.array([[0.5, 0.1], [0.25, -0.25]]), 44100, subtype="FLOAT")
    wave, rate_hz = read_clip(tmp_path / "stereo.wav")
    np.testing.assert_allclose(wave, [0.3, 0], atol=1e-7)
    assert (wave.dtype, rate_hz) == (np.float32, 44100)


def test_what_is_no_audio_is_one_line(tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    soundfile.write(tmp_path / "nan.wav", np.array([0, np.nan]), 16000, subtype="FLOAT")
    for name, why in (
        ("text.wav", "no audio that libsndfile reads"),
        ("empty.wav", "no samples"),
        ("nan.wav", "NaN"),
        ("x.wav", "x.wav"),
    ):
        with pytest.raises(AudioError, match=why) as raised:
            read_clip(tmp_path / name)
        assert "\n" not in str(raised.value)


def test_a_name_that_is_no_utf_8_is_escaped(tmp_path):
    (tmp_path / os.fsdecode(b"b\xff.wav")).touch()
    (clip,) = find_clips([tmp_path])
    assert clip.name == r"b\xff"
    assert clip.path.is_file()
