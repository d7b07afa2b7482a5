"""The part of a file that a row of a manifest names: that part, or an error."""

import numpy as np
import pytest
import soundfile

from vqcodec.audio.discover import find_audio
from vqcodec.audio.excerpt import Excerpt, excerpt_of
from vqcodec.audio.reader import AudioReader
from vqcodec.errors import AudioError

RATE_HZ = 16000


@pytest.fixture
def path(tmp_path, speech):
    soundfile.write(tmp_path / "a.wav", speech[: 2 * RATE_HZ], RATE_HZ)
    return tmp_path / "a.wav"


def read(path, excerpt):
    with AudioReader(path) as audio:
        return np.concatenate([block[0] for block in excerpt.read(audio, 1000, "the row")])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Excerpt()),
        ({"start": "0.5", "duration": "1"}, Excerpt(0.5, 1.0)),
        ({"offset": 0.25}, Excerpt(0.25)),
        ({"start": "", "offset": 1, "duration": None}, Excerpt(1.0)),
        ({"duration": "2e0"}, Excerpt(None, 2.0)),
        ({"start": "0.5", "end": "1.25"}, Excerpt(0.5, 0.75)),
        ({"offset": 0.5, "end": 1.25}, Excerpt(0.5, 0.75)),
        ({"end": "1.5"}, Excerpt(0.0, 1.5)),
        ({"start": 0.5, "duration": 0.76, "end": 1.25}, Excerpt(0.5, 0.75)),
        ({"start": 0.5, "offset": "0.50"}, Excerpt(0.5)),
        ({"channel": "1", "end": ""}, Excerpt(channel=1)),
        ({"start": 1, "channel": 1.0}, Excerpt(1.0, channel=1)),
    ],
)
def test_columns_of_a_manifest_name_an_excerpt(values, expected):
    assert excerpt_of(values, "m.csv: line 2") == expected


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "1:30", True, [1], 10**400, "x" * 10_000])
def test_what_is_no_time_is_told_by_column_and_line(value):
    with pytest.raises(AudioError, match=r"m\.csv: line 2: start .* is no length of time in seconds") as caught:
        excerpt_of({"start": value}, "m.csv: line 2")
    assert len(str(caught.value)) < 300


def test_a_duration_of_nothing_is_refused():
    with pytest.raises(AudioError, match="duration '0' leaves nothing"):
        excerpt_of({"duration": "0"}, "m.csv: line 2")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"start": "2", "end": "1.5"}, r"end '1.5' is not behind the start, 2; correct one"),
        ({"end": 0}, r"end 0 is not behind the start, 0;"),
        ({"start": 1, "duration": 1, "end": 3}, r"duration 1 from 1 on and end 3 contradict each other; keep one"),
        ({"duration": 1, "end": 3}, r"duration 1 from 0 on and end 3 contradict"),
        ({"start": 1, "offset": 2}, r"start 1 and offset 2 contradict each other; keep one"),
        ({"end": "late"}, r"end 'late' is no length of time in seconds"),
        ({"channel": "left"}, r"channel 'left' is no number of a channel; give 0, 1"),
        ({"channel": True}, r"channel True is no number"),
    ],
)
def test_columns_that_contradict_each_other_are_refused(values, told):
    with pytest.raises(AudioError, match=rf"m\.csv: line 2: {told}") as caught:
        excerpt_of(values, "m.csv: line 2")
    assert "\n" not in str(caught.value)


def test_an_end_behind_that_of_the_file_is_refused(path):
    """Unlike a duration alone, which is what a manifest says of the whole file."""
    with pytest.raises(AudioError, match=r"is to end at 0:00:02\.50, but the audio is 0:00:02\.00 long"):
        read(path, excerpt_of({"end": 2.5}, "m.csv: line 2"))


def test_one_channel_is_read_or_told_that_it_is_not_there(tmp_path):
    waves = np.stack([np.full(RATE_HZ, 0.25), np.linspace(0, 0.5, RATE_HZ)]).astype(np.float32)
    soundfile.write(tmp_path / "stereo.wav", waves.T, RATE_HZ, subtype="FLOAT")
    with AudioReader(tmp_path / "stereo.wav") as audio:
        blocks = list(Excerpt(0.5, channel=1).read(audio, 1000, "the row"))
        np.testing.assert_array_equal(np.concatenate(blocks, axis=1), waves[1:, 8000:])
    with AudioReader(tmp_path / "stereo.wav") as audio:
        with pytest.raises(AudioError, match=r"the row: has no channel 2; give 0 to 1"):
            next(Excerpt(channel=2).read(audio, 1000, "the row"))
        with pytest.raises(AudioError, match=r"has no channel 2"):
            Excerpt(channel=2).span_in(audio)


def test_an_excerpt_is_its_samples(path, speech):
    stored = np.rint(speech * 32768) / np.float32(32768)
    np.testing.assert_allclose(read(path, Excerpt(0.5, 0.75)), stored[8000:20000], atol=1e-4)
    np.testing.assert_allclose(read(path, Excerpt(1.5)), stored[24000:32000], atol=1e-4)


@pytest.mark.parametrize("excerpt", [Excerpt(0.5), Excerpt(0.5, 1.0), Excerpt(None, 2.0), Excerpt(None, 60.0)])
def test_an_excerpt_that_goes_beyond_the_cut_of_a_file_is_refused(path, excerpt):
    """Also where a row has no start: its duration may be of another program, but the header counts these bytes."""
    path.write_bytes(path.read_bytes()[:30_000])
    with pytest.raises(AudioError, match=r"is cut: by its header it has 64000 bytes"):
        read(path, excerpt)
    assert len(read(path, Excerpt(0.25, 0.5))) == 8000


def test_a_clip_of_a_manifest_knows_its_excerpt_and_its_line(path):
    (path.parent / "m.csv").write_text("path,offset,duration\na.wav,0.5,1\na.wav,x,1\n")
    good, bad = find_audio([path.parent / "m.csv"])
    assert good.excerpt() == Excerpt(0.5, 1.0)
    with pytest.raises(AudioError, match=r"m\.csv: line 3: offset 'x' is no length"):
        bad.excerpt()
