import json

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import ttest_1samp

from vqcodec.cli import main
from vqcodec.errors import ConfigError
from vqcodec.evaluation.listening.listeners import opinions, read_listeners
from vqcodec.evaluation.listening.stimulus import ANCHOR, MID_ANCHOR, ORIGINAL
from vqcodec.evaluation.report.tables import opinions_rows
from vqcodec.evaluation.run import Comparison, evaluate


def rows_of(codec, scores, kbps=None):
    return [{"clip": f"clip {at}", "codec": codec, "kbps_asked": kbps, "score": s} for at, s in enumerate(scores)]


def scores_of(original=(100,) * 10, anchor=(20,) * 10, opus=(70,) * 10):
    rows = [*rows_of(ORIGINAL, original), *rows_of(ANCHOR, anchor), *rows_of("opus", opus, 6)]
    return {"title": "a", "method": "MUSHRA", "seed": 1, "scores": rows}


@pytest.fixture
def write(tmp_path):
    """Function of what listeners said by their names: the folder of their files."""

    def write_all(**listeners):
        (tmp_path / "heard").mkdir()
        for name, values in listeners.items():
            (tmp_path / "heard" / f"{name}.json").write_text(json.dumps(values))
        return tmp_path / "heard"

    return write_all


@pytest.mark.parametrize(
    ("scores", "fault"),
    [
        ({"original": (100,) * 9 + (89,)}, None),
        ({"original": (100,) * 8 + (89, 0)}, "rated the hidden reference below 90 in 2 of 10 clips"),
        ({"original": (90,) * 10}, None),
        ({"anchor": (20,) * 9 + (91,)}, None),
        ({"anchor": (20,) * 8 + (91, 100)}, "rated the anchor above 90 in 2 of 10 clips"),
        ({"anchor": (90,) * 10}, None),
        ({"original": (None,) * 10}, "rated no hidden reference"),
    ],
)
def test_who_does_not_hear_the_reference_or_the_anchor_is_left_out(write, scores, fault):
    (listener,) = read_listeners(write(a=scores_of(**scores)))
    assert listener.fault == fault
    assert bool(opinions([listener])) == (fault is None)


def test_the_interval_is_student_s_over_the_means_of_listeners(write):
    """A listener counts once, however many clips are rated; scipy's test of one sample gives the same interval."""
    means = (60, 75, 72)
    said = {f"l{mean}": scores_of(opus=(mean - 10, mean + 10)) for mean in means}
    said["l60"]["scores"] += rows_of("opus", [10, 10, 60], 6)[2:]
    said["deaf"] = scores_of(original=(10,) * 10, opus=(0,) * 10)
    found = opinions(read_listeners(write(**said)))
    assert [opinion.stimulus.codec for opinion in found] == [ORIGINAL, "opus", ANCHOR]
    heard = {(opinion.stimulus.codec, opinion.stimulus.kbps_asked): opinion for opinion in found}
    opus = heard["opus", 6]
    low, high = ttest_1samp(means, 0).confidence_interval(0.95)
    assert (opus.mean - opus.half, opus.mean + opus.half) == pytest.approx((low, high))
    assert (opus.listeners, opus.ratings) == (3, 7)
    assert heard[ORIGINAL, None].mean == 100


def test_one_listener_has_a_mean_and_no_interval(write):
    heard = opinions(read_listeners(write(a=scores_of())))
    assert all(np.isnan(opinion.half) for opinion in heard)
    assert opinions_rows(heard)[1:] == [
        [ORIGINAL, "100.0", "1", "10"],
        ["opus @ 6", "70.0", "1", "10"],
        [ANCHOR, "20.0", "1", "10"],
    ]


def test_a_codec_that_is_called_like_the_reference_or_the_anchor_is_none(write):
    """Roles tell: its low and high scores leave nobody out, and it has a row of its own."""
    roles = {ORIGINAL: "reference", ANCHOR: "anchor", "opus": "codec"}
    said = scores_of()
    for row in said["scores"]:
        row["role"] = roles[row["codec"]]
    said["scores"] += [row | {"role": "codec"} for row in [*rows_of(ORIGINAL, [5] * 10), *rows_of(ANCHOR, [95] * 10)]]
    (listener,) = read_listeners(write(a=said))
    assert listener.fault is None
    assert [row[:2] for row in opinions_rows(opinions([listener]))[1:]] == [
        [ORIGINAL, "100.0"],
        [f"{ANCHOR} (a codec)", "95.0"],
        ["opus @ 6", "70.0"],
        [ANCHOR, "20.0"],
        [f"{ORIGINAL} (a codec)", "5.0"],
    ]


def test_who_has_two_files_counts_once(write):
    """With the mean of both, as the interval is over people; a file without a name is somebody of its own."""
    said = {name: scores_of(opus=(score,) * 10) for name, score in (("a", 60), ("b", 70), ("c", 90))}
    for name in "ab":
        said[name]["listener"] = "Eve"
    opus = next(each for each in opinions(read_listeners(write(**said))) if each.stimulus.codec == "opus")
    assert (opus.mean, opus.listeners, opus.ratings) == (77.5, 2, 30)


def test_the_mid_anchor_has_a_mean_and_leaves_nobody_out(write):
    said = scores_of()
    said["scores"] += [row | {"role": "mid_anchor"} for row in rows_of(MID_ANCHOR, [100] * 10)]
    (listener,) = read_listeners(write(a=said))
    assert listener.fault is None
    assert [MID_ANCHOR, "100.0", "1", "10"] in opinions_rows(opinions([listener]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "ABX"}, "its method is not MUSHRA"),
        ({"scores": []}, "nothing was rated"),
        ({"scores": {}}, "its method"),
        ({"scores": [3]}, "no scores of a blind test"),
        ({"scores": [{"clip": "a"}]}, "no scores of a blind test"),
        ({"scores": rows_of("opus", [101], 6)}, "the score 101 is none of 0 to 100"),
        ({"scores": rows_of("opus", [True], 6)}, "the score True"),
        ({"scores": rows_of("opus", [50], -1)}, "kbps_asked -1 cannot be"),
        ({"scores": rows_of(7, [50], 6)}, "are no texts"),
        ({"scores": 2 * rows_of("opus", [50], 6)}, "rated twice"),
        ({"scores": [row | {"trial": "a"} for row in rows_of("opus", [50], 6)]}, "the trial 'a' is no integer"),
    ],
)
def test_another_kind_of_file_is_one_line(write, change, message):
    with pytest.raises(ConfigError, match=message) as error:
        read_listeners(write(a={**scores_of(), **change}))
    assert "\n" not in str(error.value)
    assert "a.json" in str(error.value)


def one_system(**scores):
    """The same scores, of trials of one codec each: here opus and pcm, so that the others are rated twice a clip."""
    said = scores_of(**scores)
    trials = [row | {"trial": 1} for row in said["scores"]]
    again = [row | {"trial": 2, "codec": {"opus": "pcm"}.get(row["codec"], row["codec"])} for row in said["scores"]]
    return said | {"method": "MUSHRA 1S", "scores": trials + again}


def test_trials_of_one_codec_rate_reference_and_anchor_again_and_do_not_mix_with_others(write, tmp_path):
    (listener,) = read_listeners(write(a=one_system()))
    counts = {each.stimulus.codec: each.ratings for each in opinions([listener])}
    assert counts == {ORIGINAL: 20, ANCHOR: 20, "opus": 10, "pcm": 10}
    path = tmp_path / "heard" / "b.json"
    path.write_text(json.dumps(one_system(original=(100,) * 8 + (89, 0))))
    assert read_listeners(path.parent)[1].fault == "rated the hidden reference below 90 in 4 of 20 trials"
    path.write_text(json.dumps(scores_of(opus=(60,) * 10)))
    with pytest.raises(ConfigError, match="heard: has scores of MUSHRA and of MUSHRA 1S, which do not compare; part"):
        read_listeners(path.parent)


def test_a_file_that_is_there_twice_and_a_folder_without_any_are_refused(write, tmp_path):
    with pytest.raises(ConfigError, match=r"b\.json: has the scores of a\.json; remove one"):
        read_listeners(write(a=scores_of(), b=scores_of()))
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ConfigError, match=r"no \.json of a listener"):
            read_listeners(folder)


def test_the_summary_and_the_page_show_what_listeners_said_and_who_is_left_out(write, tmp_path, speech_path):
    out = tmp_path / "out"
    evaluate([speech_path], out, Comparison(codecs=["pcm"], kbps=[6], metrics=["si_sdr"], listen=0))
    folder = write(ada=scores_of(), eve=scores_of(opus=(80,) * 10), deaf=scores_of(original=(10,) * 10))
    done = CliRunner().invoke(main, ["evaluate", "--summary", str(out), "--listeners", str(folder)])
    assert done.exit_code == 0, done.output
    page = (out / "report.html").read_text()
    for shown in (done.stdout, page):
        assert "75.0 ± 63.5" in shown, "t is 12.7 for two listeners, and S / sqrt(2) is 5"
        assert "left out deaf: rated the hidden reference below 90 in 10 of 10 clips" in shown
    assert [row["codec"] for row in json.loads((out / "summary.json").read_text())["listeners"]] == [
        ORIGINAL, "opus", ANCHOR,
    ]  # fmt: skip
    (folder / "bad.json").write_text("no JSON")
    refused = CliRunner().invoke(main, ["evaluate", "--summary", str(out), "--listeners", str(folder)])
    assert refused.exit_code == 1
    assert refused.stderr.count("\n") == 1
    assert "bad.json" in refused.stderr
